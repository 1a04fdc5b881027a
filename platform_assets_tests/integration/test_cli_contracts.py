"""The commands about contracts: what they print, their exit status, what is then in the lake."""

from __future__ import annotations

import json
import shlex
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from platform_assets.contracts import Contract, Field, Key
from platform_assets.dataset import Dataset
from platform_assets.demo import generate
from platform_assets.pipeline import Step, clean, load_raw
from platform_assets.resources import lake_config
from platform_assets.warehouse import migrate, tables
from platform_assets.warehouse.lake import connect
from platform_assets_tests.conftest import Installation
from platform_assets_tests.integration.test_cli import call, platform_assets
from platform_assets_tests.support import D1, D2, text, things


class Sale(Contract):
    """A sale."""

    sale_id: str = Key()
    amount: Decimal = Field(decimal=(10, 2))


class Whole(Contract):
    """A sale in whole pounds."""

    sale_id: str = Key()
    amount: int = Field()


@pytest.fixture
def sales(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """The only dataset of the installation, loaded by one contract and declared by another."""
    folder = installation.root / "delivered"
    (folder / "sales").mkdir(parents=True)
    for day in (D1, D2):
        (folder / "sales" / f"{day}.csv").write_text(
            text("a,1.00,x", "b,3.00,y", header="sale_id,amount,coupon")
        )
    before, after = (things("sales", contract=each) for each in (Sale, Whole))
    with connect(lake_config(installation.settings)) as lake:
        step = Step(before, lake, "run-1", {"files": folder})
        load_raw(step, [D1, D2])
        clean(step, [D1, D2])
    monkeypatch.setattr("platform_assets.declared.catalogue.every_dataset", lambda: [after])
    return after


def held(installation: Installation) -> tuple[dict[str, str], list[tuple[Any, ...]]]:
    with connect(lake_config(installation.settings)) as lake:
        table = tables.cleaned_table("sales")
        rows = lake.execute(f"SELECT sale_id, amount FROM {table} ORDER BY ALL").fetchall()
        return migrate.table_columns(lake, table), rows


@pytest.mark.usefixtures("sales")
def test_a_plan_is_printed_asked_for_and_done(installation: Installation) -> None:
    printed = call("contracts", "diff")
    assert printed.exit_code == 1
    assert "column amount: type: DECIMAL(10,2) → BIGINT" in printed.output
    assert 'CREATE TABLE "lake"."cleaned"."sales__new" AS' in printed.output
    assert "to redo: 2 partitions, 2025-01-01 to 2025-01-02" in printed.output
    command = (
        "platform-assets backfill --from 2025-01-01 --to 2025-01-02 --select 'key:\"raw/sales\"+'"
    )
    assert command in printed.output
    assert "coupon: str = Field(nullable=True)" in printed.output
    [found] = json.loads(call("contracts", "diff", "sales", "--json").stdout)
    assert found["dataset"] == "sales"
    assert found["redo"]["partitions"] == [D1, D2]
    assert found["redo"]["command"] == command
    assert [each["column"] for each in found["offered"]] == ["coupon"]
    assert len(found["statements"]) == 3

    # Nobody is there to answer.
    refused = call("contracts", "apply", "sales")
    assert refused.exit_code == 1
    assert held(installation)[0]["amount"] == "DECIMAL(10,2)"
    done = call("contracts", "apply", "sales", "--yes")
    assert done.exit_code == 0, done.output
    assert found["statements"][0] in done.output
    assert command in done.output
    columns, rows = held(installation)
    assert columns["amount"] == "BIGINT"
    assert rows == [("a", 1), ("a", 1), ("b", 3), ("b", 3)]
    # The statements are done; the partitions are still to be judged anew.
    [left] = json.loads(call("contracts", "diff", "--json").stdout)
    assert (left["changes"], left["statements"]) == ([], [])
    assert left["redo"]["partitions"] == [D1, D2]


@pytest.mark.parametrize("command", ["diff", "apply"])
def test_a_dataset_that_is_not_there(installation: Installation, command: str) -> None:
    called = call("contracts", command, "ordres")
    assert called.exit_code == 2
    assert "There is no such dataset" in called.output
    assert "argument ordres" in called.output


def test_apply_redoes_the_partitions_in_the_same_command(installation: Installation) -> None:
    """The demo's customers, in a lake of an earlier contract that had one column less."""
    generate(installation.settings.shop, start=date(2025, 1, 1), days=2, orders_per_day=40)
    assert platform_assets(installation, "setup").returncode == 0
    days = ("--from", D1, "--to", D2)
    filled = platform_assets(installation, "backfill", *days)
    assert filled.returncode == 0, filled.stderr
    nothing = platform_assets(installation, "contracts", "diff")
    assert nothing.returncode == 0, nothing.stdout
    assert "customers: nothing to do" in nothing.stdout
    table = tables.cleaned_table("customers")
    with connect(lake_config(installation.settings)) as lake:
        before = lake.execute(f"SELECT customer_id, country FROM {table} ORDER BY ALL").fetchall()
        lake.execute(f"ALTER TABLE {table} DROP COLUMN country")
        lake.execute(
            f"UPDATE {tables.LEDGER} SET contract_version = 'earlier', input_fingerprint = 'x' "
            "WHERE asset = 'cleaned/customers'"
        )
    printed = platform_assets(installation, "contracts", "diff", "customers")
    assert printed.returncode == 1
    assert 'ADD COLUMN "country" VARCHAR' in printed.stdout
    assert "judged by version earlier, which this lake has no record of" in printed.stdout
    commands = [line for line in printed.stdout.splitlines() if "platform-assets backfill" in line]
    assert shlex.split(commands[0])[-1] == 'key:"raw/customers"+'
    done = platform_assets(installation, "contracts", "apply", "customers", "--yes", "--backfill")
    assert done.returncode == 0, done.stdout + done.stderr
    assert platform_assets(installation, "contracts", "diff").returncode == 0
    with connect(lake_config(installation.settings)) as lake:
        after = lake.execute(f"SELECT customer_id, country FROM {table} ORDER BY ALL").fetchall()
    assert after == before
