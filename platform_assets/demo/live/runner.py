"""Runs a living shop until it is told to end: the API, and a day every so many seconds.

Belongs here: the command line, signals, what is printed. Does not belong here: what a day is.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from types import FrameType
from typing import Any

from platform_assets.demo.live import injections
from platform_assets.demo.live.server import ApiServer, serving
from platform_assets.demo.live.shop import LiveShop
from platform_assets.errors import PlatformError, SettingsError

TOKEN_ENV = "LIVE_SHOP_TOKEN"  # noqa: S105 -- the name of the variable, not a token
"""The environment variable that holds the API's token, where no other is named."""

_LOOK_SECONDS = 0.5
"""How often the API looks whether another process turned a misbehaviour on or off."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: The arguments; None for those of the process.

    Returns:
        The exit code: 0, or 2 for what the caller has to set right.
    """
    options = _parser().parse_args(arguments)
    try:
        chosen = injections.parse(options.inject or "")
        _check_not_negative("--day-seconds", options.day_seconds)
        _check_not_negative("--days", options.days or 0)
        shop = LiveShop.open(
            options.folder,
            start=options.start,
            seed=options.seed,
            orders_per_day=options.orders_per_day,
            ticket_schema=options.ticket_schema or None,
        )
        if options.switch:
            _switch(shop, chosen, options.inject_days)
        else:
            _run(shop, options, chosen)
    except PlatformError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m platform_assets.demo.live",
        description="A small shop that lives a day every few seconds, with an API of its products.",
    )
    parser.add_argument("--folder", type=Path, required=True, help="the folder of the shop")
    parser.add_argument("--day-seconds", type=float, default=30.0, help="seconds of a day")
    parser.add_argument("--days", type=int, help="end after so many days (default: never)")
    parser.add_argument("--port", type=int, default=0, help="of the API; 0 for a free one")
    parser.add_argument(
        "--token-env",
        default=TOKEN_ENV,
        metavar="NAME",
        help="the environment variable that holds the API's token",
    )
    parser.add_argument(
        "--inject",
        metavar="NAMES",
        help=f"misbehaviours with commas between, of {', '.join(injections.NAMES)}; options after"
        " a colon: slow:milliseconds=500, down:api=refused:database=up. They end with the run.",
    )
    parser.add_argument("--inject-days", type=int, help="end the misbehaviours after so many days")
    parser.add_argument(
        "--switch",
        action="store_true",
        help="run nothing: leave the shop, which may be running, with just these misbehaviours",
    )
    parser.add_argument("--start", type=date.fromisoformat, help="the first day of a new shop")
    parser.add_argument("--seed", type=int, help="of a new shop")
    parser.add_argument("--orders-per-day", type=int, help="of a new shop")
    parser.add_argument(
        "--ticket-schema", action="store_true", help="a new shop's change log has schemas"
    )
    return parser


def _switch(shop: LiveShop, chosen: Sequence[tuple[str, dict[str, Any]]], days: int | None) -> None:
    shop.stop()
    for name, settings in chosen:
        shop.inject(name, days=days, **settings)
    print(f"injected: {', '.join(name for name, _ in chosen) or 'nothing'}", flush=True)


def _run(
    shop: LiveShop,
    options: argparse.Namespace,
    chosen: Sequence[tuple[str, dict[str, Any]]],
) -> None:
    token = _token(options.token_env)
    with _told_to_end() as ended, serving(shop, options.port, token=token) as server:
        print(f"products at {server.base_url}/products", flush=True)
        try:
            for name, settings in chosen:
                shop.inject(name, days=options.inject_days, **settings)
            _live(shop, server, ended, options.day_seconds, options.days)
        finally:
            # What the run turned on, it turns off: the next one begins as this one did.
            if chosen:
                shop.stop(*(name for name, _ in chosen))


def _live(
    shop: LiveShop, server: ApiServer, ended: threading.Event, seconds: float, days: int | None
) -> None:
    lived = 0
    while not ended.is_set() and (days is None or lived < days):
        for report in shop.advance():
            print(report.line(), flush=True)
        lived += 1
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not ended.wait(min(left, _LOOK_SECONDS)):
            server.follow()


@contextmanager
def _told_to_end() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set, instead of breaking off a day."""
    ended = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        ended.set()

    former = {each: signal.signal(each, end) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield ended
    finally:
        for each, handler in former.items():
            signal.signal(each, handler)


def _check_not_negative(name: str, number: float) -> None:
    if number < 0:
        raise SettingsError(
            "An option of the living shop is negative.",
            where=name,
            expected="a number from 0 up",
            found=f"{number:g}",
            fix=f"set {name} to 0 or more, or leave it out",
        )


def _token(name: str) -> str:
    token = os.environ.get(name, "")
    if not token:
        raise SettingsError(
            "The API of the living shop needs a token.",
            where=f"the environment variable {name}",
            expected="the bearer token that its readers show",
            found="nothing",
            fix=f"set {name}, or name another variable with --token-env",
        )
    return token
