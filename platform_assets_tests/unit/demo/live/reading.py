"""A living shop as somebody else reads it, and as it is to the last byte.

Belongs here: reading tables, files and the change log without the shop's own code. Does not
belong here: an assertion.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import sqlite3
from collections import Counter
from contextlib import closing
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from platform_assets.demo.live import LiveShop

START = date(2025, 1, 1)
STATE = Path("state") / "shop.sqlite"


def founded(folder: Path, **parameters: Any) -> LiveShop:
    """A small shop, of 40 orders a day."""
    return LiveShop.open(folder, start=START, **parameters)


def query(database: Path, sql: str) -> list[tuple[Any, ...]]:
    """Rows of a query, read as another program would."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return connection.execute(sql).fetchall()


def tables(folder: Path) -> dict[str, list[tuple[Any, ...]]]:
    """All tables of the shop with their rows, sorted, and how they are declared."""
    database = folder / STATE
    declared = query(database, "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
    rows = {
        name: sorted(query(database, f"SELECT * FROM {name}"), key=repr)
        for name, sql in declared
        if sql.startswith("CREATE TABLE")
    }
    return {"": sorted(declared), **rows}


def files(folder: Path) -> dict[str, bytes]:
    """All files of the shop but its database."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink() and path.parent.name != "state"
    }


def everything(folder: Path) -> dict[str, Any]:
    """The whole shop, to be held equal to another one."""
    links = sorted(path.name for path in folder.iterdir() if path.is_symlink())
    return {"links": links, **tables(folder), **files(folder)}


def orders(shop: LiveShop) -> dict[str, dict[str, Any]]:
    """The orders by id."""
    with closing(sqlite3.connect(f"file:{shop.database}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        return {row["order_id"]: dict(row) for row in connection.execute("SELECT * FROM orders")}


def total(rows: dict[str, dict[str, Any]]) -> Decimal:
    """The sum of the orders' amounts."""
    return sum((Decimal(row["total_amount"]) for row in rows.values()), Decimal(0))


def events(shop: LiveShop, day: str) -> dict[str, list[dict[str, str | None]]]:
    """The rows of a day's marketing files, by file."""
    return {
        path.name: list(csv.DictReader(io.StringIO(gzip.decompress(path.read_bytes()).decode())))
        for path in sorted((shop.folder / "marketing" / day).glob("events-*.csv.gz"))
    }


def whole(rows: dict[str, list[dict[str, str | None]]]) -> set[str]:
    """The ids of the events that stand whole in some file."""
    return {
        str(row["event_id"]) for each in rows.values() for row in each if None not in row.values()
    }


def log(shop: LiveShop) -> dict[str, list[Any]]:
    """The messages of the change log by file; None for a line that is no JSON."""
    found: dict[str, list[Any]] = {}
    for path in sorted((shop.folder / "tickets" / "changes").glob("*.ndjson")):
        found[path.name] = [_message(line) for line in path.read_bytes().splitlines()]
    return found


def _message(line: bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None


def messages(shop: LiveShop) -> list[Any]:
    """All messages that are JSON and no tombstones, in the order of the files."""
    return [each for part in log(shop).values() for each in part if each and each["value"]]


def replayed(shop: LiveShop) -> dict[str, dict[str, Any]]:
    """The tickets as the log says, resolved by position."""
    state: dict[str, tuple[int, Any]] = {}
    for message in messages(shop):
        value = message["value"].get("payload", message["value"])
        key = message["key"].get("payload", message["key"])["ticket_id"]
        position = value["source"]["lsn"]
        if key not in state or position >= state[key][0]:
            state[key] = position, value["after"]
    return {key: row for key, (_, row) in state.items() if row is not None}


def by_status(rows: dict[str, dict[str, Any]]) -> dict[str, int]:
    """How many rows there are of each status."""
    return dict(Counter(str(row["status"]) for row in rows.values()))
