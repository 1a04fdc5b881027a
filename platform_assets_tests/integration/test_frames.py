"""Aggregates in pandas: judged before they are visible, refused where upstream did not pass."""

from __future__ import annotations

import importlib
import re
import sys
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

import dagster as dg
import pandas as pd
import pyarrow as pa
import pytest

from platform_assets.assets.column_lineage import column_lineage, wiring_of
from platform_assets.assets.frame_asset import frame_asset
from platform_assets.contracts import Contract, Field, Key
from platform_assets.contracts.frames import SHAPE
from platform_assets.errors import ContractError, SourceError
from platform_assets.partitions import UNPARTITIONED_KEY, Daily
from platform_assets.pipeline.frames import COMPUTE, Frame, build_frame
from platform_assets.resources import LakeResource, lake_config
from platform_assets.settings import load_settings
from platform_assets.warehouse import gate, ledger
from platform_assets.warehouse.lake import Connection, connect, in_transaction
from platform_assets.warehouse.ledger import LedgerEntry, Status
from platform_assets.warehouse.tables import ensure_platform_tables
from platform_assets_tests.conftest import Installation
from platform_assets_tests.support import D1, D2, D3, Site

HOW_TO = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "add-an-aggregate.md"
UPSTREAM = "cleaned/things"


class Total(Contract):
    """A total by name."""

    name: str = Key()
    total: Decimal = Field(ge=0, decimal=(10, 2))
    share: float = Field(le=1, severity="warn")


@dataclass
class Desk:
    """A lake in which things are published, and a frame that is computed from them."""

    lake: Connection
    rows: dict[str, Any] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    runs: int = 0

    def told(self, partition: str, status: Status, **values: Any) -> None:
        """Have the ledger say what became of a partition upstream."""
        entry = LedgerEntry(UPSTREAM, partition, "another run", status, **values)
        in_transaction(self.lake, lambda con: ledger.record(con, [entry]))

    def compute(self, _: Connection, partition: str) -> pd.DataFrame:
        """The rows that were put there for a partition; an error is raised."""
        self.calls.append(partition)
        rows = self.rows[partition]
        if isinstance(rows, Exception):
            raise rows
        return pd.DataFrame(rows, columns=["name", "total", "share"])

    def frame(self, **values: Any) -> Frame:
        """The frame."""
        given = {"name": "totals", "contract": Total, "upstream": (UPSTREAM,)}
        return Frame(compute=self.compute, **{**given, **values})

    def build(self, frame: Frame, *partitions: str, force: bool = False) -> dict[str, LedgerEntry]:
        """Build partitions in a run of its own."""
        self.runs += 1
        keys = partitions or (UNPARTITIONED_KEY,)
        report = build_frame(frame, self.lake, keys, run_id=f"run-{self.runs}", force=force)
        return dict(report.entries)

    def table(self) -> list[Any]:
        """What is published."""
        return self.lake.execute("FROM lake.aggregated.totals ORDER BY ALL").fetchall()


def row(name: str, total: str = "1.00", share: float = 0.5) -> tuple[str, Decimal, float]:
    return name, Decimal(total), share


GOOD = row("a")


@pytest.fixture
def desk(site: Site) -> Desk:
    ensure_platform_tables(site.lake)
    return Desk(site.lake)


@pytest.fixture
def whole(desk: Desk) -> Frame:
    """A frame that is published as a whole."""
    desk.told(D1, Status.PUBLISHED)
    desk.rows[UNPARTITIONED_KEY] = [GOOD]
    frame = desk.frame()
    assert desk.build(frame)[UNPARTITIONED_KEY].status is Status.PUBLISHED
    return frame


