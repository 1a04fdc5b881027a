"""Incidents of time: rows of another day, of another zone, of no time at all.

Belongs here: declarations and their injectors. Does not belong here: files that do not come
(``volume``).
"""

from __future__ import annotations

from platform_assets.drill.incident import Expect, Incident, Injector, Scene, learnt

_EVENT_TIME = "event_time"
_COLUMNS = ("ordered_at", "updated_at")


def moved(interval: str, share: float = 1.0, columns: tuple[str, ...] = _COLUMNS) -> Injector:
    """An injector that moves times.

    Args:
        interval: By how much, as the engine writes an interval.
        share: Of the rows, at random by their key.
        columns: Which times.
    """

    def inject(scene: Scene) -> None:
        replaced = ", ".join(
            f"CASE WHEN {scene.chance(share, 'order_id')} THEN strftime(CAST({column} AS "
            f"TIMESTAMP) + INTERVAL '{interval}', '%Y-%m-%d %H:%M:%S') ELSE {column} END "
            f"AS {column}"
            for column in columns
        )
        scene.rewrite(f"SELECT * REPLACE ({replaced}) FROM file")

    return inject


def set_to(value: str, share: float = 1.0) -> Injector:
    """An injector that sets ``ordered_at``."""

    def inject(scene: Scene) -> None:
        scene.rewrite(
            f"SELECT * REPLACE (CASE WHEN {scene.chance(share, 'order_id')} THEN {value} "
            "ELSE ordered_at END AS ordered_at) FROM file"
        )

    return inject


def of_before(days: int) -> Injector:
    """An injector that delivers an earlier day's file under the day's name."""

    def inject(scene: Scene) -> None:
        scene.replace(scene.source.clean_bytes(scene.dataset, scene.before(days)))

    return inject


INCIDENTS = (
    learnt(
        "file of yesterday again", "Yesterday's orders come under today's name.",
        "orders", of_before(1), _EVENT_TIME,
    ),
    learnt(
        "stale file: last week's", "The orders of a week ago come under today's name.",
        "orders", of_before(7), _EVENT_TIME,
    ),
    learnt(
        "events of yesterday again", "Yesterday's user events come under today's name.",
        "user_events", of_before(1), _EVENT_TIME,
    ),
    learnt(
        "timezone shift 1 h", "The times of all orders are an hour late: summer time in UTC.",
        "orders", moved("1 hour"), _EVENT_TIME,
    ),
    learnt(
        "timezone shift 5 h", "The times of all orders are five hours late.",
        "orders", moved("5 hours"), _EVENT_TIME,
    ),
    learnt(
        "future dates", "5 % of the orders are of next year.",
        "orders", moved("1 year", 0.05, ("ordered_at",)), _EVENT_TIME,
    ),
    learnt(
        "dates of 1970", "3 % of the orders are of the first of January 1970.",
        "orders", set_to("'1970-01-01 00:00:00'", 0.03), _EVENT_TIME,
    ),
    learnt(
        "time of day lost", "Every order is of midnight.",
        "orders", set_to("substr(ordered_at, 1, 10) || ' 00:00:00'"), "distribution",
    ),
    Incident(
        "day and month swapped", "2026-03-02 is told as 2026-02-03.",
        "orders",
        set_to("substr(ordered_at, 1, 5) || substr(ordered_at, 9, 2) || '-' || "
               "substr(ordered_at, 6, 2) || substr(ordered_at, 11)"),
        _EVENT_TIME,
    ),
    Incident(
        "updated before ordered", "updated_at is a day before ordered_at.",
        "orders", moved("-2 days", columns=("updated_at",)), "rules", Expect.PERHAPS,
    ),
)  # fmt: skip
