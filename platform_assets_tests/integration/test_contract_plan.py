"""A changed contract: what it asks for, and that exactly this is done."""

from __future__ import annotations

import json
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest

from platform_assets.contracts import Contract, EventTime, Field, Key
from platform_assets.dataset import Dataset
from platform_assets.errors import PublishError
from platform_assets.pipeline.contract_plan import Plan, apply, plan
from platform_assets.warehouse import migrate, schemas, tables
from platform_assets_tests.support import D1, D2, D3, Site, text, things

HEADER = "sale_id,amount,note,sold_at,Gift Card (GBP)"
TABLE = '"lake"."cleaned"."sales"'


class Sale(Contract):
    """A sale."""

    sale_id: str = Key()
    amount: Decimal = Field(ge=0, decimal=(10, 2))
    note: str = Field(nullable=True)
    sold_at: datetime = EventTime()


class Described(Contract):
    """A sale, described in other words."""

    sale_id: str = Key(description="The till's number.")
    amount: Decimal = Field(ge=0, decimal=(10, 2))
    note: str = Field(nullable=True)
    sold_at: datetime = EventTime()


class Stricter(Contract):
    """A sale."""

    sale_id: str = Key()
    amount: Decimal = Field(ge=1, decimal=(10, 2))
    note: str = Field(nullable=True)
    sold_at: datetime = EventTime()


class Longer(Contract):
    """A sale."""

    sale_id: str = Key()
    amount: Decimal = Field(ge=0, decimal=(10, 2))
    note: str = Field(nullable=True)
    sold_at: datetime = EventTime()
    gift_card: str = Field(nullable=True, source="Gift Card (GBP)")


class Another(Contract):
    """A sale: a column renamed, one gone, one widened, one of another type, one new."""

    sale_id: str = Key()
    price: int = Field(ge=0, source="amount")
    sold: datetime = EventTime(source="sold_at")
    gift_card: str = Field(nullable=True, source="Gift Card (GBP)")


class Retyped(Contract):
    """A sale whose amount is a whole number, and whose note is personal."""

    sale_id: str = Key()
    amount: int = Field(ge=0)
    note: str = Field(nullable=True, pii="drop")
    sold_at: datetime = EventTime()


class Wider(Contract):
    """A sale."""

    sale_id: str = Key()
    amount: Decimal = Field(ge=0, decimal=(18, 4))
    note: str = Field(nullable=True)
    sold_at: datetime = EventTime()


class Upper(Contract):
    """A sale whose column is spelled otherwise."""

    sale_id: str = Key()
    Amount: Decimal = Field(ge=0, decimal=(10, 2))
    note: str = Field(nullable=True)
    sold_at: datetime = EventTime()


def sales(contract: type[Contract] = Sale, **options: Any) -> Dataset:
    return things("sales", contract=contract, **options)


@pytest.fixture
def loaded(site: Site) -> Site:
    for day in (D1, D2):
        rows = (f"{day}-a,1.00,x,{day} 08:00:00,5", f"{day}-b,2.50,,{day} 09:00:00,")
        site.deliver(day, text(*rows, header=HEADER), "sales")
    site.run(sales(), [D1, D2])
    return site


def of(site: Site, contract: type[Contract]) -> Plan:
    return plan(site.lake, sales(contract))


def types(site: Site) -> dict[str, str]:
    held = migrate.table_columns(site.lake, tables.cleaned_table("sales"))
    return {name: kind for name, kind in held.items() if not name.startswith("_")}


def told(found: Plan) -> list[str]:
    return [f"{each.subject}: {each.text}" for each in found.changes]


def test_a_dataset_that_was_never_loaded_asks_for_nothing(site: Site) -> None:
    assert of(site, Sale).is_empty


