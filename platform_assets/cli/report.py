"""``platform-assets report``: the status page, written now.

Belongs here: arguments and output. Does not belong here: the page (``report``).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from platform_assets.cli.console import Json, console, explained


@explained
def report(
    out: Annotated[
        Path | None, typer.Option(help="File to write; default: <data_dir>/report.html.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write the status page: how everything stands, in one HTML file that needs no network."""
    from platform_assets.assets.report import write_status_page
    from platform_assets.cli import ROOT
    from platform_assets.cli.instance import ensure_home
    from platform_assets.declared.catalogue import every_dataset
    from platform_assets.settings import load_settings

    ensure_home(ROOT / "dagster.yaml")
    # A code location reads the instance's environment, which is there only now.
    from platform_assets.definitions import defs

    written = write_status_page(every_dataset(), defs, load_settings(), out)
    if as_json:
        told = {
            "path": str(written.path),
            "bytes": written.bytes,
            "states": dict(written.states),
            "need_somebody": written.need_somebody,
        }
        typer.echo(json.dumps(told, indent=2))
        return
    states = ", ".join(f"{number} {state}" for state, number in written.states.items())
    console.print(f"wrote {written.path}: {states or 'nothing is declared'}", highlight=False)
