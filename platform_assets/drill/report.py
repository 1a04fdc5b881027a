"""What a drill says at the end: a table for people, Markdown for the docs, JSON for programs.

Belongs here: words and tables. Does not belong here: any judgement (``judgement``).
"""

from __future__ import annotations

import platform
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import duckdb
from rich import box
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from platform_assets import __version__
from platform_assets.drill.evidence import Signal
from platform_assets.drill.incident import Expect
from platform_assets.drill.judgement import WARNINGS_A_YEAR, FalseAlarms, Outcome, Verdict
from platform_assets.drill.plan import Plan

_SHOWN_CHECKS = 2
_SHOWN_ALARMS = 20
_HEAD = ("incident", "dataset", "noticed", "by", "after runs", "partition")


@dataclass(frozen=True)
class Report:
    """The outcome of a drill.

    Attributes:
        plan: How large it was.
        rows: Rows of each dataset after the clean history.
        outcomes: What became of each incident.
        alarms: The false alarms of the clean year, by dataset.
        signals: These alarms themselves.
        build_seconds: What building the clean year took.
        seconds: What all took.
    """

    plan: Plan
    rows: dict[str, int]
    outcomes: tuple[Outcome, ...]
    alarms: tuple[FalseAlarms, ...]
    signals: tuple[Signal, ...]
    build_seconds: float
    seconds: float

    @property
    def incidents(self) -> list[Outcome]:
        """What was wrong."""
        return [each for each in self.outcomes if each.expect is not Expect.SILENCE]

    @property
    def controls(self) -> list[Outcome]:
        """What was not."""
        return [each for each in self.outcomes if each.expect is Expect.SILENCE]

    @property
    def failures(self) -> list[str]:
        """Why the goals are missed, a sentence each; empty where they are met."""
        return [
            *(_failure(each) for each in self.outcomes if each.failed),
            *(
                f"{each.dataset}: {each.errors} false alarms at error and {each.warnings} at warn "
                f"in the clean days (goal: 0 and at most {each.allowed})"
                for each in self.alarms
                if each.failed
            ),
        ]


def _failure(outcome: Outcome) -> str:
    if not outcome.holds:
        return f"{outcome.incident}: blocked, and the rows are not those of before"
    if outcome.verdict is Verdict.FALSE_ALARM:
        said = ", ".join(_checks(outcome)) or "nothing, and the rows are not those of the clean run"
        return f"{outcome.incident}: harmless, and this was said: {said}"
    if outcome.verdict is Verdict.MISSED:
        return f"{outcome.incident}: missed"
    return f"{outcome.incident}: noticed after {outcome.runs} runs, not in the first"


def as_json(report: Report) -> dict[str, Any]:
    """The outcome as plain data."""
    return {
        "ok": not report.failures,
        "failures": report.failures,
        "plan": asdict(report.plan),
        "rows": report.rows,
        "versions": versions(),
        "build_seconds": round(report.build_seconds, 1),
        "seconds": round(report.seconds, 1),
        "incidents": [
            {**asdict(each), "failed": each.failed, "signals": [_plain(s) for s in each.signals]}
            for each in report.outcomes
        ],
        "false_alarms": [{**asdict(each), "failed": each.failed} for each in report.alarms],
        "alarms": [_plain(signal) for signal in report.signals],
    }


def _plain(signal: Signal) -> dict[str, Any]:
    return {name: value for name, value in asdict(signal).items() if value not in ("", None)}


def versions() -> dict[str, str]:
    """What the drill ran on."""
    return {
        "platform_assets": __version__,
        "duckdb": duckdb.__version__,
        "python": platform.python_version(),
    }


def line(outcome: Outcome) -> str:
    """An outcome in one line, as it comes."""
    return "  ".join((f"{outcome.incident:36}", *_cells(outcome)[2:]))


def _cells(outcome: Outcome) -> tuple[str, ...]:
    verdict = str(outcome.verdict)
    if outcome.verdict is Verdict.MISSED and outcome.expect is Expect.PERHAPS:
        verdict = "missed (perhaps too small)"
    elif outcome.verdict is Verdict.MISSED and not outcome.counts:
        verdict = "missed (too few rows or days)"
    return (
        outcome.incident,
        outcome.dataset,
        verdict,
        ", ".join(_checks(outcome)),
        str(outcome.runs) if outcome.runs else "",
        "blocked" if outcome.blocked else "published",
    )


def _checks(outcome: Outcome) -> list[str]:
    names = list(dict.fromkeys(signal.name for signal in outcome.signals))
    more = len(names) - _SHOWN_CHECKS
    return [*names[:_SHOWN_CHECKS], *([f"{more} more"] if more > 0 else [])]


