"""A tiny shop on which one incident happens: what its sources held before and after.

Belongs here: making it, and reading what is there. Does not belong here: an assertion.
"""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

from platform_assets.drill import shop
from platform_assets.drill.datasets import scope
from platform_assets.drill.editing import engine
from platform_assets.drill.incident import Incident, Scene
from platform_assets.drill.plan import Plan
from platform_assets.drill.server import TicketServer, serving
from platform_assets.drill.source import Source

TINY = Plan(days=28, orders_per_day=240)
Row = dict[str, str | None]


@contextmanager
def standing(folder: Path, plan: Plan = TINY) -> Iterator[Source]:
    """The sources of a tiny shop; each test has a folder of its own, by ``moved``."""
    store = shop.make(folder / "store", plan)
    (folder / "api").mkdir()
    with serving(folder / "api") as server, engine(plan.seed) as connection:
        yield Source(store, folder, connection, server)


def moved(source: Source, folder: Path) -> Source:
    """The same sources with a folder in which nothing was delivered."""
    folder.mkdir(exist_ok=True)
    return replace(source, folder=folder)


def deliver(source: Source, incident: Incident, plan: Plan = TINY) -> None:
    """Deliver what the incident may look back at, and the day that it touches first."""
    names = {dataset.name for dataset in scope(incident.dataset)}
    source.deliver([*plan.history[-8:], *plan.after[: incident.first + 1]], names)


def inject(source: Source, incident: Incident, number: int = 0, plan: Plan = TINY) -> None:
    """Let the incident happen on its first day, or on one after that."""
    day = plan.day(incident.first + number)
    incident.inject(Scene(source, incident.dataset, day, number, incident.name))


def server_of(source: Source) -> TicketServer:
    """The API."""
    assert source.server is not None
    return source.server


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by its path; of a database what is in it."""
    return {
        str(path.relative_to(folder)): _content(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _content(path: Path) -> bytes:
    if path.suffix != ".sqlite":
        return path.read_bytes()
    with closing(sqlite3.connect(path)) as database:
        return "\n".join(database.iterdump()).encode()


def rows(content: bytes, path: str) -> list[Row]:
    """The rows of a file that can be read."""
    text = content.decode("utf-8")
    if path.endswith(".csv"):
        return [dict(row) for row in csv.DictReader(io.StringIO(text, newline=""))]
    return [json.loads(line) for line in text.splitlines()]
