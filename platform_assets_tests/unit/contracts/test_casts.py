"""Text is cast exactly or not at all: the engine against a parser written in Python."""

from __future__ import annotations

import math
import re
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from platform_assets.contracts.casts import cast
from platform_assets.contracts.types import column_type

PROFILE = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
SPACE = " \t\n\v\f\r"
TRUE, FALSE = {"true", "t", "1", "yes", "y"}, {"false", "f", "0", "no", "n"}


def read_int(text: str) -> int | None:
    match = re.fullmatch(r"([+-]?[0-9]+)(\.0*)?", text.strip(SPACE))
    value = int(match[1]) if match else None
    return value if value is not None and -(2**63) <= value < 2**63 else None


def read_decimal(text: str, precision: int, scale: int) -> Decimal | None:
    match = re.fullmatch(r"([+-]?)([0-9]*)(?:\.([0-9]*))?", text.strip(SPACE))
    if match is None or not (match[2] or match[3]):
        return None
    fraction = match[3] or ""
    if fraction[scale:].strip("0"):
        return None
    digits = int((match[2] or "0") + fraction[:scale].ljust(scale, "0"))
    if digits >= 10**precision:
        return None
    sign = 1 if match[1] == "-" else 0
    return Decimal((sign, tuple(map(int, str(digits))), -scale))


def read_float(text: str) -> float | None:
    clean = text.strip(SPACE)
    if not re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", clean):
        return None
    value = float(clean)
    return value if math.isfinite(value) else None


def read_bool(text: str) -> bool | None:
    clean = text.strip(SPACE).lower() if text.isascii() else ""
    return True if clean in TRUE else False if clean in FALSE else None


def read_date(text: str) -> date | None:
    match = re.fullmatch(r"([0-9]{4})-([0-9]{2})-([0-9]{2})", text.strip(SPACE))
    try:
        return date(*map(int, match.groups())) if match else None
    except ValueError:
        return None


def read_datetime(text: str) -> datetime | None:
    match = re.fullmatch(
        r"([0-9]{4}-[0-9]{2}-[0-9]{2})"
        r"(?:[T ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,6}))?)?"
        r"(Z|([+-])([0-9]{2})(?::([0-9]{2}))?)?)?",
        text.strip(SPACE),
    )
    day = read_date(match[1]) if match else None
    if match is None or day is None:
        return None
    hour, minute, second = (int(match[n] or 0) for n in (2, 3, 4))
    try:
        value = datetime(day.year, day.month, day.day, hour, minute, second)
        value += timedelta(microseconds=int((match[5] or "").ljust(6, "0")))
        if match[7]:
            hours, minutes = int(match[8]), int(match[9] or 0)
            if hours > 23 or minutes > 59:
                return None
            offset = timedelta(hours=hours, minutes=minutes)
            value += -offset if match[7] == "+" else offset
    except (ValueError, OverflowError):
        return None
    return value


def engine_reads(
    engine: duckdb.DuckDBPyConnection,
    texts: list[str],
    python: type,
    decimal: tuple[int, int] | None = None,
    format: str | None = None,
) -> list[Any]:
    kind = column_type(python, decimal)
    assert kind is not None
    whole = cast("v.t", kind, format)
    found = engine.execute(
        f"SELECT {whole.sql}, {whole.trusted} FROM (SELECT unnest($texts::VARCHAR[]) AS t) v",
        {"texts": texts},
    ).fetchall()
    # What is used of judged rows is the same value, wherever there is one.
    differing = [t for t, (a, b) in zip(texts, found, strict=True) if a is not None and a != b]
    assert not differing, differing[:5]
    return [value for value, _ in found]


def same(a: Any, b: Any) -> bool:
    if isinstance(a, Decimal) and isinstance(b, Decimal):
        return a == b
    return type(a) is type(b) and a == b


def agree(texts: list[str], ours: list[Any], theirs: list[Any]) -> None:
    wrong = [t for t in zip(texts, ours, theirs, strict=True) if not same(t[1], t[2])]
    assert not wrong, wrong[:5]