def _counts(report: Report) -> Iterator[str]:
    found = [each for each in report.incidents if each.verdict is Verdict.DETECTED]
    first = sum(each.runs == 1 for each in found)
    blocked = sum(each.blocked for each in found)
    yield (
        f"{len(found)} of {len(report.incidents)} incidents were noticed, {first} of them in the "
        f"first run, {blocked} of them before anything was published."
    )
    quiet = sum(each.verdict is Verdict.QUIET for each in report.controls)
    yield f"{quiet} of {len(report.controls)} harmless controls raised no alarm."
    yield (
        f"The clean days raised {sum(each.errors for each in report.alarms)} false alarms at error "
        f"and {sum(each.warnings for each in report.alarms)} at warn "
        f"(goal: 0, and at most {WARNINGS_A_YEAR} a dataset and year)."
    )


def _size(report: Report) -> str:
    rows = ", ".join(f"{count:,} {name}" for name, count in report.rows.items())
    told = ", ".join(f"{name} {version}" for name, version in versions().items())
    return (
        f"Seed {report.plan.seed}, {report.plan.days} clean days of about "
        f"{report.plan.orders_per_day:,} orders: {rows}. On {told}."
    )


def as_text(report: Report) -> RenderableType:
    """The outcome for a terminal."""
    notes = [*_counts(report), _size(report), f"It took {report.seconds:.0f} s."]
    failures = [f"[bold red]goal missed:[/] {escape(each)}" for each in report.failures]
    return Group(
        _table("Incidents", report.incidents),
        _table("Harmless controls", report.controls),
        _alarm_table(report.alarms),
        *(escape(note) for note in notes),
        *failures,
    )


def _table(title: str, outcomes: Sequence[Outcome]) -> Table:
    table = Table(title=title, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in _HEAD:
        table.add_column(name, justify="right" if name == "after runs" else "left")
    for outcome in outcomes:
        style = "red" if outcome.failed else ""
        table.add_row(*(escape(cell) for cell in _cells(outcome)), style=style)
    return table


def _alarm_table(alarms: Sequence[FalseAlarms]) -> Table:
    table = Table(title="False alarms of the clean days", box=box.SIMPLE_HEAD)
    table.add_column("dataset")
    for name in ("error", "warn", "info", "time"):
        table.add_column(name, justify="right")
    for each in alarms:
        numbers = (each.errors, each.warnings, each.infos, each.machine)
        table.add_row(each.dataset, *map(str, numbers), style="red" if each.failed else "")
    return table


def as_markdown(report: Report) -> str:
    """The outcome as a page of the docs."""
    parts = [
        "<!-- Generated by `make drill`; do not edit. -->",
        "# The incident drill",
        "What the platform notices of what goes wrong at its sources, how fast, and whether the "
        "partition was kept from being published. What it misses stays here as missed. "
        "[How to run it, and how it works](../how-to/run-the-drill.md).",
        " ".join(_counts(report)),
        _size(report),
        "## Incidents",
        _markdown_table(report.incidents),
        "## Harmless controls",
        "What looks odd and is right: an alarm about one of these is false, and the rows must be "
        "those of the clean run.",
        _markdown_table(report.controls),
        "## False alarms of the clean days",
        _markdown_rows(
            ("dataset", "error", "warn", "info", "time"),
            [
                (each.dataset, *map(str, (each.errors, each.warnings, each.infos, each.machine)))
                for each in report.alarms
            ],
        ),
        "`time` counts findings about the seconds that a run took: they are the machine's, no seed "
        "determines them, and they count for nothing here.",
        *_alarms(report.signals),
        "## Goals",
        "\n".join(f"- **missed**: {each}" for each in report.failures) or "All are met.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _markdown_table(outcomes: Sequence[Outcome]) -> str:
    head = ("incident", "what happens", "noticed", "by", "after runs", "partition", "it said")
    rows = []
    for each in outcomes:
        name, _, verdict, checks, runs, partition = _cells(each)
        loud = (
            f"**{verdict}**" if each.verdict in {Verdict.MISSED, Verdict.FALSE_ALARM} else verdict
        )
        said = described(each.signals[0]) if each.signals else ""
        rows.append((name, each.story, loud, checks, runs, partition, said))
    return _markdown_rows(head, rows)


def _alarms(signals: Sequence[Signal]) -> Iterator[str]:
    loud = [each for each in signals if each.severity != "info"]
    if loud:
        yield _markdown_rows(
            ("dataset", "partition", "severity", "check", "it said"),
            [
                (each.dataset, each.partition, each.severity, each.name, described(each))
                for each in loud[:_SHOWN_ALARMS]
            ],
        )
    if len(loud) > _SHOWN_ALARMS:
        yield f"And {len(loud) - _SHOWN_ALARMS} more."


def described(signal: Signal) -> str:
    """A signal's figures, or how many rows broke its rule, or the first line of its words."""
    if signal.observed is not None:
        low = "any" if signal.low is None else _number(signal.low)
        high = "any" if signal.high is None else _number(signal.high)
        return f"{_number(signal.observed)}, expected {low} to {high}"
    if signal.amount:
        return f"{signal.amount:,} rows"
    return signal.message.splitlines()[0] if signal.message else ""


def _number(value: float) -> str:
    return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"  # noqa: PLR2004 # four digits


def _markdown_rows(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
    )
