"""Debezium's envelope in every shape that connectors and sinks give it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from platform_assets.errors import SourceError
from platform_assets.sources.change_source import ChangeRequest
from platform_assets.sources.envelope import Envelopes
from platform_assets.sources.log_landing import landing

REQUEST = ChangeRequest(
    dataset="things", key=("id",), columns=("id",), decimals={}, event_time=None, cursor=None,
    requested=("all",), windows=(), again=(), loaded=(), held=None,
    time_sql=lambda column, types: column, partition_sql=lambda types, changed: "'all'",
)  # fmt: skip
ROW = {"id": 7, "name": "a \"quoted\", 'name'", "gone": None}
SOURCE = {"lsn": 12, "ts_ms": 1_735_689_600_000}
CREATED = {"op": "c", "before": None, "after": ROW, "source": SOURCE, "ts_ms": 1}
DELETED = {"op": "d", "before": ROW, "after": None, "source": SOURCE, "ts_ms": 1}
BARE_DELETE = {"op": "d", "before": None, "after": None, "source": SOURCE}
SCHEMA = {"type": "struct", "fields": [{"field": "op", "op": "c"}], "optional": False}


@pytest.fixture
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": 2}) as connection:
        yield connection


def read(
    engine: duckdb.DuckDBPyConnection, *lines: object, **options: Any
) -> tuple[list[dict[str, Any]], Envelopes]:
    """The events of lines, which are given as text or as what they hold."""
    told = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    with landing(engine) as land:
        land.take("log", [b"".join(line + b"\n" for line in told)])
        events = Envelopes(engine, land, "the test", ("id",), **options)
        events.parse()
        columns = events.fields(("id",))
        relation = engine.sql(f"SELECT * FROM ({events.select(REQUEST, columns)}) ORDER BY _place")
        names = relation.columns
        return [dict(zip(names, each, strict=True)) for each in relation.fetchall()], events


@pytest.mark.parametrize(
    ("line", "op"),
    [
        (CREATED, "c"),
        ({**CREATED, "op": "u"}, "u"),
        ({**CREATED, "op": "r"}, "r"),
        (DELETED, "d"),
        ({"schema": SCHEMA, "payload": CREATED}, "c"),
        ({"key": {"id": 7}, "value": DELETED}, "d"),
        (
            {
                "key": {"schema": SCHEMA, "payload": {"id": 7}},
                "value": {"schema": SCHEMA, "payload": CREATED},
            },
            "c",
        ),
        ({"topic": "t", "key": json.dumps({"id": 7}), "payload": json.dumps(CREATED)}, "c"),
        (
            {"key": json.dumps({"id": 7}), "value": json.dumps({"schema": 1, "payload": DELETED})},
            "d",
        ),
    ],
)
def test_every_shape_is_the_same_event(
    engine: duckdb.DuckDBPyConnection, line: object, op: str
) -> None:
    (found,), _ = read(engine, line)
    assert (found["id"], found["name"], found["gone"]) == ("7", ROW["name"], None)
    assert (found["_op"], found["_position"]) == (op, 12)
    assert found["_changed_at"] == datetime(2025, 1, 1)
    assert (found["_source_file"], found["_partition"]) == ("log", "all")


def test_a_delete_without_a_row_is_known_by_its_key(engine: duckdb.DuckDBPyConnection) -> None:
    (found,), _ = read(engine, {"key": {"schema": {}, "payload": {"id": 7}}, "value": BARE_DELETE})
    assert (found["id"], found["_op"]) == ("7", "d")


@pytest.mark.parametrize(
    "line",
    [
        None,
        {"key": {"id": 7}, "value": None},
        {"schema": None, "payload": None},
        {"key": {"id": 7}, "value": {"schema": SCHEMA, "payload": None}},
        {"topic": "t", "key": "{}", "payload": None},
    ],
)
def test_a_tombstone_says_nothing(engine: duckdb.DuckDBPyConnection, line: object) -> None:
    found, events = read(engine, CREATED, line, b"", b"  ")
    assert len(found) == 1
    engine.execute("CREATE TEMP TABLE staged AS SELECT 1")
    (control,) = events.controls("staged")
    assert (control.at_source, control.arrived) == ("2", "2")
    engine.execute("DELETE FROM staged")
    assert not events.controls("staged")[0].holds


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"{", "it is not JSON"),
        (b'{"op":"c","after":{"id":1\r},"source":{"lsn":1}}', "it is not JSON"),
        (b'{"op":"c","after":{"id":1},"source":{"lsn":1}}\x1f', "it is not JSON"),
        ({"id": 7}, "it has no op"),
        ([1], "it has no op"),
        ({**CREATED, "op": "t"}, "its op is none of c, u, d and r"),
        ({**CREATED, "after": None}, "it has no row"),
        ({**CREATED, "after": "text"}, "it has no row"),
        ({**CREATED, "after": {"name": "x"}}, "it has no key"),
        ({**DELETED, "before": None}, "it has no key"),
        ({**CREATED, "source": {}}, "it has no position"),
        ({**CREATED, "source": {"lsn": "x"}}, "it has no position"),
    ],
)
def test_a_line_that_is_no_event_is_refused_with_its_place(
    engine: duckdb.DuckDBPyConnection, line: object, said: str
) -> None:
    with pytest.raises(SourceError, match="a line that is no event") as caught:
        read(engine, CREATED, b"", line, CREATED)
    assert caught.value.where == "the test, log, line 3"
    assert caught.value.found == f"log, line 3: {said}"
    found, _ = read(engine, CREATED, line, on_bad_line="quarantine")
    kept = line.decode() if isinstance(line, bytes) else json.dumps(line)
    assert found[0]["_line"] is None
    assert found[1]["_line"].replace("\x01", "") == kept.translate({0x1F: None, 0x0D: None})
    assert (found[1]["id"], found[1]["_partition"]) == (None, "all")


def test_bytes_that_are_no_text_are_refused(engine: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(SourceError, match="cannot be read") as caught:
        read(engine, CREATED, b'{"op": "\xff"}')
    assert "log, line 2" in caught.value.where


@pytest.mark.parametrize("name", ["_op", "_line", "ID", ""])
def test_a_field_that_cannot_be_a_column_is_refused(
    engine: duckdb.DuckDBPyConnection, name: str
) -> None:
    with pytest.raises(SourceError, match="cannot be a column"):
        read(engine, {**CREATED, "after": {"id": 7, name: 1}})


@pytest.mark.parametrize(
    ("source", "position", "expected"),
    [
        ({"file": "mysql-bin.000003", "pos": 154}, None, (3 << 32) + 154),
        ({"scn": "99"}, "source.scn", 99),
        ({"lsn": 5, "ts_ms": 8}, "source.ts_ms", 8),
    ],
)
def test_where_a_position_is_told(
    engine: duckdb.DuckDBPyConnection, source: object, position: str | None, expected: int
) -> None:
    (found,), _ = read(engine, {**CREATED, "source": source}, position=position)
    assert found["_position"] == expected


def test_times_that_are_numbers(engine: duckdb.DuckDBPyConnection) -> None:
    after = {"id": 7, "a": 20089, "b": 1735689600123, "c": 1735689600123456, "d": "none", "e": None}
    units: Any = {"a": "days", "b": "millis", "C": "micros", "d": "micros", "e": "nanos"}
    (found,), _ = read(engine, {**CREATED, "after": after}, units=units)
    assert [found[name] for name in "abcde"] == [
        "2025-01-01",
        "2025-01-01 00:00:00.123",
        "2025-01-01 00:00:00.123456",
        "none",
        None,
    ]


NUMBERS = st.one_of(
    st.integers(-(10**30), 10**30).map(str),
    st.decimals(allow_nan=False, allow_infinity=False, places=4).map(lambda d: format(d, "f")),
    st.decimals(allow_nan=False, allow_infinity=False).map(str),
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)


@settings(max_examples=60, deadline=None)
@given(numbers=st.lists(NUMBERS, min_size=1, max_size=4), text=TEXTS, name=TEXTS)
def test_numbers_and_texts_arrive_as_they_were_written(
    numbers: list[str], text: str, name: str
) -> None:
    name = f"x {name}"
    listed = ", ".join(numbers)
    after = (
        f'{{"id": 7, "n": {numbers[0]}, {json.dumps(name)}: {json.dumps(text)}, "all": [{listed}]}}'
    )
    line = f'{{"op": "c", "after": {after}, "source": {{"lsn": 12}}}}'.encode()
    with duckdb.connect() as engine:
        (found,), _ = read(engine, line)
    assert Decimal(found["n"]) == Decimal(numbers[0])
    if "E" not in numbers[0] and numbers[0] != "-0":
        assert found["n"] == numbers[0]
    assert found[name] == text
    assert [Decimal(str(n)) for n in json.loads(found["all"], parse_float=Decimal)] == [
        Decimal(n) for n in numbers
    ]