space = st.text(SPACE + "\xa0", max_size=2)
sign = st.sampled_from(["", "", "+", "-", "--", "\u2212"])
digits = st.text("0123456789", max_size=22) | st.sampled_from(
    ["0", "00", "9223372036854775807", "9223372036854775808", "1" * 40, "٣", "1_0", "0x1F", "0b1"]
)
fraction = st.sampled_from(["", ".", ".0", ".00", ".5", ".000000000", ".999", ".9999999999"]) | (
    st.text("0129", min_size=1, max_size=12).map(lambda d: f".{d}")
)
exponent = st.sampled_from(["", "", "", "e3", "E-2", "e+1", "e", "e400", "e-400", "d1", "_1", "%"])
number = st.tuples(space, sign, digits, fraction, exponent, space).map("".join)
noise = st.text("0123456789+-.eE_xXbBinfatyuNs:TZ/ \t\n,", max_size=12)
words = st.sampled_from(
    [
        "true",
        "TRUE",
        "t",
        "F",
        "yes",
        "No",
        "n",
        "Y",
        "on",
        "off",
        "1",
        "0",
        "01",
        "tru",
        "\u017f",
        "nan",
        "inf",
        "-Infinity",
        "infinity",
        "epoch",
        "now",
        "today",
        "None",
        "null",
        "",
    ]
)
numbers = st.lists(number | noise | words | number.map(str.strip), min_size=20, max_size=60)

year = st.sampled_from(["2024", "0001", "0000", "9999", "24", "12024", "-001", " 024", "2023"])
two = st.integers(0, 99).map("{:02d}".format) | st.sampled_from(["1", " 1", "1 ", "", "001"])
sane = st.integers(1, 28).map("{:02d}".format)
day = st.tuples(
    year, st.sampled_from(["-", "-", "-", "/", ""]), sane | two, st.just("-"), sane | two
).map("".join)
good_day = st.dates().map(str)
clock = (
    st.times().map(str)
    | st.times().map("{:%H:%M}".format)
    | st.tuples(sane | two, st.just(":"), two).map("".join)
)
offset = st.sampled_from(
    ["", "", "Z", "z", "+05", "-05:30", "+0530", "+23:59", "-24", "+5", " UTC", "+05:60", "-00"]
)
tail = st.sampled_from(["", "", ".", ".1", ".123456", ".1234567", " (BC)", ":00", ":60"])
moment = st.tuples(
    space, good_day | day, st.sampled_from(["T", " ", "  ", "t", ""]), clock, tail, offset, space
).map("".join)
moments = st.lists(
    moment | good_day | day | st.datetimes().map(str) | noise | words, min_size=20, max_size=60
)


@PROFILE
@given(numbers)
def test_int(engine: duckdb.DuckDBPyConnection, texts: list[str]) -> None:
    agree(texts, engine_reads(engine, texts, int), [read_int(t) for t in texts])


@PROFILE
@given(numbers, st.sampled_from([(18, 2), (38, 10), (3, 0), (4, 4), (9, 3), (38, 0), (38, 38)]))
def test_decimal(
    engine: duckdb.DuckDBPyConnection, texts: list[str], size: tuple[int, int]
) -> None:
    expected = [read_decimal(t, *size) for t in texts]
    agree(texts, engine_reads(engine, texts, Decimal, size), expected)


@PROFILE
@given(numbers)
def test_float(engine: duckdb.DuckDBPyConnection, texts: list[str]) -> None:
    agree(texts, engine_reads(engine, texts, float), [read_float(t) for t in texts])


@PROFILE
@given(st.lists(words | noise | st.tuples(space, words, space).map("".join), min_size=20))
def test_bool(engine: duckdb.DuckDBPyConnection, texts: list[str]) -> None:
    agree(texts, engine_reads(engine, texts, bool), [read_bool(t) for t in texts])


@PROFILE
@given(moments)
def test_date(engine: duckdb.DuckDBPyConnection, texts: list[str]) -> None:
    agree(texts, engine_reads(engine, texts, date), [read_date(t) for t in texts])


