"""What a contract yields: columns, rules, DDL, verdicts, safe values, a page."""

from __future__ import annotations

import hashlib
import hmac
import re
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import duckdb
import pandas as pd
import pandera.pandas as pandera
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pandera.errors import SchemaErrors

from platform_assets.contracts import (
    Contract,
    EventTime,
    Field,
    Key,
    compile_contract,
    pii_session_variables,
    quote_identifier,
)
from platform_assets_tests.unit.contracts.support import broken, judge, load


class Order(Contract):
    """Orders of the shop."""

    order_id: str = Key(str_matches=r"O-\d+$", description="The shop's own number.")
    customer_id: int = Field(references="customers.id", severity="warn")
    amount: Decimal = Field(ge=0, decimal=(18, 2), source="Amount (GBP)")
    ordered_at: datetime = EventTime(cursor=True)
    due: date = Field(nullable=True, ge=date(2020, 1, 1))
    status: str = Field(isin=["new", "paid"])
    email: str = Field(nullable=True, pii="hash")
    phone: str = Field(nullable=True, pii="mask")
    note: str = Field(nullable=True, pii="drop", str_matches=r"\bhello")

    @pandera.check("amount", description="not too much")
    def affordable(cls, values: Any) -> Any:
        return values < Decimal(1000)

    @pandera.dataframe_check(raise_warning=True)
    def paid_something(cls, frame: Any) -> Any:
        return (frame["amount"] > 0) | (frame["status"] != "paid")

    class Config:
        unique = ["status", "ordered_at"]  # noqa: RUF012  (pandera's way to write it)


COMPILED = compile_contract(Order, "orders")
GOOD = {
    "order_id": "O-1",
    "customer_id": "1",
    "Amount (GBP)": "10.50",
    "ordered_at": "2024-05-06T07:08:09Z",
    "due": None,
    "status": "new",
    "email": "ann@example.com",
    "phone": None,
    "note": None,
}


def rows(*changes: dict[str, str | None]) -> dict[str, list[str | None]]:
    made = [{**GOOD, **change} for change in changes]
    return {name: [row[name] for row in made] for name in GOOD}


def customers(dataset: str) -> str:
    assert dataset == "customers"
    return "(SELECT unnest(['1', '2', NULL, 'x']) AS id)"


def test_rules_and_their_names() -> None:
    names = [r.name for r in COMPILED.rules]
    assert names == [
        "order_id__not_null",
        "order_id__str_matches",
        "customer_id__castable",
        "customer_id__not_null",
        "customer_id__references_customers",
        "amount__castable",
        "amount__not_null",
        "amount__ge",
        "ordered_at__castable",
        "ordered_at__not_null",
        "due__castable",
        "due__ge",
        "status__not_null",
        "status__isin",
        "unique__status__ordered_at",
        "amount__affordable",
        "note__str_matches",
        "paid_something",
    ]
    assert all(re.fullmatch("[A-Za-z0-9_]+", n) for n in names)
    by_name = {r.name: r for r in COMPILED.rules}
    assert by_name["amount__ge"].description == "amount >= 0"
    assert by_name["amount__affordable"].description == "not too much"
    assert by_name["customer_id__not_null"].severity == "warn"
    assert by_name["paid_something"].severity == "warn"
    assert [r.name for r in COMPILED.python_rules] == names[-3:]
    assert COMPILED.key == ("order_id",)
    assert COMPILED.event_time is COMPILED.cursor is COMPILED.column("ordered_at")


def test_verdict(engine: duckdb.DuckDBPyConnection) -> None:
    text = rows(
        {},
        {"order_id": "O-2", "Amount (GBP)": "1.005", "status": "lost"},
        {"order_id": None, "customer_id": "3", "ordered_at": None, "due": "2019-12-31"},
        {"order_id": "O-3", "ordered_at": "2024-05-06 07:08:09", "customer_id": "x"},
    )
    verdict = judge(engine, COMPILED, text, reference_relation=customers)
    assert broken(verdict) == [
        ["unique__status__ordered_at"],
        ["amount__castable", "status__isin"],
        [
            "order_id__not_null",
            "customer_id__references_customers",
            "ordered_at__not_null",
            "due__ge",
        ],
        ["customer_id__castable", "unique__status__ordered_at"],
    ]
    warned = judge(engine, COMPILED, rows({"customer_id": "7"}), reference_relation=customers)
    assert broken(warned) == [["customer_id__references_customers"]]
    assert warned.column("_rejected").to_pylist() == [False]
    fine = judge(engine, COMPILED, rows({}), reference_relation=customers)
    assert fine.column("_broken").to_pylist() == [None]
    assert fine.column("ordered_at").to_pylist() == [datetime(2024, 5, 6, 7, 8, 9)]


