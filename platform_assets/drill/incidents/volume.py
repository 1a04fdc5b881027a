"""Incidents of how much comes: too little, too much, not all of it, not at all.

Belongs here: declarations and their injectors. Does not belong here: files that cannot be read
(``files``), and systems that fail (``systems``).
"""

from __future__ import annotations

from platform_assets.drill.incident import Expect, Injector, Scene, learnt

_VOLUME = "volume"
_LATE = "md5_number_lower(order_id) % 3 = 0"


def missing(share: float, key: str) -> Injector:
    """An injector that loses a share of the rows at random."""

    def inject(scene: Scene) -> None:
        scene.rewrite(f"SELECT * FROM file WHERE NOT ({scene.chance(share, key)})")

    return inject


def without(column: str, value: str) -> Injector:
    """An injector that loses the rows of one value."""

    def inject(scene: Scene) -> None:
        scene.rewrite(f"SELECT * FROM file WHERE {column} <> '{value}'")

    return inject


def doubled(scene: Scene) -> None:
    """As many rows again, each under a key of its own and at another time of the day."""
    scene.rewrite(
        "SELECT * FROM file UNION ALL BY NAME SELECT * REPLACE ('O9' || substr(order_id, 3) AS "
        "order_id, substr(ordered_at, 1, 17) || '30' AS ordered_at) FROM file"
    )


def copied_rows(scene: Scene) -> None:
    """One row in four is there again under a new key, as when a form is sent twice."""
    scene.rewrite(
        "SELECT * FROM file UNION ALL BY NAME SELECT * REPLACE ('O8' || substr(order_id, 3) AS "
        f"order_id) FROM file WHERE {scene.chance(0.25, 'order_id')}"
    )


def rush(scene: Scene) -> None:
    """As many orders again and a half, of the same customers, at other times of the day."""
    copies = " UNION ALL BY NAME ".join(
        f"SELECT * REPLACE ('O{number}' || substr(order_id, 3) AS order_id, "
        f"substr(ordered_at, 1, 17) || '{number}0' AS ordered_at, "
        # Nothing is updated before it was ordered.
        f"greatest(updated_at, substr(ordered_at, 1, 17) || '{number}0') AS updated_at) "
        f"FROM file WHERE {chosen}"
        for number, chosen in ((4, "true"), (5, scene.chance(0.5, "order_id")))
    )
    scene.rewrite(f"SELECT * FROM file UNION ALL BY NAME {copies}")


def stale(scene: Scene) -> None:
    """No file comes."""
    scene.source.withhold(scene.dataset, scene.day)


def header_only(scene: Scene) -> None:
    """A file comes without a row."""
    scene.rewrite("SELECT * FROM file WHERE false")


def broken_off(scene: Scene) -> None:
    """The extract ran at 15:00: what came later is not in it."""
    scene.rewrite(f"SELECT * FROM file WHERE updated_at < '{scene.day} 15:00:00'")


def half_at_row_end(scene: Scene) -> None:
    """The file ends in the middle, where a row ends."""
    lines = scene.content.splitlines(keepends=True)
    scene.replace(b"".join(lines[: len(lines) // 2]))


def late(scene: Scene) -> None:
    """A third of the rows comes a day late, in the next day's file."""
    if scene.number == 0:
        scene.rewrite(f"SELECT * FROM file WHERE NOT ({_LATE})")
    else:
        scene.rewrite(
            "SELECT * FROM file UNION ALL BY NAME "
            f"SELECT * FROM {scene.clean_rows(1)} WHERE {_LATE}"
        )


INCIDENTS = (
    learnt(
        "volume down 40 %", "40 % of the day's orders are missing, at random.",
        "orders", missing(0.4, "order_id"), _VOLUME,
    ),
    learnt(
        "volume down 20 %", "20 % of the day's orders are missing, at random.",
        "orders", missing(0.2, "order_id"), _VOLUME, expect=Expect.PERHAPS,
    ),
    learnt(
        "events down 40 %", "40 % of the day's user events are missing: a tag is blocked.",
        "user_events", missing(0.4, "event_id"), _VOLUME,
    ),
    learnt(
        "volume doubled", "Twice as many orders, each under a key of its own.",
        "orders", doubled, _VOLUME,
    ),
    learnt(
        "Black Friday, unannounced", "Two and a half times as many orders, and nobody said so.",
        "orders", rush, _VOLUME, first=4,
    ),
    learnt(
        "rows copied under new keys", "A quarter of the orders is there again under new keys.",
        # Rows of their own, to the key; and a good day has as many.
        "orders", copied_rows, "volume, duplicates", expect=Expect.PERHAPS,
    ),
    learnt(
        "one country missing", "No order from Germany (12 % of them).",
        "orders", without("country", "DE"), "categories",
    ),
    learnt(
        "main country missing", "No order from Great Britain (40 % of them).",
        "orders", without("country", "GB"), "volume, categories",
    ),
    learnt(
        "one channel missing", "No order by the app (30 % of them).",
        "orders", without("channel", "app"), "volume, categories",
    ),
    learnt(
        "small channel missing", "No order by phone (5 % of them).",
        "orders", without("channel", "phone"), "categories",
    ),
    learnt(
        "stale file: none comes", "The day's orders file does not come.",
        "orders", stale, _VOLUME,
    ),
    learnt(
        "reference file does not come", "The day's customers file does not come.",
        "customers", stale, "volume, references",
    ),
    learnt(
        "empty file", "The day's orders file has a header and no row.",
        "orders", header_only, _VOLUME,
    ),
    learnt(
        "weekend missing", "Neither Saturday's nor Sunday's orders come.",
        "orders", stale, _VOLUME, first=5, days=2,
    ),
    learnt(
        "extract too early", "The extract ran at 15:00: what came later is not in it.",
        "orders", broken_off, "volume, distribution",
    ),
    learnt(
        "half a file, at a row's end", "The file ends in the middle, where a row ends.",
        "orders", half_at_row_end, _VOLUME,
    ),
    learnt(
        "late rows", "A third of the orders comes a day late, in the next day's file.",
        "orders", late, "volume, event_time", days=2,
    ),
)  # fmt: skip
