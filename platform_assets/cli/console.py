"""What the commands share: the console, and errors printed for people.

Belongs here: output. Does not belong here: any command.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Annotated, ParamSpec, TypeVar

import typer
from rich.console import Console
from rich.markup import escape

from platform_assets.errors import PlatformError

P = ParamSpec("P")
R = TypeVar("R")

EXIT_PARTIAL, EXIT_BAD_INPUT = 1, 2

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for another program.")]

# What is piped into a file or another command is not cut to a terminal's width.
PIPED_WIDTH = 240

console = Console(soft_wrap=True, width=None if sys.stdout.isatty() else PIPED_WIDTH)
errors = Console(stderr=True, soft_wrap=True)


def explained(command: Callable[P, R]) -> Callable[P, R]:
    """Print a platform error as what it is: what, where, expected, found, fix; no traceback."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except PlatformError as error:
            errors.print(f"[bold red]error:[/] {escape(error.what)}", highlight=False)
            for name in ("where", "expected", "found", "fix"):
                if value := getattr(error, name):
                    errors.print(f"  [dim]{name}:[/] {escape(value)}", highlight=False)
            raise typer.Exit(EXIT_BAD_INPUT) from error

    return run