def test_verdict_without_uniques_has_none_of_their_cost() -> None:
    class Plain(Contract):
        k: str = Key(unique=True)

    sql = compile_contract(Plain, "plain").judge_sql("t")
    assert not re.search("WITH|JOIN|GROUP BY", sql)


def test_each_text_is_cast_once(engine: duckdb.DuckDBPyConnection) -> None:
    class Few(Contract):
        a: int = Field(ge=0, lt=10)
        b: float = Field(in_range=(0, 1))

    relation = load(engine, {"a": ["1"], "b": ["1"]})
    sql = compile_contract(Few, "few").judge_sql(relation)
    assert sql.count("TRY_CAST(") == 2
    # Nor does the optimizer fold the layers: the probes are columns of the lowest projection.
    plan = engine.execute(f"EXPLAIN {sql}").fetchall()[0][1]
    layers = plan.split("PROJECTION")[1:]
    assert ["__probe_0" in layer for layer in layers] == [False, False, False, True], plan


def test_python_rules() -> None:
    batch = pa.table(
        {
            "order_id": ["O-1", "O-2", "O-3"],
            "customer_id": pa.array([1, 1, None], pa.int64()),
            "amount": pa.array([Decimal("1000.00"), Decimal("0.00"), None], pa.decimal128(18, 2)),
            "ordered_at": pa.array([datetime(2024, 1, 1)] * 3, pa.timestamp("us")),
            "due": pa.array([None] * 3, pa.date32()),
            "status": ["new", "paid", "paid"],
            "email": pa.array([None] * 3, pa.string()),
            "phone": pa.array([None] * 3, pa.string()),
            "note": ["hello", "oh hello", None],
        }
    )
    found = COMPILED.judge_batch(batch)
    assert [tuple(r.values()) for r in found.to_pylist()] == [
        (0, "amount__affordable"),
        (1, "note__str_matches"),
        (1, "paid_something"),
    ]
    assert COMPILED.judge_batch(batch.to_batches()[0]).equals(found)
    assert COMPILED.judge_batch(batch.slice(0, 0)).schema == found.schema


def test_element_wise_registered_and_table_checks() -> None:
    class Custom(Contract):
        a: int = Field(nullable=True)
        b: str = Field()

        @pandera.check("a", element_wise=True)
        def odd(cls, value: Any) -> Any:
            return value % 2 == 1

        @pandera.dataframe_check()
        def each_cell(cls, frame: Any) -> Any:
            return frame != frame.shift(1).fillna({"b": ""})

    compiled = compile_contract(Custom, "custom")
    batch = pa.table({"a": pa.array([1, None, 2], pa.int64()), "b": ["x", "x", "y"]})
    assert [tuple(r.values()) for r in compiled.judge_batch(batch).to_pylist()] == [
        (2, "a__odd"),
        (1, "each_cell"),
    ]


def test_ddl(engine: duckdb.DuckDBPyConnection) -> None:
    extra = [("_file", "VARCHAR"), ("_line", "BIGINT")]
    for layer in ("raw", "cleaned"):
        engine.execute(COMPILED.ddl(quote_identifier(f"t {layer}"), layer, extra))
        engine.execute(COMPILED.ddl(quote_identifier(f"t {layer}"), layer, extra))
    raw = engine.execute('DESCRIBE "t raw"').fetchall()
    assert [c[:2] for c in raw] == [(c.source, "VARCHAR") for c in COMPILED.columns] + extra
    cleaned = engine.execute('DESCRIBE "t cleaned"').fetchall()
    assert [c[:2] for c in cleaned] == [*COMPILED.published_columns, *extra]
    assert dict(COMPILED.published_columns) == {
        "order_id": "VARCHAR",
        "customer_id": "BIGINT",
        "amount": "DECIMAL(18,2)",
        "ordered_at": "TIMESTAMP",
        "due": "DATE",
        "status": "VARCHAR",
        "email": "VARCHAR",
        "phone": "VARCHAR",
    }


def set_key(engine: duckdb.DuckDBPyConnection, key: bytes) -> None:
    for name, value in pii_session_variables(key).items():
        engine.execute(f"SET VARIABLE {name} = $value", {"value": value})


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.binary(min_size=1, max_size=200), st.text(st.characters(codec="utf-8"), max_size=80))
def test_hash_is_hmac(engine: duckdb.DuckDBPyConnection, key: bytes, value: str) -> None:
    set_key(engine, key)
    sql = f"SELECT {COMPILED.pii_sql('email')} FROM (SELECT $value::VARCHAR AS email)"
    found = engine.execute(sql, {"value": value}).fetchone()
    assert found == (hmac.new(key, value.encode(), hashlib.sha256).hexdigest(),)


