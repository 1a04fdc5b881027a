"""Rules between two columns, and the form of an e-mail address: exact in both engines."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import duckdb
import pandas as pd
import pandera.errors
import pytest

from platform_assets.contracts import EMAIL, Compare, Contract, Field, Key, compile_contract
from platform_assets.errors import ContractError
from platform_assets_tests.unit.contracts.support import broken, judge


class Parcel(Contract):
    """A parcel, which cannot arrive before it was sent."""

    parcel_id: str = Key()
    sent_at: datetime = Field()
    arrived_at: datetime = Field(nullable=True, severity="warn")
    paid: Decimal = Field(decimal=(10, 2), nullable=True)
    due: Decimal = Field(decimal=(12, 4), nullable=True)

    arrived_after_sent = Compare("arrived_at", ">=", "sent_at", description="a parcel takes time")
    paid_in_full = Compare("paid", "==", "due", severity="info")


class Express(Parcel):
    """A parcel of which more is demanded."""

    paid_in_full = Compare("paid", "==", "due", severity="error")


ROWS: dict[str, list[str | None]] = {
    "parcel_id": ["early", "same", "late", "under way", "unread"],
    "sent_at": ["2025-01-02 08:00:00"] * 5,
    "arrived_at": ["2025-01-01 08:00:00", "2025-01-02 08:00:00", "2025-01-03", None, "soon"],
    "paid": ["1.00", "1.00", None, "2.00", "2.00"],
    "due": ["1.0000", "1.0001", "1.0000", None, "2"],
}


def test_a_rule_between_columns_is_judged_in_the_engine(engine: duckdb.DuckDBPyConnection) -> None:
    compiled = compile_contract(Parcel, "parcels")
    rules = {rule.name: rule for rule in compiled.rules}
    rule = rules["arrived_after_sent"]
    assert (rule.kind, rule.columns) == ("check", ("arrived_at", "sent_at"))
    assert (rule.severity, rule.description) == ("error", "a parcel takes time")
    assert (rules["paid_in_full"].severity, rules["paid_in_full"].description) == (
        "info",
        "paid == due",
    )
    assert compiled.python_rules == ()
    # A value that is missing or cannot be read breaks no comparison: other rules tell of that.
    assert [set(names) for names in broken(judge(engine, compiled, ROWS))] == [
        {"arrived_after_sent"},
        {"paid_in_full"},
        set(),
        set(),
        {"arrived_at__castable"},
    ]


def test_pandera_itself_validates_with_it(engine: duckdb.DuckDBPyConnection) -> None:
    compiled = compile_contract(Parcel, "parcels")
    rows = {name: values[:4] for name, values in ROWS.items()}
    frame = compiled.to_frame(judge(engine, compiled, rows))
    with pytest.raises(pandera.errors.SchemaErrors) as caught:
        Parcel.validate(frame, lazy=True)
    cases = caught.value.failure_cases
    assert set(cases["check"]) == {"arrived_after_sent", "paid_in_full"}
    assert {0} == set(cases[cases["check"] == "arrived_after_sent"]["index"])
    assert isinstance(Parcel.validate(frame.iloc[2:]), pd.DataFrame)


def test_a_contract_inherits_and_replaces_comparisons() -> None:
    rules = {rule.name: rule.severity for rule in compile_contract(Express, "express").rules}
    assert rules["paid_in_full"] == "error"
    assert rules["arrived_after_sent"] == "error"
    versions = {compile_contract(each, "parcels").version for each in (Parcel, Express)}
    assert len(versions) == 2


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("a", ">", "z"), "does not name two columns"),
        (("a", ">", "a"), "does not name two columns"),
        (("a", "=>", "b"), "an operator that its columns do not have"),
        (("yes", "<", "no"), "an operator that its columns do not have"),
        (("a", "<", "text"), "columns of different types"),
        (("wide", "<", "fine"), "no common type"),
    ],
)
def test_what_cannot_be_compared_exactly_is_refused(arguments: Any, problem: str) -> None:
    class Odd(Contract):
        a: int = Field()
        b: int = Field()
        text: str = Field()
        yes: bool = Field()
        no: bool = Field()
        wide: Decimal = Field(decimal=(38, 0))
        fine: Decimal = Field(decimal=(38, 10))

        rule = Compare(*arguments)

    with pytest.raises(ContractError, match=problem) as caught:
        compile_contract(Odd, "odd")
    assert "odd" in caught.value.where


def test_a_comparison_s_severity_is_examined() -> None:
    class Odd(Contract):
        a: int = Field()
        b: int = Field()

        rule = Compare("a", "<", "b", severity="fatal")  # type: ignore[arg-type] # as a user might

    with pytest.raises(ContractError, match="severity is unknown"):
        compile_contract(Odd, "odd")


class Person(Contract):
    """Somebody with an address."""

    email: str = Field(str_matches=EMAIL)


@pytest.mark.parametrize(
    ("address", "is_one"),
    [
        ("a@b.co", True),
        ("first.last+tag@sub.example.com", True),
        ("o'neil@example.co.uk", True),
        ("a@1.2", True),
        ("a@b", False),
        ("a@b.", False),
        ("a@-b.com", False),
        ("a@b-.com", False),
        ("a@@b.com", False),
        ("@b.com", False),
        ("a b@c.com", False),
        ("a@b.com\n", False),
        ("a@b.com ", False),
        ("ä@b.com", False),
        ("a@bücher.de", False),
        ("", False),
    ],
)
def test_the_form_of_an_address(
    engine: duckdb.DuckDBPyConnection, address: str, is_one: bool
) -> None:
    compiled = compile_contract(Person, "people")
    assert compiled.python_rules == ()
    verdict = judge(engine, compiled, {"email": [address]})
    assert (broken(verdict) == [[]]) is is_one
    frame = pd.DataFrame({"email": pd.Series([address], dtype="string")})
    if is_one:
        Person.validate(frame)
    else:
        with pytest.raises(pandera.errors.SchemaError):
            Person.validate(compiled.to_frame(verdict))
