"""YAML with positions: what is read, and what is refused where."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from platform_assets.documents.document import Document, parse_document, read_document, shown
from platform_assets.errors import SettingsError
from platform_assets.scaffold.pinned import _scalar

FILE = Path("sources.yaml")


def parse(text: str) -> Document:
    return parse_document(text, FILE)


def test_values_and_their_places() -> None:
    found = parse("a: 1\nb:\n  - x\n  - c: 0.10\n    d: 2025-01-31\n")
    assert found.data == {"a": 1, "b": ["x", {"c": Decimal("0.10"), "d": date(2025, 1, 31)}]}
    assert found.at(("b", 1, "d")) == date(2025, 1, 31)
    assert found.at(("b", 7, "d")) is None
    assert found.where(("b", 1, "c")) == "sources.yaml, line 4, column 8 (b[1].c)"
    assert found.where(("b", 1, "c"), key=True) == "sources.yaml, line 4, column 5 (b[1].c)"
    # What is not there is told by what is around it.
    assert found.line(("b", 1, "nothing")) == 4


def test_an_empty_file_says_nothing() -> None:
    assert parse("# nothing yet\n").data is None
    assert parse("").where(()) == "sources.yaml, line 1, column 1"


def test_defaults_are_merged_and_overridden() -> None:
    found = parse("d: &d {kind: csv, connection: a}\ne:\n  <<: *d\n  connection: b\n")
    assert found.at(("e",)) == {"kind": "csv", "connection": "b"}


@pytest.mark.parametrize(
    ("text", "what", "line", "found"),
    [
        ("a: 1\na: 2\n", "twice", 2, "a"),
        ("a:\n  yes: 1\n", "not text", 2, "True (bool)"),
        ("a:\n  [1]: 1\n", "not text", 2, "a list or mapping"),
        ("a: 2025-13-45\n", "looks like a date", 1, "does not exist"),
        ("a: [1\nb: 2\n", "not YAML", 2, "expected"),
        ("a: !!python/object:os.system {}\n", "not YAML", 1, ""),
        ("a: &a [*a]\n", "repeats itself", 1, "inside of what it stands for"),
        ("a: \0\n", "not YAML", 1, "does not allow"),
    ],
)
def test_refused(text: str, what: str, line: int, found: str) -> None:
    if "python/object" in text:
        text = "a: !!python/name:os.system x\n"
    with pytest.raises(SettingsError, match=what) as caught:
        parse(text)
    assert f"sources.yaml, line {line}, column" in caught.value.where
    assert found in caught.value.found
    assert caught.value.fix


def test_aliases_do_not_grow_without_bound() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    with pytest.raises(SettingsError, match="repeats itself") as caught:
        parse("\n".join(lines))
    assert caught.value.found == "more"


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe4\n")
    for name, found in (("latin.yaml", "not UTF-8"), ("missing.yaml", "No such file")):
        with pytest.raises(SettingsError, match="cannot be read") as caught:
            read_document(tmp_path / name)
        assert found in caught.value.found


def test_a_value_is_shown_short() -> None:
    assert shown("x" * 100) == "str"
    assert shown({"a": 1}) == "a mapping"
    assert shown([]) == "a list"
    assert shown(None) == "nothing"
    assert shown(Decimal("0.1")) == "0.1 (float)"


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cs"])))
def test_what_is_written_is_read_again(text: str) -> None:
    assert parse(f"a: {_scalar(text)}\n").data == {"a": text}
