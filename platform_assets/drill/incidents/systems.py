"""Incidents of systems: an API, a database or a change log that fails, or gives a part.

Belongs here: declarations and their injectors. Does not belong here: the API's faults themselves
(``server``), and files (``files``).
"""

from __future__ import annotations

from platform_assets.drill.datasets import PAGE_SIZE
from platform_assets.drill.incident import Expect, Incident, Injector, Scene, learnt
from platform_assets.drill.server import Fault
from platform_assets.drill.shop import SPEND
from platform_assets.drill.site import API_TIMEOUT

_SOURCE = "source"
_TWO_PAGES = PAGE_SIZE * 10
"""Orders a day below which a day's tickets fit on one page, and no page can be lost."""


def answering(fault: Fault, pause: float = 0.0) -> Injector:
    """An injector that lets the API fail.

    Args:
        fault: How.
        pause: Seconds before it answers, where it is slow.
    """

    def inject(scene: Scene) -> None:
        assert scene.source.server is not None  # a site has one
        scene.source.server.fault, scene.source.server.pause = fault, pause

    return inject


def statement(sql: str) -> Injector:
    """An injector that changes the database; ``{day}`` is the day."""

    def inject(scene: Scene) -> None:
        scene.source.in_database(sql.format(day=scene.day))

    return inject


def gone(scene: Scene) -> None:
    """The database's file is not there."""
    scene.source.database.unlink()


def skewed(scene: Scene) -> None:
    """A clock is wrong: one booking of the first day is from a month ahead."""
    if scene.number == 0:
        scene.source.in_database(
            f"UPDATE {SPEND} SET updated_at = datetime(updated_at, '+30 days') WHERE spend_id = "
            f"(SELECT max(spend_id) FROM {SPEND})"
        )


def replayed(scene: Scene) -> None:
    """The connector starts again and sends the changes of two days once more."""
    log = b"".join(
        scene.source.clean_bytes(scene.dataset, scene.before(days)) for days in (2, 1, 0)
    )
    scene.replace(log)


def gap(scene: Scene) -> None:
    """The connector lost its place: the first three quarters of the day are not in the log."""
    lines = scene.content.splitlines(keepends=True)
    scene.replace(b"".join(lines[len(lines) * 3 // 4 :]))


def out_of_order(scene: Scene) -> None:
    """The lines of the log are written in the reverse order."""
    scene.replace(b"".join(reversed(scene.content.splitlines(keepends=True))))


def broken_line(scene: Scene) -> None:
    """A line of the log breaks off, and the next one follows it."""
    lines = scene.content.splitlines(keepends=True)
    lines[1] = lines[1][: len(lines[1]) // 2] + b"\n"
    scene.replace(b"".join(lines))


def renamed_field(scene: Scene) -> None:
    """The log calls the plan a tier."""
    scene.replace(scene.content.replace(b'"plan":', b'"tier":'))


INCIDENTS = (
    Incident(
        "source down", "The API answers 503.",
        "tickets", answering(Fault.DOWN), _SOURCE,
    ),
    Incident(
        "token withdrawn", "The API answers 401.",
        "tickets", answering(Fault.LOCKED_OUT), _SOURCE,
    ),
    Incident(
        "source slow: no answer in time", "The API answers later than it is waited for.",
        "tickets", answering(Fault.SILENT, 1.5 * API_TIMEOUT), _SOURCE,
    ),
    learnt(
        "source slow: late answers", "The API takes long, and answers in time.",
        "tickets", answering(Fault.SLUGGISH, 0.75 * API_TIMEOUT), "duration", timed=True, watch=2,
    ),
    Incident(
        "partial page from the API", "The first page has half of the tickets that it should have.",
        "tickets", answering(Fault.SHORT_PAGE), _SOURCE,
    ),
    Incident(
        "pages lost by the API", "The API says that the first page is the last.",
        "tickets", answering(Fault.LOST_PAGES), _SOURCE, orders=_TWO_PAGES,
    ),
    learnt(
        "pages hidden by the API", "The API gives the first page, and says that this is all.",
        "tickets", answering(Fault.HIDDEN), "volume",
    ),
    Incident(
        "answer cut off", "The API's last answer ends in the middle.",
        "tickets", answering(Fault.CUT_OFF), _SOURCE,
    ),
    Incident(
        "database gone", "The database is not there.",
        SPEND, gone, _SOURCE,
    ),
    Incident(
        "column of a table renamed", "The table's cost is called amount.",
        SPEND, statement(f"ALTER TABLE {SPEND} RENAME COLUMN cost TO amount"), "schema",
    ),
    learnt(
        "table not filled", "The booking job did not run: no row of the day.",
        SPEND, statement(f"DELETE FROM {SPEND} WHERE booked_at >= '{{day}}'"), "volume",
    ),
    learnt(
        "rows deleted at the source", "Half of the day's bookings are not there.",
        SPEND,
        statement(f"DELETE FROM {SPEND} WHERE booked_at >= '{{day}}' "
                  "AND CAST(substr(spend_id, -1) AS INTEGER) < 5"),
        "volume",
    ),
    learnt(
        "clock skew", "One booking's updated_at is a month ahead: the watermark runs ahead.",
        SPEND, skewed, "watermark, volume", expect=Expect.LATER, days=2,
    ),
    Incident(
        "costs negative in a table", "A tenth of the day's bookings has a negative cost.",
        SPEND,
        statement(f"UPDATE {SPEND} SET cost = '-' || cost WHERE booked_at >= '{{day}}' "
                  "AND substr(spend_id, -1) = '0'"),
        "rules",
    ),
    learnt(
        "gap in a change log", "Three quarters of the day's changes are not in the log.",
        "accounts", gap, "volume", expect=Expect.PERHAPS,
    ),
    Incident(
        "broken line in a change log", "A line of the log breaks off.",
        "accounts", broken_line, _SOURCE,
    ),
    Incident(
        "field of a change log renamed", "The log calls the plan a tier.",
        "accounts", renamed_field, "schema",
    ),
    Incident(
        "replayed change log", "The changes of two days come once more: nothing may change.",
        "accounts", replayed, "none: it is harmless", Expect.SILENCE,
    ),
    Incident(
        "change log out of order", "The day's changes come in the reverse order.",
        "accounts", out_of_order, "none: it is harmless", Expect.SILENCE,
    ),
)  # fmt: skip