def test_what_breaks_a_rule_is_never_visible(desk: Desk, whole: Frame) -> None:
    before = desk.table()
    desk.rows[UNPARTITIONED_KEY] = [row("a", "-1.00"), row("b", "-2.00"), row("c")]
    (entry,) = desk.build(whole, force=True).values()
    assert (entry.status, entry.stopped_by) == (Status.FAILED, "total__ge")
    assert entry.broken == {"total__ge": 2}
    assert "what was published before stays" in entry.message
    assert "-1.00" not in entry.message
    assert desk.table() == before == [("a", Decimal("1.00"), 0.5, UNPARTITIONED_KEY)]
    desk.rows[UNPARTITIONED_KEY] = [row("b")]
    (entry,) = desk.build(whole).values()
    assert entry.status is Status.PUBLISHED, "what was stopped is tried again without force"
    assert [name for name, *_ in desk.table()] == ["b"]


def test_a_rule_that_warns_is_counted_and_published(desk: Desk, whole: Frame) -> None:
    desk.rows[UNPARTITIONED_KEY] = [row("a", share=1.5)]
    (entry,) = desk.build(whole, force=True).values()
    assert (entry.status, entry.broken) == (Status.PUBLISHED, {"share__le": 1})
    assert [share for *_, share, _ in desk.table()] == [1.5]


def test_what_is_unchanged_is_not_computed(desk: Desk, whole: Frame) -> None:
    (entry,) = desk.build(whole).values()
    assert (entry.status, entry.cleaned) == (Status.UNCHANGED, 1)
    assert len(desk.calls) == 1
    for changed in (replace(whole, version="2"), whole):
        assert desk.build(changed)[UNPARTITIONED_KEY].status is Status.PUBLISHED
    desk.told(D2, Status.PUBLISHED)
    assert desk.build(whole)[UNPARTITIONED_KEY].status is Status.PUBLISHED
    assert len(desk.calls) == 4


@pytest.mark.parametrize(
    ("computed", "told"),
    [
        (pd.DataFrame({"name": ["a"], "total": [Decimal("1.00")]}), "name object, total object"),
        (pa.table({"name": ["a"], "total": ["much"], "share": [0.1]}), "total object"),
        (pa.table({"name": ["a"], "total": [Decimal(1)], "share": [0.1], "more": [1]}), "more int"),
    ],
)
def test_other_columns_than_the_contracts_are_told(
    desk: Desk, whole: Frame, computed: Any, told: str
) -> None:
    before = desk.table()
    frame = replace(whole, compute=lambda *_: computed)
    (entry,) = desk.build(frame, force=True).values()
    assert (entry.status, entry.stopped_by) == (Status.FAILED, SHAPE)
    assert told in entry.message
    assert "much" not in entry.message
    assert desk.table() == before


def test_each_day_has_its_own_verdict(desk: Desk) -> None:
    frame = desk.frame(partitions=Daily(date(2025, 1, 1)))
    for day in (D1, D2, D3):
        desk.told(day, Status.PUBLISHED)
    desk.rows = {D1: [GOOD], D2: [row("b", "-1.00")], D3: SourceError("no rates", fix="wait")}
    found = desk.build(frame, D1, D2, D3)
    assert {key: entry.stopped_by for key, entry in found.items()} == {
        D1: "",
        D2: "total__ge",
        D3: COMPUTE,
    }
    assert "no rates" in found[D3].message
    assert [at for *_, at in desk.table()] == [D1]
    desk.rows |= {D2: [row("b")], D3: [row("c")]}
    desk.calls.clear()
    found = desk.build(frame, D1, D2, D3)
    assert found[D1].status is Status.UNCHANGED
    assert desk.calls == [D2, D3], "a re-run does only what was not published"


def test_an_error_of_the_function_is_raised_and_the_gate_is_closed(
    desk: Desk, whole: Frame
) -> None:
    desk.rows[UNPARTITIONED_KEY] = KeyError("mail@example.org")
    with pytest.raises(KeyError):
        desk.build(whole, force=True)
    shut = gate.closed(desk.lake, whole.asset, [UNPARTITIONED_KEY])[UNPARTITIONED_KEY]
    assert (shut.stopped_by, shut.stands) == (COMPUTE, True)
    assert "mail@" not in shut.message
    assert len(desk.table()) == 1


