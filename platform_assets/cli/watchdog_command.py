"""``platform-assets watchdog``: the rounds of the watchdog, once or for as long as it is left to.

Belongs here: options, waiting, and going on after a round that failed. Does not belong here: a
round (``watchdog``).
"""

from __future__ import annotations

import signal
import threading
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from platform_assets.cli.console import EXIT_PARTIAL, console, errors, explained
from platform_assets.errors import PlatformError, SettingsError

if TYPE_CHECKING:
    from platform_assets.cli.watchdog import Watchdog

EVERY = 30.0


@explained
def watchdog(
    every: Annotated[
        float | None,
        typer.Option(
            help=f"Seconds from round to round, {EVERY:.0f} by default. With --once: how often "
            "cron calls; without it, nobody expects another round.",
            min=1,
        ),
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="One round; exits 1 where something is silent.")
    ] = False,
    ping_url: Annotated[
        str, typer.Option(help="Address outside to call after each healthy round; /fail below it.")
    ] = "",
) -> None:
    """Watch the alert loop and the daemon from a process of its own, and tell when they stop."""
    from platform_assets.cli.watchdog import Watchdog
    from platform_assets.settings import load_settings

    settings = load_settings()
    given = settings.ping_url.get_secret_value() if settings.ping_url else ""
    dog = Watchdog(
        watch=settings.watch,
        alerts=Path(settings.alerts),
        data_dir=settings.data_dir,
        ui_url=settings.ui_url,
        every=None if once and every is None else timedelta(seconds=every or EVERY),
        ping_url=_examined(ping_url or given),
    )
    if once:
        if not _round(dog):
            raise typer.Exit(EXIT_PARTIAL)
        return
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    while not ended.is_set():
        _round(dog)
        ended.wait(every or EVERY)


def _round(dog: Watchdog) -> bool:
    """One round; gives whether all is well. Whatever is broken, the next one is tried."""
    import sqlalchemy as sa

    try:
        health = dog.go_round()
    except (PlatformError, sa.exc.SQLAlchemyError, OSError) as error:
        # Nothing can be written down, so the outside is the only one left to be told.
        told = dog.ping(healthy=False, text="the database of alerts cannot be used")
        errors.print(f"[bold red]no round:[/] {str(error).splitlines()[0]}", highlight=False)
        if told:
            errors.print(f"the ping failed: {told}", highlight=False)
        return False
    line = health.text if not health.ping_error else f"{health.text}; ping: {health.ping_error}"
    console.print(f"{line}; {health.delivered.sent} message(s) sent", highlight=False)
    return health.healthy


def _examined(url: str) -> str:
    if url and not url.startswith(("https://", "http://")):
        raise SettingsError(
            "The address to ping is none",
            where="option --ping-url, or PLATFORM_ASSETS_PING_URL",
            expected="an address that begins with https:// or http://",
            found="another text (not shown: it may be a secret)",
            fix="copy it from your monitor, such as https://hc-ping.com/<id>",
        )
    return url