def test_what_the_lake_follows_asks_for_nothing_and_offers_what_raw_keeps(loaded: Site) -> None:
    found = of(loaded, Sale)
    assert found.is_empty
    assert found.recorded == found.version
    [offer] = found.offered
    assert (offer.column, offer.sql_type) == ("Gift Card (GBP)", "VARCHAR")
    assert offer.line == (
        "gift_card_gbp: str = Field(nullable=True, source='Gift Card (GBP)')"
    )  # fmt: skip


def test_another_description_redoes_nothing(loaded: Site) -> None:
    found = of(loaded, Described)
    assert told(found) == [
        "column sale_id: another description",
        "contract: another description",
    ]
    assert (found.statements, found.redo, found.is_empty) == ((), (), False)
    apply(loaded.lake, sales(Described), found)
    assert of(loaded, Described).is_empty


def test_another_rule_redoes_every_loaded_partition_and_no_statement(loaded: Site) -> None:
    found = of(loaded, Stricter)
    assert found.statements == ()
    assert found.redo == (D1, D2)
    assert [each for each in found.why if each.startswith("rule amount__ge")]
    loaded.run(sales(Stricter), [D1])
    # The run has followed the contract by itself; what it has not redone is still due, and why.
    again = of(loaded, Stricter)
    assert (told(again), again.redo) == ([], (D2,))
    assert again.why == found.why
    loaded.run(sales(Stricter), [D1, D2])
    assert of(loaded, Stricter).is_empty


def test_an_added_column_is_added_by_the_plan_and_by_a_run_alike(loaded: Site) -> None:
    found = of(loaded, Longer)
    assert found.statements == (f'ALTER TABLE {TABLE} ADD COLUMN "gift_card" VARCHAR',)
    assert found.redo == (D1, D2)
    assert found.why == ("column gift_card: added (VARCHAR, may be null)",)
    assert found.offered == ()
    loaded.run(sales(Longer), [D1, D2])
    assert of(loaded, Longer).is_empty
    assert loaded.cleaned("sales", "gift_card") == [("5",), ("5",), (None,), (None,)]


def test_a_plan_is_done_as_printed_and_rows_stay_until_they_are_redone(loaded: Site) -> None:
    found = of(loaded, Another)
    assert found.statements == (
        f'ALTER TABLE {TABLE} DROP COLUMN "amount"',
        f'ALTER TABLE {TABLE} DROP COLUMN "note"',
        f'ALTER TABLE {TABLE} RENAME COLUMN "sold_at" TO "sold"',
        f'ALTER TABLE {TABLE} ADD COLUMN "price" BIGINT',
        f'ALTER TABLE {TABLE} ADD COLUMN "gift_card" VARCHAR',
    )
    assert {"column sold: renamed from sold_at", "column note: removed"} <= set(told(found))
    before = loaded.cleaned("sales", "sale_id, sold_at")
    apply(loaded.lake, sales(Another), found)
    assert loaded.cleaned("sales", "sale_id, sold") == before
    after = of(loaded, Another)
    assert (after.changes, after.statements, after.redo) == ((), (), (D1, D2))
    loaded.run(sales(Another, max_bad_share=1.0), [D1, D2])
    assert of(loaded, Another).is_empty
    # 2.50 is no whole number.
    assert loaded.cleaned("sales", "price, gift_card") == [(1, "5"), (1, "5")]


def test_another_type_keeps_exact_values_and_hides_what_becomes_personal(loaded: Site) -> None:
    found = of(loaded, Retyped)
    assert found.statements[0] == f'ALTER TABLE {TABLE} DROP COLUMN "note"'
    assert found.statements[1].startswith('CREATE TABLE "lake"."cleaned"."sales__new" AS')
    apply(loaded.lake, sales(Retyped), found)
    assert types(loaded) == {"sale_id": "VARCHAR", "amount": "BIGINT", "sold_at": "TIMESTAMP"}
    assert loaded.cleaned("sales", "amount") == [(1,), (1,), (None,), (None,)]