def test_a_closed_gate_refuses_a_day_and_lets_the_others_through(desk: Desk) -> None:
    frame = desk.frame(partitions=Daily(date(2025, 1, 1)))
    desk.rows = {D1: [GOOD], D2: [GOOD], D3: [GOOD]}
    for day in (D1, D2):
        desk.told(day, Status.PUBLISHED)
    desk.build(frame, D1, D2)
    before = desk.table()
    desk.told(D2, Status.FAILED, stopped_by="price__ge")
    found = desk.build(frame, D1, D2, D3, force=True)
    assert {k: e.stopped_by for k, e in found.items()} == {D1: "", D2: "upstream", D3: "upstream"}
    assert f"{UPSTREAM} {D2} is stopped by price__ge since" in found[D2].message
    assert f"{UPSTREAM} {D3} was never published" in found[D3].message
    assert desk.table() == before

    lenient = replace(frame, on_failed_upstream="use_last_good")
    found = desk.build(lenient, D2, D3)
    assert found[D2].status is Status.UNCHANGED
    assert found[D3].stopped_by == "upstream", "there is nothing to make do with"

    desk.told(D2, Status.UNCHANGED)
    assert desk.build(frame, D2)[D2].status is Status.UNCHANGED


def test_who_reads_a_whole_table_is_refused_for_what_could_not_be_renewed(
    desk: Desk, whole: Frame
) -> None:
    desk.told(D2, Status.FAILED, stopped_by="price__ge")
    assert desk.build(whole)[UNPARTITIONED_KEY].status is Status.UNCHANGED, "a gap is no old row"
    desk.told(D1, Status.FAILED, stopped_by="price__ge")
    (entry,) = desk.build(whole).values()
    assert entry.stopped_by == "upstream"
    assert f"{UPSTREAM} {D1} is stopped by price__ge" in entry.message
    assert D2 not in entry.message
    lenient = replace(whole, on_failed_upstream="use_last_good")
    assert desk.build(lenient)[UNPARTITIONED_KEY].status is Status.UNCHANGED


def test_a_declaration_that_cannot_work_is_refused(desk: Desk) -> None:
    class Personal(Contract):
        """A contract that hides a column."""

        mail: str = Key(pii="hash")

    with pytest.raises(ContractError, match="column mail"):
        desk.frame(contract=Personal)
    with pytest.raises(ContractError, match="at least one asset"):
        desk.frame(upstream=())
    with pytest.raises(ContractError, match="one of name, total, share"):
        desk.frame(columns_from={"totl": (f"{UPSTREAM}.price",)})
    with pytest.raises(
        ContractError, match=r"columns_from, column total(.|\n)*cleaned/others.price"
    ):
        desk.frame(columns_from={"total": ("cleaned/others.price",)})


def test_lineage_is_what_is_declared_and_else_unknown(desk: Desk) -> None:
    declared = desk.frame(
        lookups=("cleaned/people",),
        columns_from={"total": (f"{UPSTREAM}.price",), "name": ("cleaned/people.name",)},
    )
    spec = frame_asset(declared).get_asset_spec(dg.AssetKey(["aggregated", "totals"]))
    told = spec.metadata["dagster/column_lineage"].deps_by_column
    assert {name: [str(d.column_name) for d in deps] for name, deps in told.items()} == {
        "name": ["name"],
        "total": ["price"],
    }
    definitions = dg.Definitions(
        [frame_asset(declared), frame_asset(desk.frame(name="silent"))],
        resources={"lake": LakeResource()},
    )
    lineage = column_lineage(definitions, [])
    assert lineage.tables["aggregated/totals"].unknown == ("share",)
    assert lineage.tables["aggregated/silent"].unknown == ("name", "total", "share")
    wiring = wiring_of(definitions)
    assert wiring.lookups == {("aggregated/totals", "cleaned/people")}
    assert wiring.graph.parents("aggregated/silent") == (UPSTREAM,)


