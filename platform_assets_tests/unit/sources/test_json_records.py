"""Records as the engine reads them: every value as it was written."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from platform_assets.errors import ContractError
from platform_assets.sources.json_records import key_path, relation
from platform_assets.sources.nested import path_of

NUMBERS = st.from_regex(
    r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?", fullmatch=True
)
TEXTS = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=12)


def read(path: Path, *names: str) -> list[tuple[Any, ...]]:
    query = relation([str(path)], {name: path_of(name) for name in names})
    with duckdb.connect() as engine:
        return engine.execute(f"SELECT * EXCLUDE (filename) FROM ({query})").fetchall()


def one(tmp_path: Path, record: str, *names: str) -> tuple[Any, ...]:
    path = tmp_path / "records.ndjson"
    path.write_bytes(record.encode() + b"\n")
    return read(path, *names)[0]


@pytest.mark.parametrize(
    "number",
    ["1.10", "1e5", "1E+05", "12345678901234567890", "-0", "-0.0", "0.1000", "0",
     "12345678901234567.89", "123456789012345678901234567890.123456789", "1.8e309"],
)  # fmt: skip
def test_a_number_is_as_it_was_written(tmp_path: Path, number: str) -> None:
    record = f'{{"a": {number}, "b": {{"c": [{number}, {{"d": {number}}}]}}, "e": "{number}"}}'
    found = one(tmp_path, record, "a", "b.c[0]", "b.c[1].d", "b", "e")
    assert found == (
        number, number, number, f'{{"c":[{number},{{"d":{number}}}]}}', number,
    )  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(
    st.dictionaries(
        TEXTS.filter(key_path),
        st.one_of(TEXTS, NUMBERS.map(lambda n: (n,)), st.none(), st.booleans()),
        min_size=1,
        max_size=5,
    )
)
def test_whatever_is_in_a_record_comes_out_as_it_went_in(
    tmp_path: Path, values: dict[str, Any]
) -> None:
    def written(value: Any) -> str:
        return value[0] if isinstance(value, tuple) else json.dumps(value)

    def expected(value: Any) -> str | None:
        if isinstance(value, tuple | bool):
            return written(value)
        return value  # type: ignore[no-any-return]

    record = ", ".join(f"{json.dumps(name)}: {written(value)}" for name, value in values.items())
    path = tmp_path / "records.ndjson"
    path.write_text("{" + record + "}\n")
    paths = {str(number): key_path(name) or "" for number, name in enumerate(values)}
    with duckdb.connect() as engine:
        found = engine.execute(relation([str(path)], paths)).fetchall()[0][:-1]
    assert found == tuple(expected(value) for value in values.values())


def test_nested_values_and_what_is_not_there(tmp_path: Path) -> None:
    record = (
        '{"id": "x", "price": {"amount": 1.50, "tags": ["1.50", 2.0, "a \\"3.0\\" b"]},'
        ' "none": null, "yes": true, "empty": "", "text": "[1.0]", "esc": "\\u00e9\\n\\u0001"}'
    )
    found = one(
        tmp_path, record, "price.amount", "price", "none", "yes", "nope", "price.nope.deep",
        "empty", "text", "esc",
    )  # fmt: skip
    assert found == (
        "1.50", '{"amount":1.50,"tags":["1.50",2.0,"a \\"3.0\\" b"]}', None, "true", None, None,
        "", "[1.0]", "é\n\x01",
    )  # fmt: skip


def test_names_with_dots_stars_and_spaces_are_literal(tmp_path: Path) -> None:
    path = tmp_path / "records.ndjson"
    path.write_text('{"a.b": 1, "a*": 2, "a b": 3, "$": 4, "a": {"b": 5}}\n')
    names = {name: key_path(name) or "" for name in ("a.b", "a*", "a b", "$")}
    with duckdb.connect() as engine:
        found = engine.execute(relation([str(path)], {**names, "n": path_of("a.b")})).fetchall()
    assert found[0][:-1] == ("1", "2", "3", "4", "5")


def test_gzip_and_several_files_tell_where_a_row_is_from(tmp_path: Path) -> None:
    paths = [tmp_path / f"{n}.ndjson.gz" for n in range(2)]
    for n, path in enumerate(paths):
        path.write_bytes(gzip.compress(f'{{"a": {n}.0}}\n{{"a": null}}\n'.encode()))
    with duckdb.connect() as engine:
        found = engine.execute(relation([str(p) for p in paths], {"a": path_of("a")})).fetchall()
    assert sorted(found, key=str) == sorted(
        [
            ("0.0", str(paths[0])),
            (None, str(paths[0])),
            ("1.0", str(paths[1])),
            (None, str(paths[1])),
        ],
        key=str,
    )


@pytest.mark.parametrize(
    "source", ["", "a..b", ".a", "a.", 'a"b', "a[x]", "a[0", "a\\b", "*", "a.*"]
)
def test_what_is_no_path_is_refused(source: str) -> None:
    with pytest.raises(ContractError, match="not a path into a record"):
        path_of(source)


def test_names_that_no_path_can_say() -> None:
    assert [key_path(name) for name in ("", 'a"', "a\\", "a\0", "*", "a")] == [None] * 5 + ['$."a"']
