"""Each mistake in a contract has its error; the error names contract, dataset, column and fix."""

from __future__ import annotations

import types
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pandera.pandas as pandera
import pyarrow as pa
import pytest

from platform_assets.contracts import Contract, EventTime, Field, Key, compile_contract
from platform_assets.errors import ContractError


def compile_fields(config: dict[str, Any] | None = None, **fields: tuple[Any, Any]) -> None:
    body: dict[str, Any] = {name: field for name, (_, field) in fields.items()}
    body["__annotations__"] = {name: python for name, (python, _) in fields.items()}
    if config:
        body["Config"] = type("Config", (), config)
    made = types.new_class("Broken", (Contract,), {}, lambda space: space.update(body))
    compile_contract(made, "shop")


ONE_COLUMN: list[tuple[str, Any, Any, str]] = [
    ("annotation", bytes, Field, "type is not one"),
    ("generic", list[int], Field, "type is not one"),
    ("optional", int | None, Field, "type is not one"),
    ("decimal missing", Decimal, Field, "precision and scale"),
    ("decimal too wide", Decimal, lambda: Field(decimal=(39, 2)), "precision and scale"),
    ("decimal scale", Decimal, lambda: Field(decimal=(4, 5)), "precision and scale"),
    ("decimal form", Decimal, lambda: Field(decimal=18), "precision and scale"),  # type: ignore[arg-type]  # the mistake
    ("decimal on int", int, lambda: Field(decimal=(18, 2)), "belongs to Decimal"),
    ("pii", str, lambda: Field(pii="hide"), "pii is unknown"),  # type: ignore[arg-type]  # the mistake
    ("severity", str, lambda: Field(severity="fatal"), "severity is unknown"),  # type: ignore[arg-type]  # the mistake
    ("reference", str, lambda: Field(references="customers"), "reference does not name"),
    ("nullable key", str, lambda: Key(nullable=True), "key must identify"),
    ("warning key", str, lambda: Key(severity="warn"), "key must identify"),
    ("dropped key", str, lambda: Key(pii="drop"), "needs the column"),
    ("dropped event time", date, lambda: EventTime(pii="drop"), "needs the column"),
    ("hashed event time", date, lambda: EventTime(pii="hash"), "event time cannot"),
    ("textual event time", str, EventTime, "event time cannot"),
    ("regex", str, lambda: Field(str_matches="("), "cannot be built"),
    ("empty range", int, lambda: Field(in_range=(2, 1)), "cannot be built"),
    ("unknown check", int, lambda: Field(is_nice=True), "cannot be built"),
    ("alias", int, lambda: Field(alias="other"), "cannot be used"),
    ("reserved source", int, lambda: Field(source="_row"), "reserved"),
    ("empty source", int, lambda: Field(source=""), "no usable name"),
    ("default", int, lambda: Field(default=1), "behind the contract"),
    ("coerce", int, lambda: Field(coerce=True), "behind the contract"),
    ("ge text on int", int, lambda: Field(ge="x"), "argument of ge"),
    ("ge float on int", int, lambda: Field(ge=0.5), "argument of ge"),
    ("ge bool on int", int, lambda: Field(ge=True), "argument of ge"),
    ("ge too large", int, lambda: Field(ge=2**63), "argument of ge"),
    ("ge nan", float, lambda: Field(ge=float("nan")), "argument of ge"),
    ("ge float on Decimal", Decimal, lambda: Field(ge=0.5, decimal=(18, 2)), "argument of ge"),
    ("ge too fine", Decimal, lambda: Field(ge=Decimal("0.005"), decimal=(18, 2)), "argument of"),
    ("ge NaN Decimal", Decimal, lambda: Field(ge=Decimal("NaN"), decimal=(18, 2)), "argument of"),
    ("ge datetime on date", date, lambda: Field(ge=datetime(2024, 1, 1)), "argument of ge"),
    ("ge date on datetime", datetime, lambda: Field(ge=date(2024, 1, 1)), "argument of ge"),
    ("eq int on bool", bool, lambda: Field(eq=1), "argument of eq"),
    ("isin text on int", int, lambda: Field(isin=[1, "2"]), "argument of isin"),
    ("isin string", str, lambda: Field(isin="abc"), "one by one"),
    ("NUL", str, lambda: Field(eq="\0"), "argument of eq"),
    ("ge on bool", bool, lambda: Field(ge=True), "no order"),
    ("str check on int", int, lambda: Field(str_length=3), "check of text"),
    ("str_length", str, lambda: Field(str_length="3"), "number of characters"),
    ("str_startswith", str, lambda: Field(str_startswith={"string": ("a", "b")}), "is not text"),
    ("ignore_na", int, lambda: Field(ge=1, ignore_na=False), "ignores nulls"),
    ("table check", int, lambda: Field(unique_values_eq=[1]), "row by row"),
    ("format on int", int, lambda: Field(format="%Y"), "format cannot"),
    ("format directive", date, lambda: Field(format="%Y-%m-%d %z"), "format cannot"),
    ("format without day", date, lambda: Field(format="%Y-%m"), "format cannot"),
    ("format repeats", date, lambda: Field(format="%Y-%m-%d %d"), "format cannot"),
    ("format with time", date, lambda: Field(format="%Y-%m-%d %H"), "format cannot"),
    ("format 12 hours", datetime, lambda: Field(format="%Y-%m-%d %I"), "format cannot"),
]