def test_publish(engine: duckdb.DuckDBPyConnection) -> None:
    set_key(engine, b"k")
    text = rows({"phone": "+44 20 7946 0000", "note": "hello"}, {"email": None, "order_id": "O-2"})
    relation = load(engine, {**text, "_file": ["f", "f"]})
    judged = COMPILED.judge_sql(relation, passthrough=["_file"], reference_relation=customers)
    sql = COMPILED.publish_select(f"({judged})", ["_file"])
    table = engine.sql(sql + " ORDER BY order_id").to_arrow_table()
    assert table.column_names == [*dict(COMPILED.published_columns), "_file"]
    assert table.column("phone").to_pylist() == ["***", None]
    assert table.column("email").to_pylist()[1] is None
    assert "ann" not in str(table.to_pylist())


@pytest.mark.parametrize(
    ("value", "masked"),
    [
        ("ann@example.com", "***@example.com"),
        ("a@b@example.com", "***"),
        ("ann@localhost", "***"),
        ("Ann Lee <ann@example.com>", "***"),
        ("@example.com", "***"),
        ("", "***"),
        (None, None),
    ],
)
def test_mask(engine: duckdb.DuckDBPyConnection, value: str | None, masked: str | None) -> None:
    sql = f"SELECT {COMPILED.pii_sql('phone')} FROM (SELECT $value::VARCHAR AS phone)"
    assert engine.execute(sql, {"value": value}).fetchone() == (masked,)


def test_hash_without_a_key_fails() -> None:
    with duckdb.connect() as fresh, pytest.raises(duckdb.Error, match="has no key"):
        fresh.execute(f"SELECT {COMPILED.pii_sql('email')} FROM (SELECT 'x' AS email)").fetchall()
    with pytest.raises(ValueError, match="empty"):
        pii_session_variables(b"")
    with pytest.raises(ValueError, match="dropped"):
        COMPILED.pii_sql("note")


def test_markdown() -> None:
    page = COMPILED.markdown()
    assert page.startswith("# orders\n\nOrders of the shop.\n")
    assert COMPILED.version in page
    assert "| `amount` (source: `Amount (GBP)`) | DECIMAL(18,2) | DECIMAL(18,2) | no |" in page
    assert "| `note` | VARCHAR | not published | yes | pii: drop |" in page
    for rule in COMPILED.rules:
        assert f"| `{rule.name}` |" in page


def make(**options: Any) -> type[Contract]:
    class Small(Contract):
        a: int = Field(**options)

    return Small


def test_version() -> None:
    version = compile_contract(make(ge=1), "s").version
    assert re.fullmatch("[0-9a-f]{12}", version)
    assert compile_contract(make(ge=1, description="words"), "other").version == version
    changes: list[dict[str, Any]] = [{}, {"ge": 2}, {"ge": 1, "nullable": True}]
    changes += [{"ge": 1, "source": "b"}, {"ge": 1, "severity": "warn"}, {"ge": 1, "key": True}]
    versions = {compile_contract(make(**change), "s").version for change in changes}
    assert len(versions | {version}) == len(changes) + 1


def test_version_holds_the_source_of_python_checks() -> None:
    class One(Contract):
        a: int = Field()

        @pandera.check("a")
        def good(cls, values: Any) -> Any:
            return values > 0

    class Two(Contract):
        a: int = Field()

        @pandera.check("a")
        def good(cls, values: Any) -> Any:
            return values > 1

    assert compile_contract(One, "s").version != compile_contract(Two, "s").version


def test_compiling_is_cached() -> None:
    assert compile_contract(Order, "orders") is COMPILED
    assert compile_contract(Order, "others") is not COMPILED


def test_pandera_validates_typed_frames_with_nulls() -> None:
    frame = pd.DataFrame(
        {
            "order_id": pd.array(["O-1"], dtype="string"),
            "customer_id": pd.array([None], dtype="Int64"),
            "amount": pd.Series([Decimal("-1.00")], dtype=pd.ArrowDtype(pa.decimal128(18, 2))),
            "ordered_at": pd.Series([None], dtype="datetime64[us]"),
            "due": pd.Series([None], dtype=pd.ArrowDtype(pa.date32())),
            "status": ["new"],
            "email": pd.Series([None], dtype="string"),
            "phone": pd.Series([None], dtype="string"),
            "note": pd.Series([None], dtype="string"),
        }
    )
    with pytest.raises(SchemaErrors) as caught:
        Order.validate(frame, lazy=True)
    cases = caught.value.failure_cases
    assert sorted(zip(cases["column"], cases["check"], strict=True)) == [
        ("amount", "greater_than_or_equal_to(0)"),
        ("customer_id", "not_nullable"),
        ("ordered_at", "not_nullable"),
    ]


def test_inheritance() -> None:
    class Base(Contract):
        a: int = Key()

    class Child(Base):
        b: str = Field(nullable=True)

    assert [c.name for c in compile_contract(Child, "c").columns] == ["a", "b"]
    assert [c.name for c in compile_contract(Base, "b").columns] == ["a"]
