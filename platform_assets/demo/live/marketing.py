"""The living shop's marketing events: several files a day and the flag that says they are all.

Belongs here: the events, their files and flags, how the misbehaviours look in them. Does not
belong here: how a file gets to the disk (`outbox.py`).
"""

from __future__ import annotations

import gzip
import itertools
import json

import numpy as np

from platform_assets.demo import text
from platform_assets.demo.live.catalogue import on_sale
from platform_assets.demo.live.today import LAST_SECOND, Today
from platform_assets.demo.orders import MOST_DAYS_BETWEEN
from platform_assets.demo.products import Products
from platform_assets.demo.streams import Stream, shares

FOLDER = "marketing"
"""Where the folders of the days are, in the folder of the shop."""

FLAG = "processing_complete.flag"
"""The last file of a day's folder."""

COLUMNS = (
    "event_id",
    "campaign",
    "channel",
    "action",
    "customer_id",
    "product_id",
    "occurred_at",
)
RENAMED = ("campaign", "campaign_name")
"""The column that `drift` renames, and its new name."""

CAMPAIGNS = ("new-year", "spring, early", "always-on", "win-back", "app \u201claunch\u201d")
CHANNELS = ("email", "search", "social", "push")
ACTIONS = ("sent", "opened", "clicked", "unsubscribed")
FILES_A_DAY = 3

_EVENTS_PER_ORDER = 3
_CHANNEL_SHARES = shares(50, 25, 15, 10)
_ACTION_SHARES = shares(60, 28, 11, 1)
_LATE_EVERY = 20
_REPEATED_EVERY = 20
_CAMPAIGN_WORDS = text.words(CAMPAIGNS)
_CHANNEL_WORDS = text.words(CHANNELS)
_ACTION_WORDS = text.words(ACTIONS)


def advance(today: Today) -> int:
    """Make the files and the flag of a day, and hand them to the outbox.

    Args:
        today: The day.

    Returns:
        The number of events in the day's files, each counted once.
    """
    lines = _events(today, on_sale(today))
    kept = _withhold(today, lines)
    bounds = [len(kept) * part // FILES_A_DAY for part in range(FILES_A_DAY + 1)]
    files = [kept[begin:end] for begin, end in itertools.pairwise(bounds)]
    files[-1] += _arrivals(today)
    # A line of an event is unique: its id is in it.
    events = len({line for file in files for line in file})
    if "dup" in today.acting:
        _repeat(today, files)
    rows = sum(len(file) for file in files)
    if "garbage" in today.acting:
        _tear(today, files[0])
    header = text.header(_header(today))
    folder = f"{FOLDER}/{today.date.isoformat()}"
    for number, file in enumerate(files, start=1):
        content = gzip.compress(header + b"".join(file), mtime=0)
        today.post(f"{folder}/events-{number:02d}.csv.gz", content)
    flag = json.dumps({"files": len(files), "rows": rows}).encode() + b"\n"
    late = "late" in today.acting
    if late:
        today.note("late", "marketing flag", 1, written_after_days=1)
    today.post(f"{folder}/{FLAG}", flag, days_later=int(late))
    today.connection.execute(
        "INSERT INTO _marketing VALUES (?, ?, ?, ?)",
        [today.date.isoformat(), len(files), events, rows],
    )
    return events


def _events(today: Today, products: Products) -> list[bytes]:
    """The lines of the events that occur on a day, in their order."""
    volume = today.volume
    size = volume.orders_on(today.number) * _EVENTS_PER_ORDER
    draws = today.draws(Stream.LIVE_MARKETING)
    first = volume.orders_before(today.number) * _EVENTS_PER_ORDER + 1
    customers = [
        customer
        for (customer,) in today.connection.execute(
            "SELECT customer_id FROM customers ORDER BY customer_id"
        )
    ]
    sold = products.on_sale()
    columns = (
        text.identifiers("E", np.arange(first, first + size, dtype=np.int64), 10),
        text.pick_words(_CAMPAIGN_WORDS, draws.below(size, len(CAMPAIGNS))),
        text.pick_words(_CHANNEL_WORDS, draws.pick(size, _CHANNEL_SHARES)),
        text.pick_words(_ACTION_WORDS, draws.pick(size, _ACTION_SHARES)),
        text.pick_words(text.words(customers), draws.below(size, len(customers))),
        text.pick_words(products.ids(), sold[draws.skewed(size, len(sold))]),
        text.times(today.midnight + np.sort(draws.below(size, LAST_SECOND))),
    )
    return bytes(text.lines(dict(zip(COLUMNS, columns, strict=True)))).splitlines(keepends=True)


def _header(today: Today) -> list[str]:
    if "drift" not in today.acting:
        return list(COLUMNS)
    today.note("drift", "marketing", 0, renamed=list(RENAMED))
    return [RENAMED[1] if name == RENAMED[0] else name for name in COLUMNS]


def _withhold(today: Today, lines: list[bytes]) -> list[bytes]:
    """The events that come on their day; of a `late` day some come later."""
    if "late" not in today.acting or not lines:
        return lines
    draws = today.draws(Stream.LIVE_LATE)
    late = np.sort(draws.distinct(-(-len(lines) // _LATE_EVERY), len(lines))).tolist()
    days = (1 + draws.below(len(late), MOST_DAYS_BETWEEN)).tolist()
    today.connection.executemany(
        "INSERT INTO _events_withheld VALUES (?, ?)",
        [
            (today.number + delay, lines[position])
            for position, delay in zip(late, days, strict=True)
        ],
    )
    ids = {_id(lines[each]): delay for each, delay in zip(late, days, strict=True)}
    today.note("late", "marketing", len(late), arrives_after_days=ids)
    return [line for position, line in enumerate(lines) if position not in set(late)]


def _arrivals(today: Today) -> list[bytes]:
    rows = today.connection.execute(
        "SELECT line FROM _events_withheld WHERE day = ? ORDER BY line", [today.number]
    ).fetchall()
    today.connection.execute("DELETE FROM _events_withheld WHERE day = ?", [today.number])
    return [line for (line,) in rows]


def _repeat(today: Today, files: list[list[bytes]]) -> None:
    """Put rows of the first file there twice, and the second file once more."""
    again = files[0][::_REPEATED_EVERY]
    files[0] += again
    files.append(list(files[1]))
    today.note(
        "dup",
        "marketing",
        len(again) + len(files[1]),
        events=[_id(line) for line in again],
        repeated_file="events-02.csv.gz",
        again_as=f"events-{len(files):02d}.csv.gz",
    )


def _tear(today: Today, lines: list[bytes]) -> None:
    """Put a record that broke off before the last one; it follows whole: nothing is lost."""
    piece = _id(lines[-1]).encode() + b",\n" if lines else b"E,\n"
    lines.insert(max(len(lines) - 1, 0), piece)
    line = lines.index(piece) + 2  # The header is the first line.
    today.note("garbage", "marketing", 1, file="events-01.csv.gz", line=line)


def _id(line: bytes) -> str:
    return line.split(b",")[0].decode()