@PROFILE
@given(moments)
def test_datetime(engine: duckdb.DuckDBPyConnection, texts: list[str]) -> None:
    agree(texts, engine_reads(engine, texts, datetime), [read_datetime(t) for t in texts])


@PROFILE
@given(
    st.sampled_from(
        [
            "%m/%d/%Y",
            "%m/%d/%Y %H:%M",
            "%Y%m%d",
            "%d.%m.%y",
            "%d %b %Y",
            "%B %d, %Y %I:%M:%S %p",
            "%Y-%m-%dT%H:%M:%S.%f",
            "%Y%m%d%H%M%S",
            "%d%%%m%%%Y",
        ]
    ),
    st.lists(st.datetimes(), min_size=5, max_size=20),
    st.data(),
)
def test_format(
    engine: duckdb.DuckDBPyConnection, format: str, values: list[datetime], data: st.DataObject
) -> None:
    texts = []
    for value in values:
        text = value.strftime(format)
        if "%Y" in format:
            text = text.replace(str(value.year), f"{value.year:04d}", 1)
        if data.draw(st.booleans()):
            spot = data.draw(st.integers(0, len(text)))
            text = text[:spot] + data.draw(st.sampled_from(["0", "9", " ", "-", "x"])) + text[spot:]
        texts.append(text)

    def read(text: str) -> datetime | None:
        # strptime lets blanks stand for any blanks, and digits of other scripts for digits.
        try:
            value = datetime.strptime(text, format)
        except ValueError:
            return None
        return value

    kind = datetime
    found = engine_reads(engine, texts, kind, format=format)
    for text, ours in zip(texts, found, strict=True):
        theirs = read(text.strip(SPACE))
        if ours is not None:
            assert ours == theirs, (text, ours, theirs)
    unharmed = [v.strftime(format) for v in values if v.year >= 1000]
    assert engine_reads(engine, unharmed, kind, format=format) == [read(t) for t in unharmed]


@pytest.mark.parametrize(
    ("python", "text", "value"),
    [
        (int, "17850.0", 17850),
        (int, "1.5", None),
        (int, "1_000", None),
        (int, "1e3", None),
        (int, "0x1F", None),
        (int, " +7\n", 7),
        (float, "1_0", None),
        (float, "nan", None),
        (float, "1e400", None),
        (float, "-1.5E3", -1500.0),
        (bool, " Yes ", True),
        (bool, "on", None),
        (date, "2024-02-30", None),
        (date, "2024-1-2", None),
        (date, "2024-01-1 ", None),
        (date, "infinity", None),
        (datetime, "2024-01-02T03:04:05+05:30", datetime(2024, 1, 1, 21, 34, 5)),
        (datetime, "2024-01-02 03:04Z", datetime(2024, 1, 2, 3, 4)),
        (datetime, "2024-01-02T03:04+01", datetime(2024, 1, 2, 2, 4)),
        (datetime, "   2024-01-02 03:04", datetime(2024, 1, 2, 3, 4)),
        (datetime, "2024-01-02", datetime(2024, 1, 2)),
        (datetime, "2024-01-02 24:00:00", None),
        (str, " as is ", " as is "),
    ],
)
def test_examples(
    engine: duckdb.DuckDBPyConnection, python: type, text: str, value: object
) -> None:
    assert engine_reads(engine, [text], python) == [value]


def test_money_is_never_rounded(engine: duckdb.DuckDBPyConnection) -> None:
    texts = ["1.005", "1.00500", "1.5000000", "0.1", "99.995", "1e2", "NaN", "-.5"]
    expected = [None, None, Decimal("1.50"), Decimal("0.10"), None, None, None, Decimal("-0.50")]
    assert engine_reads(engine, texts, Decimal, (18, 2)) == expected


def test_null_is_null(engine: duckdb.DuckDBPyConnection) -> None:
    for python in (int, float, bool, date, datetime, str):
        kind = column_type(python, None)
        assert kind is not None
        sql = cast("v.t", kind).sql
        assert engine.execute(f"SELECT {sql} FROM (SELECT NULL::VARCHAR t) v").fetchone() == (None,)
