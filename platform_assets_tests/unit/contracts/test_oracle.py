"""The compiled verdict equals pandera's own lazy validation, row by row and rule by rule.

Hypothesis makes up contracts and frames; the frame is written as text, judged by the engine, and
validated by pandera. Values lie around the bounds of the checks.
"""

from __future__ import annotations

import types
import warnings
from collections import defaultdict
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import duckdb
import pandas as pd
import pandera.errors
import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from platform_assets.contracts import Compare, CompiledContract, Contract, Field, compile_contract
from platform_assets.contracts.checks import SHORT_NAMES
from platform_assets_tests.unit.contracts.support import broken, judge

PROFILE = settings(
    max_examples=75,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
TEXTS = [
    "",
    "a",
    "ab",
    "b",
    "A",
    "a\n",
    "\n",
    "é",
    "中文",
    "😀",
    "a'b",
    ' "',
    "ﬀ",
    "a\0",
    "9",
    "٣",
    "%_",
]
PATTERNS = ["a", "^a$", "[^a]", r"\w+$", r"\d", "a|b", "(a.)?", r"\s*\Z", "(?i)a", r"a\b"]
POOLS: dict[type, list[Any]] = {
    str: TEXTS,
    int: [-(2**63), -2, -1, 0, 1, 2, 3, 2**53 + 1, 2**63 - 1],
    float: [-1e308, -1.5, -0.0, 0.0, 5e-324, 0.1, 0.30000000000000004, 1.0, 1e16, 1e300],
    bool: [True, False],
    Decimal: [Decimal(t) for t in ("-99999.99", "-0.01", "0", "0.01", "1.5", "2", "99999.99")],
    date: [
        date(1, 1, 1),
        date(1969, 12, 31),
        date(2024, 2, 29),
        date(2024, 3, 1),
        date(9999, 12, 31),
    ],
    datetime: [
        datetime(1, 1, 1),
        datetime(1969, 12, 31, 23, 59, 59, 999999),
        datetime(2024, 2, 29, 12),
        datetime(2024, 2, 29, 12) + timedelta(microseconds=1),
        datetime(9999, 12, 31, 23, 59, 59, 999999),
    ],
}
SEVERITIES = st.sampled_from(["error", "warn", "info"])
SQL_TEXTS = [t for t in TEXTS if "\0" not in t]


@st.composite
def fields(draw: st.DrawFn, python: type) -> Any:
    """Make up the description of one column."""
    value = st.sampled_from(SQL_TEXTS if python is str else POOLS[python])
    values = st.lists(value, max_size=3)
    options: dict[str, Any] = {"eq": value, "ne": value, "isin": values, "notin": values}
    if python is not bool:
        options |= dict.fromkeys(("ge", "gt", "le", "lt"), value)
        pair = st.tuples(value, value).map(sorted).filter(lambda p: p[0] < p[1])
        options["in_range"] = pair.flatmap(
            lambda p: st.tuples(st.just(p[0]), st.just(p[1]), st.booleans(), st.booleans())
        )
    if python is str:
        length = st.integers(0, 3)
        options |= {
            "str_matches": st.sampled_from(PATTERNS),
            "str_contains": st.sampled_from(PATTERNS),
            "str_startswith": value,
            "str_endswith": value,
            "str_length": length | st.tuples(length, length).map(lambda p: (p[0], p[0] + p[1] + 1)),
        }
    chosen = draw(st.lists(st.sampled_from(sorted(options)), max_size=3, unique=True))
    kwargs = {name: draw(options[name]) for name in chosen}
    if python is Decimal:
        kwargs["decimal"] = (7, 2)
    return Field(
        nullable=draw(st.booleans()),
        unique=draw(st.integers(0, 3)) == 0,
        severity=draw(SEVERITIES),
        **kwargs,
    )


@st.composite
def contracts(draw: st.DrawFn) -> type[Contract]:
    """Make up a contract."""
    pythons = draw(st.lists(st.sampled_from(list(POOLS)), min_size=1, max_size=4))
    names = [f"c{n}" for n in range(len(pythons))]
    body: dict[str, Any] = {n: draw(fields(p)) for n, p in zip(names, pythons, strict=True)}
    body["__annotations__"] = dict(zip(names, pythons, strict=True))
    kinds = body["__annotations__"]
    alike = [(a, b) for a in names for b in names if a < b and kinds[a] is kinds[b]]
    if alike and draw(st.booleans()):
        left, right = draw(st.sampled_from(alike))
        signs = ["==", "!=", *([] if kinds[left] is bool else ["<", "<=", ">", ">="])]
        sign, severity = draw(st.sampled_from(signs)), draw(SEVERITIES | st.none())
        body["compared"] = Compare(left, sign, right, severity=severity)
    if len(names) > 1 and draw(st.booleans()):
        group = draw(st.lists(st.sampled_from(names), min_size=2, max_size=3, unique=True))
        body["Config"] = type("Config", (), {"unique": group})
    return types.new_class("Made", (Contract,), {}, lambda space: space.update(body))


def as_text(value: Any) -> str | None:
    """Write a value as a source would."""
    return None if value is None else str(value)


@st.composite
def cases(draw: st.DrawFn) -> tuple[type[Contract], dict[str, list[Any]]]:
    """Make up a contract and rows for it."""
    contract = draw(contracts())
    rows = draw(st.integers(1, 12))
    data = {}
    for name, python in contract.__annotations__.items():
        one = st.sampled_from(POOLS[python]) | st.none()
        data[name] = draw(st.lists(one, min_size=rows, max_size=rows))
    return contract, data


def to_arrow(compiled: CompiledContract, data: dict[str, list[Any]]) -> pa.Table:
    kinds = {
        str: pa.string(),
        int: pa.int64(),
        float: pa.float64(),
        bool: pa.bool_(),
        Decimal: pa.decimal128(7, 2),
        date: pa.date32(),
        datetime: pa.timestamp("us"),
    }
    return pa.table(
        {c.name: pa.array(data[c.name], kinds[c.type.python]) for c in compiled.columns}
    )


def pandera_says(contract: type[Contract], frame: pd.DataFrame) -> list[set[str]]:
    """Read pandera's failure cases; what it leaves out of them, it told in the error itself."""
    found: dict[int, set[str]] = defaultdict(set)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            contract.validate(frame, lazy=True)
    except pandera.errors.SchemaErrors as errors:
        for error in errors.schema_errors:
            check = error.check if isinstance(error.check, str) else error.check.name
            assert "dtype" not in str(check), str(error)
            if "uniqueness" in check:
                continue
            name = f"{error.schema.name}__{SHORT_NAMES.get(check, 'not_null')}"
            name = check if check == "compared" else name
            for index in error.failure_cases["index"]:
                found[index].add(name)
    # pandera's cases of duplicates leave out the nulls; what it compares by is `duplicated`.
    schema = contract.to_schema()
    for name, column in schema.columns.items():
        if column.unique:
            for index in frame.index[frame[name].duplicated(keep=False)]:
                found[index].add(f"{name}__unique")
    if schema.unique:
        for index in frame.index[frame.duplicated(list(schema.unique), keep=False)]:
            found[index].add("__".join(("unique", *schema.unique)))
    return [found[n] for n in range(len(frame))]


@PROFILE
@given(cases())
def test_verdict_equals_pandera(
    engine: duckdb.DuckDBPyConnection, case: tuple[type[Contract], dict[str, list[Any]]]
) -> None:
    contract, data = case
    compiled = compile_contract.__wrapped__(contract, "made")
    typed = to_arrow(compiled, data)
    verdict = judge(engine, compiled, {n: [as_text(v) for v in vs] for n, vs in data.items()})

    assert verdict.select(typed.column_names).cast(typed.schema).equals(typed)

    ours = [set(names) for names in broken(verdict)]
    for row in compiled.judge_batch(verdict).to_pylist():
        ours[row["_position"]].add(row["rule"])
    assert ours == pandera_says(contract, compiled.to_frame(typed))

    order = [r.name for r in compiled.rules]
    severe = {r.name for r in compiled.rules if r.severity == "error"}
    for names, rejected in zip(
        verdict.column("_broken").to_pylist(), verdict.column("_rejected").to_pylist(), strict=True
    ):
        assert names is None or names == sorted(names, key=order.index)
        assert names != []
        assert rejected is bool(severe & set(names or []))


@settings(PROFILE, max_examples=50)
@given(
    st.lists(
        st.tuples(
            *[st.sampled_from(["1", "2", "x", None])] * 2,
            st.sampled_from("kl"),
            st.sampled_from("pq"),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_unique_within_keys_and_partitions(
    engine: duckdb.DuckDBPyConnection, rows: list[tuple[str | None, str | None, str, str]]
) -> None:
    class Keyed(Contract):
        k: str = Field(key=True)
        a: int = Field(nullable=True, unique=True)
        b: int = Field(nullable=True)

        class Config:
            unique = ["a", "b"]  # noqa: RUF012  (pandera's way to write it)

    compiled = compile_contract.__wrapped__(Keyed, "keyed")
    a, b, k, p = (list(column) for column in zip(*rows, strict=True))
    verdict = judge(
        engine,
        compiled,
        {"a": a, "b": b, "k": k, "p": p},
        passthrough=["p"],
        partition_column="p",
    )
    for n, names in enumerate(broken(verdict)):
        others = [r for r in rows if r[3] == p[n] and r[2] != k[n]]
        whole = a[n] != "x" and b[n] != "x"
        assert ("a__unique" in names) == (a[n] != "x" and any(o[0] == a[n] for o in others))
        assert ("unique__a__b" in names) == (whole and any(o[:2] == (a[n], b[n]) for o in others))
        assert ("a__castable" in names) == (a[n] == "x")
