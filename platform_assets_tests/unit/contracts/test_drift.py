"""Every change of a schema is told once, with its decision; nothing else is."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from platform_assets.contracts import Contract, DriftPolicy, Field, Key, compile_contract
from platform_assets.contracts.drift import Change, compare
from platform_assets.contracts.widening import holding, storable
from platform_assets.errors import ContractError
from platform_assets.sources.base import SourceColumn


class Sale(Contract):
    """A sale: a key, a column that was renamed, one that may be null, one that must not."""

    sale_id: str = Key()
    amount: int = Field(source=("amount_gbp", "amount"))
    note: str = Field(nullable=True)
    shop: str = Field()


COLUMNS = compile_contract(Sale, "sales").columns


def schema(*names: str, **types: str) -> tuple[SourceColumn, ...]:
    return tuple(SourceColumn(name) for name in names) + tuple(
        SourceColumn(name, sql_type) for name, sql_type in types.items()
    )


KNOWN = schema("sale_id", "amount_gbp", "note", "shop")


def changes(
    found: tuple[SourceColumn, ...],
    known: tuple[SourceColumn, ...] | None = KNOWN,
    **policy: Any,
) -> list[Change]:
    return list(compare(known, found, COLUMNS, DriftPolicy(**policy)).changes)


def told(each: Change) -> tuple[str, str, str, str, str]:
    return (each.kind, each.column, each.before, each.after, each.decision)


T = "VARCHAR"
CASES = {
    "nothing": (KNOWN, KNOWN, {}, []),
    "another order and case": (KNOWN, schema("SHOP", "note", "Amount_GBP", "sale_id"), {}, []),
    "added": (KNOWN, (*KNOWN, *schema("coupon")), {}, [("added", "coupon", "", T, "kept")]),
    "added, blocked": (
        KNOWN,
        (*KNOWN, *schema("coupon")),
        {"added": "block"},
        [("added", "coupon", "", T, "blocked")],
    ),
    "more than the contract at first sight": (None, (*KNOWN, *schema("coupon")), {}, []),
    "removed": (
        KNOWN,
        schema("sale_id", "amount_gbp", "shop"),
        {},
        [("removed", "note", T, "", "blocked")],
    ),
    "removed, filled": (
        KNOWN,
        schema("sale_id", "amount_gbp", "shop"),
        {"removed": "fill"},
        [("removed", "note", T, "", "filled")],
    ),
    "removed, but not null": (
        KNOWN,
        schema("sale_id", "amount_gbp", "note"),
        {"removed": "fill"},
        [("removed", "shop", T, "", "blocked")],
    ),
    "removed, with a default": (
        KNOWN,
        schema("sale_id", "amount_gbp", "note"),
        {"not_null": {"shop": "web"}},
        [("removed", "shop", T, "", "filled")],
    ),
    "missing at first sight": (
        None,
        schema("sale_id", "amount_gbp", "shop"),
        {},
        [("removed", "note", "", "", "blocked")],
    ),
    "filled and known so": (
        schema("sale_id", "amount_gbp", "shop"),
        schema("sale_id", "amount_gbp", "shop"),
        {"removed": "fill"},
        [],
    ),
    "demanded by the contract since": (
        schema("sale_id", "amount_gbp", "note"),
        schema("sale_id", "amount_gbp", "note"),
        {},
        [("not_null_added", "shop", "", "", "blocked")],
    ),
    "demanded since, with a default": (
        schema("sale_id", "amount_gbp", "note"),
        schema("sale_id", "amount_gbp", "note"),
        {"not_null": {"shop": "web"}},
        [("not_null_added", "shop", "", "", "filled")],
    ),
    "removed, unknown to the contract": (
        (*KNOWN, *schema("coupon")),
        KNOWN,
        {},
        [("removed", "coupon", T, "", "filled")],
    ),
    "renamed": (
        KNOWN,
        schema("sale_id", "amount", "note", "shop"),
        {},
        [("renamed", "amount", "amount_gbp", "amount", "mapped")],
    ),
    "a former name at first sight": (None, schema("sale_id", "amount", "note", "shop"), {}, []),
    "both names": (
        KNOWN,
        (*KNOWN, *schema("amount")),
        {},
        [("renamed", "amount_gbp", "amount", "amount_gbp", "blocked")],
    ),
    "wider": (
        schema("sale_id", "note", "shop", amount_gbp="INTEGER"),
        schema("sale_id", "note", "shop", amount_gbp="BIGINT"),
        {"type_changed": "block"},
        [("type_changed", "amount_gbp", "INTEGER", "BIGINT", "widened")],
    ),
    "other type": (
        schema("sale_id", "note", "shop", amount_gbp="INTEGER"),
        KNOWN,
        {},
        [("type_changed", "amount_gbp", "INTEGER", T, "cast")],
    ),
    "other type, blocked": (
        schema("sale_id", "note", "shop", amount_gbp="INTEGER"),
        KNOWN,
        {"type_changed": "block"},
        [("type_changed", "amount_gbp", "INTEGER", T, "blocked")],
    ),
    "other type of a column beyond the contract": (
        (*KNOWN, SourceColumn("coupon", "DATE")),
        (*KNOWN, SourceColumn("coupon", "TIMESTAMP")),
        {},
        [("type_changed", "coupon", "DATE", "TIMESTAMP", "cast")],
    ),
    "not null added": (
        (*KNOWN[:3], SourceColumn("shop", T, True)),
        (*KNOWN[:3], SourceColumn("shop", T, False)),
        {},
        [("not_null_added", "shop", "NULL", "NOT NULL", "kept")],
    ),
    "not null dropped": (
        (*KNOWN[:3], SourceColumn("shop", T, False)),
        (*KNOWN[:3], SourceColumn("shop", T, True)),
        {},
        [("not_null_dropped", "shop", "NOT NULL", "NULL", "kept")],
    ),
    "nullability not told before": (
        (*KNOWN[:3], SourceColumn("shop", T, None)),
        (*KNOWN[:3], SourceColumn("shop", T, False)),
        {},
        [],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_change_and_its_decision(name: str) -> None:
    known, found, policy, expected = CASES[name]
    assert [told(each) for each in changes(found, known, **policy)] == expected


@pytest.mark.parametrize(
    ("found", "policy", "said"),
    [
        pytest.param(
            schema("sale_id", "amount_gbp", "note", "shop_code"),
            {},
            'Field(source=("shop_code", "shop")) of shop',
            id="a likely new name",
        ),
        pytest.param(
            schema("sale_id", "amount_gbp", "note", "weather"),
            {},
            "DriftPolicy(not_null={'shop': …})",
            id="no likely name: a default",
        ),
        pytest.param(
            schema("sale_id", "amount_gbp", "shop"),
            {},
            "DriftPolicy(removed='fill')",
            id="null would do",
        ),
        pytest.param(
            (*KNOWN, *schema("coupon")),
            {"added": "block"},
            "DriftPolicy(added='keep')",
            id="an addition that is not wanted",
        ),
    ],
)
def test_a_blocked_change_says_what_to_do(
    found: tuple[SourceColumn, ...], policy: dict[str, Any], said: str
) -> None:
    [blocked] = [each for each in changes(found, **policy) if each.decision == "blocked"]
    assert said in blocked.text


def test_an_unlike_name_or_another_type_is_not_suggested() -> None:
    found = (*schema("sale_id", "amount_gbp", "note"), SourceColumn("shop_code", "BIGINT"))
    [blocked] = [each for each in changes(found) if each.decision == "blocked"]
    assert "shop_code" not in blocked.text


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"added": "drop"}, "'drop'"),
        ({"removed": "keep"}, "'keep'"),
        ({"type_changed": "widen"}, "'widen'"),
        ({"not_null": "fill"}, "'fill'"),
        ({"not_null": {"shop": 1}}, "['shop']"),
    ],
)
def test_an_unknown_policy_is_refused(options: dict[str, Any], found: str) -> None:
    with pytest.raises(ContractError) as raised:
        DriftPolicy(**options)
    assert next(iter(options)) in raised.value.where
    assert found in raised.value.found


@pytest.mark.parametrize("name", ["note", "no_such_column"])
def test_a_default_needs_a_column_that_must_not_be_null(name: str) -> None:
    with pytest.raises(ContractError, match="cannot have one") as raised:
        DriftPolicy(not_null={name: "x"}).examine("sales", COLUMNS)
    assert raised.value.found == name


@pytest.mark.parametrize(
    ("source", "said"),
    [
        pytest.param((), "no usable name", id="no name"),
        pytest.param(("a", "_b"), "reserved", id="reserved"),
        pytest.param(("other", "a"), "one source column", id="another column's"),
        pytest.param(("a", "A"), "one source column", id="twice"),
    ],
)
def test_former_names_are_examined(source: tuple[str, ...], said: str) -> None:
    class Made(Contract):
        first: str = Field(source=source)
        other: str = Field()

    with pytest.raises(ContractError, match=said):
        compile_contract(Made, "made")


def test_former_names_are_part_of_the_version_and_of_the_page() -> None:
    class One(Contract):
        a: str = Field(source="b")

    class Two(Contract):
        a: str = Field(source=("b", "c"))

    class Three(Contract):
        a: str = Field(source=("b",))

    one, two, three = (compile_contract(each, "x") for each in (One, Two, Three))
    assert one.version == three.version != two.version
    assert "(source: `b`, formerly `c`)" in two.markdown()


INTEGERS = {
    "TINYINT": (-(2**7), 2**7 - 1),
    "SMALLINT": (-(2**15), 2**15 - 1),
    "INTEGER": (-(2**31), 2**31 - 1),
    "BIGINT": (-(2**63), 2**63 - 1),
    "UTINYINT": (0, 2**8 - 1),
    "USMALLINT": (0, 2**16 - 1),
    "UINTEGER": (0, 2**32 - 1),
    "UBIGINT": (0, 2**64 - 1),
}
decimals = st.integers(1, 38).flatmap(
    lambda p: st.integers(0, p).map(lambda s: f"DECIMAL({p},{s})")
)
types = st.one_of(
    st.sampled_from([*INTEGERS, "HUGEINT", "VARCHAR", "DATE", "TIMESTAMP", "DOUBLE"]), decimals
)


@given(types, types)
def test_what_holds_both_does_not_depend_on_the_order(one: str, other: str) -> None:
    wide = holding(one, other)
    assert wide == holding(other, one)
    if wide is not None:
        assert holding(wide, one) == wide == holding(wide, other)
    assert holding(one, one) == one


@given(st.sampled_from(list(INTEGERS)), st.sampled_from(list(INTEGERS)))
def test_an_integer_type_that_holds_both_has_the_bounds_of_both(one: str, other: str) -> None:
    wide = holding(one, other)
    low = min(INTEGERS[one][0], INTEGERS[other][0])
    high = max(INTEGERS[one][1], INTEGERS[other][1])
    fitting = [name for name, (a, b) in INTEGERS.items() if a <= low and high <= b]
    assert (wide in fitting) if fitting else (wide is None)


@given(decimals, decimals)
def test_a_decimal_type_that_holds_both_cuts_no_digit(one: str, other: str) -> None:
    def digits(sql_type: str) -> tuple[int, int]:
        precision, scale = map(int, sql_type[8:-1].split(","))
        return precision - scale, scale

    wide = holding(one, other)
    whole, fraction = (max(pair) for pair in zip(digits(one), digits(other), strict=True))
    if wide is None:
        assert whole + fraction > 38
    else:
        assert digits(wide) == (whole, fraction)


def test_what_a_table_would_round_is_kept_as_text() -> None:
    assert [storable(t) for t in ("HUGEINT", "UHUGEINT", "BIGINT")] == [T, T, "BIGINT"]


names = st.sampled_from(["sale_id", "amount_gbp", "amount", "note", "shop", "x", "Y", "zed"])
schemas = st.lists(
    st.builds(SourceColumn, names, types, st.sampled_from([None, True, False])),
    unique_by=lambda each: each.name.lower(),
    max_size=8,
).map(tuple)
policies = st.builds(
    DriftPolicy,
    added=st.sampled_from(["keep", "block"]),
    removed=st.sampled_from(["block", "fill"]),
    type_changed=st.sampled_from(["cast", "block"]),
    not_null=st.sampled_from(["block", {"shop": "web"}]),
)


@given(st.one_of(st.none(), schemas), schemas, policies)
def test_every_column_that_differs_is_told_and_no_other(
    known: tuple[SourceColumn, ...] | None,
    found: tuple[SourceColumn, ...],
    policy: DriftPolicy,
) -> None:
    drift = compare(known, found, COLUMNS, policy)
    claimed = {n.lower() for c in COLUMNS for n in c.sources}
    before = {c.name.lower(): c for c in known or ()}
    now = {c.name.lower(): c for c in found}
    added = {each.column.lower() for each in drift.changes if each.kind == "added"}
    assert added == (set() if known is None else set(now) - set(before) - claimed)
    gone = {e.column.lower() for e in drift.changes if e.kind == "removed"} - claimed
    assert gone == set(before) - set(now) - claimed
    for column in COLUMNS:
        present = [n for n in column.sources if n.lower() in now]
        about = [
            e
            for e in drift.blocked
            if e.column.lower() in {n.lower() for n in column.sources} and e.kind != "type_changed"
        ]
        approved = (policy.removed == "fill" and column.nullable) or (
            policy.default(column) is not None
        )
        # A column that the contract wants is never silently absent, nor taken from two.
        assert bool(about) == (len(present) > 1 or (not present and not approved))
    for each in drift.changes:
        assert each.text.endswith(".")
        assert each.column


@given(schemas, policies, st.randoms())
def test_the_same_schema_in_another_order_is_no_change(
    found: tuple[SourceColumn, ...], policy: DriftPolicy, random: Any
) -> None:
    again = list(found)
    random.shuffle(again)
    drift = compare(found, tuple(again), COLUMNS, policy)
    # What the contract wants and cannot have is told every time; nothing else is.
    assert all(
        each.decision == "blocked" or each.kind in ("removed", "not_null_added")
        for each in drift.changes
    )
    if not drift.blocked and policy.not_null == "block":
        assert drift.changes == ()
