"""What the command says at the end, for people and for programs.

Belongs here: the outcome, its table and its JSON. Does not belong here: counting or running.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from examples.online_retail.delivery import Delivery
from examples.online_retail.totals import Total, Value
from platform_assets.cli import summary
from platform_assets.warehouse.ledger import LedgerEntry

SHOWN_FAILURES = 5


@dataclass(frozen=True)
class Report:
    """The outcome of a year's run.

    Attributes:
        delivery: What was in the folder.
        known: Whether that is the data set that the control totals are of.
        run_id: The run, as the ledger and Dagster name it.
        seconds: What the run took, without starting Python and counting totals.
        totals: The control totals as the published tables have them.
        ledger: The ledger's sums, and the rows in the tables that they tell of.
        failed: Partitions whose newest attempt failed.
    """

    delivery: Delivery
    known: bool
    run_id: str
    seconds: float
    totals: list[Total]
    ledger: summary.DatasetSummary
    failed: list[LedgerEntry]

    @property
    def ok(self) -> bool:
        """Whether every partition is published and every figure adds up."""
        return not self.failed and self.ledger.adds_up and all(t.agrees for t in self.totals)


def as_json(report: Report) -> dict[str, Any]:
    """The outcome as plain data; money is text, because a JSON number may become a float."""
    return {
        "ok": report.ok,
        "data": str(report.delivery.folder),
        "files": report.delivery.files,
        "files_outside_the_days": report.delivery.outside,
        "known_data_set": report.known,
        "run_id": report.run_id,
        "seconds": round(report.seconds, 3),
        "ledger": summary.as_json([report.ledger])[0],
        "totals": {
            total.figure.name: {
                "expected": _plain(total.expected),
                "raw": _plain(total.raw),
                "cleaned": _plain(total.cleaned),
                "quarantine": _plain(total.quarantine),
                "cleaned_and_quarantine": _plain(total.together),
                "agrees": total.agrees,
            }
            for total in report.totals
        },
        "failed": [
            {"asset": e.asset, "partition": e.partition, "stopped_by": e.stopped_by}
            for e in report.failed
        ],
    }


def as_text(report: Report) -> RenderableType:
    """The outcome for a terminal of 80 columns; each layer's part of a figure is in the JSON."""
    return Group(_totals(report), *_notes(report))


def _totals(report: Report) -> Table:
    table = Table(
        title="Control totals, counted in the published tables",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    table.add_column("figure", no_wrap=True)
    for name in ("expected", "raw", "cleaned +\nquarantine"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("ok", no_wrap=True)
    for total in report.totals:
        table.add_row(
            total.figure.meaning,
            "" if total.expected is None else f"{total.expected:,}",
            f"{total.raw:,}",
            f"{total.together:,}",
            "yes" if total.agrees else "[bold red]NO[/]",
        )
    return table


def _notes(report: Report) -> Iterator[str]:
    rows = report.ledger
    yield (
        f"Ledger: {rows.extracted:,} rows extracted = {rows.cleaned:,} cleaned "
        f"+ {rows.quarantined:,} quarantined + {rows.deduplicated:,} deduplicated: "
        + ("adds up" if rows.adds_up else "[bold red]DOES NOT ADD UP[/]")
    )
    yield (
        f"{rows.partitions} days published, from {report.delivery.files} files, "
        f"in {report.seconds:.1f} s. Run {report.run_id}"
    )
    if not report.known:
        yield "This is not the known year: there are no expected figures to compare with."
    if report.delivery.outside:
        yield f"{report.delivery.outside} CSV files are of none of the dataset's days: not loaded."
    if report.failed:
        yield f"[bold red]{len(report.failed)} partitions failed and keep what they had:[/]"
    for entry in report.failed[:SHOWN_FAILURES]:
        yield escape(f"\n{entry.asset} {entry.partition}\n{entry.message}")
    if len(report.failed) > SHOWN_FAILURES:
        yield f"\nand {len(report.failed) - SHOWN_FAILURES} more: see --json, or the UI"


def _plain(value: Value | None) -> int | str | None:
    return str(value) if isinstance(value, Decimal) else value
