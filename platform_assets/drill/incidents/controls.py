"""Harmless controls: what looks odd and is right. An alarm about one of them is false.

Belongs here: declarations and their injectors. Does not belong here: anything that is wrong.
"""

from __future__ import annotations

import codecs

from platform_assets.drill.incident import Expect, Incident, Injector, Scene
from platform_assets.drill.incidents.files import select
from platform_assets.drill.incidents.volume import rush

_NONE = "none: it is harmless"
_SHUFFLED_COLUMNS = (
    "SELECT status, currency, order_id, updated_at, * "
    "EXCLUDE (status, currency, order_id, updated_at) FROM file"
)


def nothing(scene: Scene) -> None:
    """Nothing happens."""


def byte_order_mark(scene: Scene) -> None:
    """The file begins with a byte order mark."""
    scene.replace(codecs.BOM_UTF8 + scene.content)


def line_ends(scene: Scene) -> None:
    """Lines end as Windows has it."""
    scene.replace(scene.content.replace(b"\n", b"\r\n"))


def all_quoted(scene: Scene) -> None:
    """Every field is in quotes."""
    lines = scene.content.decode("utf-8").splitlines()
    quoted = ['"' + line.replace(",", '","') + '"\n' for line in lines]
    scene.replace("".join(quoted).encode())


def no_last_line_end(scene: Scene) -> None:
    """The last line has no end."""
    scene.replace(scene.content.rstrip(b"\n"))


def _control(name: str, story: str, dataset: str, inject: Injector) -> Incident:
    return Incident(name, story, dataset, inject, _NONE, Expect.SILENCE, watch=2)


INCIDENTS = (
    Incident(
        "Black Friday, announced",
        "Two and a half times as many orders, on a day that the calendar knows.",
        "orders", rush, _NONE, Expect.SILENCE, first=4, watch=1, known_as="Black Friday",
        changes=True,
    ),
    _control("nothing at all", "Nothing happens.", "orders", nothing),
    _control("byte order mark", "The file begins with a byte order mark.",
             "orders", byte_order_mark),
    _control("rows shuffled", "The rows are in another order.", "orders",
             select("SELECT * FROM file ORDER BY roll(order_id, 'shuffled')")),
    _control("columns in another order", "The columns are in another order.", "orders",
             select(_SHUFFLED_COLUMNS)),
    _control("Windows line ends", "Lines end with CR LF.", "orders", line_ends),
    _control("every field in quotes", "Every field is in quotes.", "orders", all_quoted),
    _control("no line end at the end", "The last line has no end.", "orders", no_last_line_end),
    _control("JSON keys in another order", "The objects' keys are in another order.",
             "user_events", select("SELECT occurred_at, * EXCLUDE (occurred_at) FROM file")),
)  # fmt: skip