@pytest.fixture
def documented(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The how-to's Python, as a module of an installation of its own."""
    blocks = re.findall(r"^```python\n(.*?)^```", HOW_TO.read_text("utf-8"), re.M | re.S)
    (installation.root / "documented_aggregate.py").write_text("\n".join(blocks), "utf-8")
    monkeypatch.syspath_prepend(str(installation.root))
    monkeypatch.delitem(sys.modules, "documented_aggregate", raising=False)
    return importlib.import_module("documented_aggregate")


def test_the_documented_asset_works_in_dagster(documented: ModuleType) -> None:
    config = lake_config(load_settings())
    columns = "channel VARCHAR, total_amount DECIMAL(18, 2), currency VARCHAR, status VARCHAR"
    with connect(config) as lake:
        ensure_platform_tables(lake)
        lake.execute(f"CREATE TABLE lake.aggregated.fct_orders ({columns}, _partition VARCHAR)")
        for day in (D1, D2):
            lake.execute(
                "INSERT INTO lake.aggregated.fct_orders VALUES "
                "('web', 3.50, 'GBP', 'paid', $1), ('app', 1.00, 'EUR', 'paid', $1)",
                [day],
            )
        told(lake, D1, Status.PUBLISHED)
        told(lake, D2, Status.FAILED)
    result = materialize(documented.channel_days, LakeResource(), D1, D2)
    assert not result.success
    made = [e.partition for e in result.get_asset_materialization_events()]
    assert made == [D1]
    (failed,) = [e for e in result.all_events if e.is_step_failure]
    assert f"{D2}: stopped by upstream" in str(failed.step_failure_data.user_failure_data)
    evaluations = {e.check_name: e for e in result.get_asset_check_evaluations()}
    assert {"columns", "orders__ge", "share__le"} <= set(evaluations)
    assert all(e.passed for e in evaluations.values())
    with connect(config) as lake:
        assert lake.execute("FROM lake.aggregated.channel_days ORDER BY ALL").fetchall() == [
            ("app", 1, Decimal("0.00"), 0.5, D1),
            ("web", 1, Decimal("3.50"), 0.5, D1),
        ]
        told(lake, D2, Status.PUBLISHED)
        documented.gate.require_open(lake, "aggregated/fct_orders", [D1, D2])
        with pytest.raises(gate.GateClosedError):
            documented.export(lake, [D1])
    result = materialize(documented.channel_days, LakeResource(), D1, D2)
    assert result.success
    assert [e.partition for e in result.get_asset_materialization_events()] == [D1, D2]


def told(lake: Connection, day: str, status: Status) -> None:
    entry = LedgerEntry("aggregated/fct_orders", day, "a run", status)
    in_transaction(lake, lambda con: ledger.record(con, [entry]))


def materialize(
    asset: dg.AssetsDefinition, lake: Any, first: str, last: str
) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        [asset],
        resources={"lake": lake},
        tags={
            "dagster/asset_partition_range_start": first,
            "dagster/asset_partition_range_end": last,
        },
        raise_on_error=False,
    )


def test_a_rule_that_breaks_is_a_failed_check(desk: Desk, installation: Installation) -> None:
    del installation
    desk.rows[UNPARTITIONED_KEY] = [row("a", "-1.00", 1.5), row("b")]
    with connect(lake_config(load_settings())) as lake:
        ensure_platform_tables(lake)
        entry = LedgerEntry(UPSTREAM, D1, "a run", Status.PUBLISHED)
        in_transaction(lake, lambda con: ledger.record(con, [entry]))
    result = dg.materialize(
        [frame_asset(desk.frame())], resources={"lake": LakeResource()}, raise_on_error=False
    )
    assert not result.success
    assert not result.get_asset_materialization_events()
    failed = {e.check_name: e for e in result.get_asset_check_evaluations() if not e.passed}
    assert {name: check.severity for name, check in failed.items()} == {
        "total__ge": dg.AssetCheckSeverity.ERROR,
        "share__le": dg.AssetCheckSeverity.WARN,
    }
    assert failed["total__ge"].metadata["rows_broken"].value == 1
