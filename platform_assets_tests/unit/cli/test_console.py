"""Errors on the terminal: whatever stands in them is text, and the exit status says so."""

from __future__ import annotations

import pytest
import typer

from platform_assets.cli.console import EXIT_BAD_INPUT, explained
from platform_assets.errors import SourceError


def test_an_error_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    @explained
    def command() -> None:
        raise SourceError("[no] markup", where="[/]", expected="[bold]x", found="\\[y]", fix="z")

    with pytest.raises(typer.Exit) as caught:
        command()
    assert caught.value.exit_code == EXIT_BAD_INPUT == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "error: [no] markup",
        "  where: [/]",
        "  expected: [bold]x",
        "  found: \\[y]",
        "  fix: z",
    ]


def test_what_is_no_error_of_the_platform_is_not_hidden() -> None:
    @explained
    def command() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        command()


def test_a_command_returns_what_it_returns() -> None:
    @explained
    def command(number: int) -> int:
        """What it does."""
        return number + 1

    assert command(1) == 2
    assert command.__doc__ == "What it does."