@pytest.mark.parametrize(
    ("python", "field", "what"), [c[1:] for c in ONE_COLUMN], ids=[c[0] for c in ONE_COLUMN]
)
def test_one_column(python: Any, field: Any, what: str) -> None:
    with pytest.raises(ContractError, match=what) as caught:
        compile_fields(amount=(python, field()))
    error = caught.value
    assert error.where == "contract Broken, dataset shop, column amount"
    assert error.expected
    assert error.found
    assert error.fix


WHOLE: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("empty", {}, {}, "no columns"),
    (
        "two event times",
        {"a": (date, EventTime()), "b": (date, EventTime())},
        {},
        "two columns as event time",
    ),
    (
        "two cursors",
        {"a": (int, Field(cursor=True)), "b": (int, Field(cursor=True))},
        {},
        "two columns as cursor",
    ),
    ("one source", {"a": (int, Field()), "b": (int, Field(source="A"))}, {}, "one source column"),
    (
        "one name",
        {"a": (int, Field()), "A": (int, Field(source="b"))},
        {},
        "one name",
    ),
    ("unique unknown", {"a": (int, Field())}, {"unique": ["a", "b"]}, "Config.unique"),
    ("unique twice", {"a": (int, Field())}, {"unique": ["a", "a"]}, "Config.unique"),
    ("reserved", {"_a": (int, Field()), "b": (int, Field())}, {}, "reserved"),
    ("not ASCII", {"größe": (int, Field())}, {}, "cannot be used"),
    ("config", {"a": (int, Field())}, {"no_such_check": 1}, "pandera cannot build"),
]


@pytest.mark.parametrize(
    ("fields", "config", "what"), [c[1:] for c in WHOLE], ids=[c[0] for c in WHOLE]
)
def test_whole_contract(fields: dict[str, Any], config: dict[str, Any], what: str) -> None:
    with pytest.raises(ContractError, match=what) as caught:
        compile_fields(config, **fields)
    assert "contract Broken, dataset shop" in caught.value.where
    assert caught.value.fix


def test_unknown_annotation() -> None:
    class Lost(Contract):
        a: Nowhere  # type: ignore[name-defined]  # noqa: F821  (the mistake)

    with pytest.raises(ContractError, match="fields of the contract cannot be read"):
        compile_contract(Lost, "shop")


def test_two_rules_with_one_name() -> None:
    class Twice(Contract):
        a: int = Field(ge=1)

        @pandera.check("a", name="ge")
        def again(cls, values: Any) -> Any:
            return values > 0

    with pytest.raises(ContractError, match="Two rules have one name"):
        compile_contract(Twice, "shop")


def test_check_without_a_name_for_a_rule() -> None:
    class Nameless(Contract):
        a: int = Field()

        @pandera.check("a", name="is it good?")
        def good(cls, values: Any) -> Any:
            return values > 0

    with pytest.raises(ContractError, match="needs a name"):
        compile_contract(Nameless, "shop")


def test_parser() -> None:
    class Parsing(Contract):
        a: int = Field()

        @pandera.parser("a")
        def double(cls, values: Any) -> Any:
            return values * 2

    with pytest.raises(ContractError, match="does not change them"):
        compile_contract(Parsing, "shop")


def test_pandera_gives_the_same_error_before_it_validates() -> None:
    class Early(Contract):
        a: bytes

    with pytest.raises(ContractError, match="type is not one"):
        Early.to_schema()


class Fine(Contract):
    a: int = Field(references="others.id")
    email: str = Field(pii="hash")

    @pandera.check("email")
    def explodes(cls, values: Any) -> Any:
        raise ValueError(f"bad value {values.iloc[0]}")


def test_python_check_that_raises_tells_the_type_and_no_value() -> None:
    batch = pa.table({"a": pa.array([1]), "email": pa.array(["secret@example.com"])})
    with pytest.raises(ContractError, match="email__explodes") as caught:
        compile_contract(Fine, "shop").judge_batch(batch)
    error = caught.value
    assert "ValueError" in str(error)
    assert "secret" not in str(error)
    assert error.__cause__ is None
    assert error.__context__ is None


@pytest.mark.parametrize("answer", [True, "text", [True, False]])
def test_python_check_must_answer_row_by_row(answer: Any) -> None:
    class Scalar(Contract):
        a: int = Field()

        @pandera.check("a")
        def summary(cls, values: Any) -> Any:
            return answer

    with pytest.raises(ContractError, match=r"row by row|raised an error"):
        compile_contract(Scalar, "shop").judge_batch(pa.table({"a": [1, 2]}))


def test_judge_refuses_what_does_not_fit() -> None:
    compiled = compile_contract(Fine, "shop")
    with pytest.raises(ContractError, match="nobody said where"):
        compiled.judge_sql("t")
    with pytest.raises(ContractError, match="hide another"):
        compiled.judge_sql("t", passthrough=["A"], reference_relation=str)
    with pytest.raises(ContractError, match="hide another"):
        compiled.judge_sql("t", passthrough=["_broken"], reference_relation=str)
    with pytest.raises(ContractError, match="partition column"):
        compiled.judge_sql("t", partition_column="p", reference_relation=str)
    with pytest.raises(ContractError, match="extra column"):
        compiled.ddl("t", "cleaned", [("EMAIL", "VARCHAR")])
    with pytest.raises(ContractError, match="no such column"):
        compiled.cast_sql("b")