def test_a_wider_type_is_altered_in_place(loaded: Site) -> None:
    found = of(loaded, Wider)
    assert found.statements == (
        f'ALTER TABLE {TABLE} ALTER "amount" SET DATA TYPE DECIMAL(18,4)',
    )  # fmt: skip
    apply(loaded.lake, sales(Wider), found)
    assert loaded.cleaned("sales", "amount")[0] == (Decimal("1.0000"),)


def test_a_name_in_another_case_is_renamed(loaded: Site) -> None:
    found = of(loaded, Upper)
    assert found.statements == (f'ALTER TABLE {TABLE} RENAME COLUMN "amount" TO "Amount"',)
    apply(loaded.lake, sales(Upper), found)
    loaded.run(sales(Upper), [D1, D2])
    assert of(loaded, Upper).is_empty


def test_what_was_not_applied_stops_the_partitions_with_the_commands(loaded: Site) -> None:
    before = loaded.cleaned("sales")
    loaded.deliver(D3, text(f"c,1.00,x,{D3} 08:00:00,5", header=HEADER), "sales")
    raw, cleaned = loaded.run(sales(Another), [D1, D2, D3])
    assert not raw.failed
    assert {e.stopped_by for e in cleaned.failed.values()} == {"contract"}
    for command in ("diff", "apply"):
        assert f"platform-assets contracts {command} sales" in cleaned.failed[D3].message
    assert loaded.cleaned("sales") == before


def test_a_plan_that_is_no_longer_true_is_not_done(loaded: Site) -> None:
    found = of(loaded, Another)
    loaded.lake.execute(f'ALTER TABLE {TABLE} DROP COLUMN "note"')
    with pytest.raises(PublishError, match="changed since its plan was made") as raised:
        apply(loaded.lake, sales(Another), found)
    assert "contracts diff sales" in raised.value.fix
    assert "amount" in types(loaded)


def test_a_lake_of_an_earlier_version_gets_the_tables_and_is_compared_by_its_columns(
    loaded: Site,
) -> None:
    for table in (schemas.CONTRACTS, schemas.SOURCE_SCHEMAS, schemas.DRIFTS):
        loaded.lake.execute(f"DROP TABLE {table}")
    found = of(loaded, Another)
    assert found.recorded is None
    assert len(found.statements) == 6  # without a record, a renamed column is another one
    assert found.redo == (D1, D2)
    assert "no record" in found.why[0]
    apply(loaded.lake, sales(Another), found)
    [kept] = schemas.contract_versions(loaded.lake, "sales")
    assert kept.version == sales(Another).compiled.version
    loaded.run(sales(Another, max_bad_share=1.0), [D1, D2])
    assert of(loaded, Another).is_empty


def test_every_version_is_kept(loaded: Site) -> None:
    for contract in (Stricter, Longer, Sale):
        apply(loaded.lake, sales(contract), of(loaded, contract))
    kept = schemas.contract_versions(loaded.lake, "sales")
    wanted = [sales(each).compiled.version for each in (Sale, Stricter, Longer, Sale)]
    assert [each.version for each in kept] == wanted
    assert kept[0].recorded_at is not None
    assert kept[0].recorded_at.date() <= date.today()
    assert set(json.loads(kept[2].description)["columns"]) >= {"gift_card", "note"}


class Checked(Contract):
    """A sale."""

    sale_id: str = Key()
    amount: Decimal = Field(ge=0, decimal=(10, 2))
    note: str = Field(source=("remark", "note"), pii="mask", severity="warn", isin=["x", ""])
    sold_at: datetime = EventTime(format="%Y-%m-%d %H:%M:%S")


def test_each_option_that_differs_is_told(loaded: Site) -> None:
    assert set(told(of(loaded, Checked))) == {
        "column note: name at the source: note → remark or note",
        "column note: nullable: yes → no",
        "column note: personal data: none → mask",
        "column note: severity: error → warn",
        "column sold_at: format: none → %Y-%m-%d %H:%M:%S",
        "rule note__isin: added: note in ('x', '')",
        "rule note__not_null: added: note is not null",
    }
