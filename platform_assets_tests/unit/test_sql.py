"""Quoting: whatever is in a name or a value, it stays one."""

from __future__ import annotations

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from platform_assets.sql import literal_list, quote_identifier, quote_literal, quote_name

ENGINE = duckdb.connect()
TEXT = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"))


@given(value=TEXT, other=TEXT)
def test_a_value_comes_back_as_it_was(value: str, other: str) -> None:
    with ENGINE.cursor() as engine:
        assert engine.execute(f"SELECT {quote_literal(value)}").fetchone() == (value,)
        found = engine.execute(f"SELECT {quote_literal(value)} IN {literal_list([other, value])}")
        assert found.fetchone() == (True,)
        assert engine.execute(f"SELECT 1 WHERE '' IN {literal_list([])}").fetchall() == []


@given(name=TEXT.filter(bool))
def test_a_name_comes_back_as_it_was(name: str) -> None:
    with ENGINE.cursor() as engine:
        found = engine.execute(f"SELECT 1 AS {quote_identifier(name)}").description
        assert found is not None
        assert found[0][0] == name


def test_names_are_quoted_part_by_part() -> None:
    assert quote_name("lake", 'a"b', "c.d") == '"lake"."a""b"."c.d"'


@pytest.mark.parametrize("name", ["", "a\0b"])
def test_what_no_sql_text_can_carry_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="identifier"):
        quote_identifier(name)


@pytest.mark.parametrize("value", ["a\0b", "a\udcffb"])
def test_a_value_that_no_sql_text_can_carry_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="literal"):
        quote_literal(value)
