"""What has to become of a file, worked out from its text by Python alone.

Belongs here: the second way of counting. Does not belong here: anything of the contract, its SQL
or the pipeline, which is what it is held against.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from platform_assets.pipeline import BatchReport
from platform_assets.warehouse import tables
from platform_assets.warehouse.ledger import Status
from platform_assets_tests.support import Site

MAX_NOTE = 20


@dataclass
class Truth:
    """What has to become of one file."""

    cleaned: dict[str, tuple[int, Decimal, datetime]] = field(default_factory=dict)
    quarantined: dict[int, list[str]] = field(default_factory=dict)
    deduplicated: int = 0
    rows: int = 0

    @property
    def stopped(self) -> bool:
        return len(self.quarantined) * 10 > self.rows


def truth_of(path: Path) -> Truth:
    """Judge a file row by row."""
    truth = Truth()
    if not path.exists():
        return truth
    with path.open(encoding="utf-8", newline="") as file:
        for number, each in enumerate(csv.DictReader(file), start=1):
            truth.rows += 1
            values, broken = _judged(each)
            if broken:
                # A warning alone rejects no row; of a rejected one, it is told too.
                warned = ["note__str_length"] if len(each["note"]) > MAX_NOTE else []
                truth.quarantined[number] = sorted(broken + warned)
                continue
            held = truth.cleaned.get(each["thing_id"])
            truth.deduplicated += held is not None
            # The newest wins; of equals, the one that stands later.
            if held is None or values[2] >= held[2]:
                truth.cleaned[each["thing_id"]] = values
    return truth


def _judged(each: dict[str, str]) -> tuple[tuple[int, Decimal, datetime], list[str]]:
    """A row's values, and the rules that it breaks."""
    broken = [] if each["thing_id"] else ["thing_id__not_null"]
    values: list[Any] = []
    for name, read in _READ.items():
        value, text = None, each[name]
        if not text:
            broken.append(f"{name}__not_null")
        else:
            try:
                value = read(text)
            except (ValueError, InvalidOperation):
                broken.append(f"{name}__castable")
        if isinstance(value, int | Decimal) and value < 0:
            broken.append(f"{name}__ge")
        values.append(value)
    quantity, price, moment = values
    return (quantity, price, moment), broken


def _exact_price(text: str) -> Decimal:
    value = Decimal(text)
    if value != value.quantize(Decimal("0.01")):
        raise ValueError("rounded")
    return value


_READ: dict[str, Callable[[str], Any]] = {
    "quantity": int,
    "price": _exact_price,
    "changed_at": lambda text: datetime.strptime(text, "%Y-%m-%d %H:%M:%S"),
}


def hold(site: Site, days: Sequence[str], report: BatchReport) -> None:
    """Hold what is in the tables against what the files say."""
    for day in days:
        truth = truth_of(site.path("things", day))
        entry = report.entries[day]
        assert entry.extracted == truth.rows
        where = f"WHERE _partition = '{day}'"
        published = site.select(
            "SELECT thing_id, quantity, price, changed_at FROM "
            f"{tables.cleaned_table('things')} {where}"
        )
        held = site.select(
            f"SELECT row_number, list_sort(rules), status FROM {tables.QUARANTINE} "
            f"WHERE partition = '{day}' AND status <> 'released' ORDER BY 1"
        )
        expected = "blocked" if truth.stopped else "open"
        assert {number: rules for number, rules, _ in held} == truth.quarantined
        assert {status for _, _, status in held} <= {expected}
        if truth.stopped:
            assert entry.status is Status.FAILED
            worst = Counter(rule for rules in truth.quarantined.values() for rule in rules)
            del worst["note__str_length"]
            assert worst[entry.stopped_by] == max(worst.values())
            continue
        assert {key: tuple(values) for key, *values in published} == truth.cleaned
        assert len(published) == len(truth.cleaned)
        assert (entry.cleaned, entry.quarantined, entry.deduplicated) == (
            len(truth.cleaned),
            len(truth.quarantined),
            truth.deduplicated,
        )
        assert truth.rows == len(published) + len(held) + truth.deduplicated
