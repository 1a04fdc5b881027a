"""``platform-assets freshness``: what is promised, what is there, and what is late.

Belongs here: arguments and output. Does not belong here: judging (``pipeline.freshness``).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from platform_assets.cli.console import EXIT_PARTIAL, Json, console, explained
from platform_assets.cli.lake import open_lake
from platform_assets.errors import SettingsError

if TYPE_CHECKING:
    from platform_assets.quality.freshness import FreshnessState

freshness_app = typer.Typer(
    invoke_without_command=True, help="How fresh data are, against what was promised."
)

At = Annotated[
    str | None,
    typer.Option(help="Judge what is there now as of another moment (ISO 8601, UTC)."),
]
_SHOWN = {"fresh": "[green]fresh[/]", "warn": "[yellow]warn[/]", "late": "[red]late[/]"}
_MOMENTS = ("newest_event", "published_at", "deadline", "since")


@freshness_app.callback()
@explained
def freshness(context: typer.Context, at: At = None, as_json: Json = False) -> None:
    """Show how fresh each asset with a promise is; exit 1 where one is late."""
    if context.invoked_subcommand is None:
        _show(at, as_json=as_json)


@freshness_app.command("list")
@explained
def list_states(at: At = None, as_json: Json = False) -> None:
    """Show how fresh each asset with a promise is; exit 1 where one is late."""
    _show(at, as_json=as_json)


def _show(at: str | None, *, as_json: bool) -> None:
    now = _moment(at)
    from platform_assets.assets.freshness import promised_of
    from platform_assets.cli import ROOT
    from platform_assets.cli.instance import ensure_home
    from platform_assets.pipeline.freshness import evaluate
    from platform_assets.quality.freshness import Level
    from platform_assets.resources import breakers_left_alone

    ensure_home(ROOT / "dagster.yaml")
    # A code location reads the instance's environment, which is there only now.
    from platform_assets.definitions import defs

    promised = promised_of(defs)
    with open_lake() as lake:
        states = evaluate(lake, promised, now, left_alone=breakers_left_alone()).values()
    if as_json:
        typer.echo(json.dumps([_as_json(state) for state in states], indent=2))
    elif states:
        console.print(_as_table(states))
    else:
        console.print("nothing is promised: docs/how-to/promise-freshness.md tells how")
    if any(state.level is Level.LATE for state in states):
        raise typer.Exit(EXIT_PARTIAL)


def _moment(at: str | None) -> datetime:
    if at is None:
        return datetime.now(UTC)
    try:
        found = datetime.fromisoformat(at)
    except ValueError:
        raise SettingsError(
            "An option is not a moment",
            where=f"option --at {at}",
            expected="ISO 8601, such as 2025-03-01T08:30 or 2025-03-01T08:30+01:00",
            found=at,
            fix="correct the option",
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _as_json(state: FreshnessState) -> dict[str, Any]:
    moments = {name: getattr(state, name) for name in _MOMENTS}
    return {
        **vars(state),
        "level": str(state.level),
        **{name: value and value.isoformat() for name, value in moments.items()},
    }


def _as_table(states: Iterable[FreshnessState]) -> Table:
    table = Table(title="Freshness")
    for name in ("asset", "", "expected", "newest", "since", "because of", "what"):
        table.add_column(name, overflow="fold")
    for state in states:
        table.add_row(
            state.asset,
            _SHOWN[state.level],
            state.expected or "",
            state.newest or "",
            f"{state.since:%Y-%m-%d %H:%M}" if state.since else "",
            ", ".join(state.late_because),
            escape(state.message),
        )
    return table
