"""``platform-assets metrics``: what the platform tells Prometheus.

Belongs here: the commands, and where an installation's sources of metrics are. Does not belong
here: the metrics (``observability.metrics``).
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from platform_assets.cli import ROOT
from platform_assets.cli.console import console, explained

if TYPE_CHECKING:
    from platform_assets.observability.metrics import Exporter

PORT = 9464

metrics_app = typer.Typer(
    no_args_is_help=True, help="Metrics for Prometheus: rows, failures, freshness, cost and more."
)


@metrics_app.command()
@explained
def serve(
    host: Annotated[
        str, typer.Option(help="Address to listen on; there is no login.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0: a free one.")] = PORT,
) -> None:
    """Serve /metrics and /healthz until it is stopped; Ctrl-C or SIGTERM ends it."""
    from platform_assets.observability.metrics.server import METRICS_PATH, bind

    # As Ctrl-C, also where a shell that started it in the background ignores that.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    with _exporter() as exporter, bind(exporter, host, port) as server:
        shown = f"[{host}]" if ":" in host else host
        exporter.warm_up()
        console.print(f"metrics at http://{shown}:{server.server_port}{METRICS_PATH}")
        server.serve_forever()


@metrics_app.command(name="print")
@explained
def print_metrics() -> None:
    """Print the metrics once, for a look or for a textfile collector."""
    with _exporter() as exporter:
        exporter.warm_up()
        typer.echo(exporter.text().decode(), nl=False)


def _stop(number: int, frame: object) -> NoReturn:
    raise SystemExit(0)


@contextmanager
def _exporter() -> Iterator[Exporter]:
    """The exporter of this installation."""
    import dagster as dg

    from platform_assets.cli.code_location import code_location
    from platform_assets.cli.instance import ensure_home
    from platform_assets.observability.metrics import exporter_of
    from platform_assets.resources import lake_config
    from platform_assets.settings import load_settings

    settings = load_settings()
    ensure_home(ROOT / "dagster.yaml")
    with dg.DagsterInstance.get() as instance:
        exporter = exporter_of(
            lake_config(settings),
            instance,
            code_location(),
            breakers=settings.breakers,
            watch=settings.watch,
        )
        try:
            yield exporter
        finally:
            exporter.close()
