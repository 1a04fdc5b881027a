"""``platform-assets connections``: which connections are left alone, since when, and why.

Belongs here: showing and resetting the circuit breakers. Does not belong here: what opens one
(``sources.breaker``).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from platform_assets.cli.console import EXIT_PARTIAL, Json, console, explained
from platform_assets.errors import SettingsError

if TYPE_CHECKING:
    from platform_assets.sources.breaker import BreakerState, BreakerStore

connections_app = typer.Typer(
    no_args_is_help=True, help="Connections of the sources, and which are left alone."
)

_SHOWN = {
    "closed": "in use",
    "opened": "[red]left alone[/]",
    "half-opened": "[yellow]on trial[/]",
}


@connections_app.command("list")
@explained
def list_connections(
    as_json: Json = False,
) -> None:
    """Show each connection: in use or left alone, failures in a row, since when, next try."""
    from platform_assets.sources.breaker import BreakerState

    store, names = _store(), _declared()
    known = {state.connection: state for state in store.states()}
    states = [known.get(name) or BreakerState(name) for name in sorted({*names, *known})]
    if as_json:
        typer.echo(json.dumps([_as_json(store, state) for state in states], indent=2))
    else:
        console.print(_as_table(store, states))
    if any(state.state != "closed" for state in states):
        raise typer.Exit(EXIT_PARTIAL)


@connections_app.command("reset")
@explained
def reset_connection(
    name: Annotated[str, typer.Argument(help="The connection's name.")],
) -> None:
    """Use a connection again at once, because its source is known to be back."""
    store = _store()
    known = {*_declared(), *(state.connection for state in store.states())}
    if name not in known:
        raise SettingsError(
            "There is no such connection",
            where=f"argument {name}",
            expected="one of " + ", ".join(sorted(known)),
            found=name,
            fix="correct the name",
        )
    console.print(f"{name} is used again" if store.reset(name) else f"{name} was in use")


def _store() -> BreakerStore:
    from platform_assets.settings import load_settings
    from platform_assets.sources.breaker import BreakerStore

    return BreakerStore(load_settings().breakers)


def _declared() -> set[str]:
    from platform_assets.datasets import all_datasets
    from platform_assets.declared.catalogue import declared_sources

    # An entry is asked for its connection alone: its contract need not be there yet.
    listed = {entry.options.connection for entry in declared_sources().entries}
    return listed | {dataset.source.connection for dataset in all_datasets()}


def _as_json(store: BreakerStore, state: BreakerState) -> dict[str, object]:
    return {
        "connection": state.connection,
        "state": state.state,
        "failures": state.failures,
        "failing_since": _iso(state.failing_since),
        "opened_at": _iso(state.opened_at),
        "next_try": _iso(store.next_try(state)),
        "last_failure": state.last_failure or None,
    }


def _as_table(store: BreakerStore, states: Iterable[BreakerState]) -> Table:
    table = Table("connection", "state", "failures", "since", "next try", "last failure")
    for state in states:
        table.add_row(
            state.connection,
            _SHOWN[state.state],
            str(state.failures),
            _iso(state.failing_since) or "",
            _iso(store.next_try(state)) or "",
            state.last_failure,
        )
    return table


def _iso(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
