"""The status page of real books: what it finds, how large it is, its asset and schedule."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import dagster as dg
import pytest
from typer.testing import CliRunner

from platform_assets.assets.build import build_definitions
from platform_assets.assets.dbt_project import prepare_dbt_project
from platform_assets.assets.report import KEY, SCHEDULE, build_status_page, write_status_page
from platform_assets.assets.runs import run_assets
from platform_assets.cli import main
from platform_assets.contracts import EMAIL, Contract, Field, Key
from platform_assets.partitions import Daily
from platform_assets.report import books
from platform_assets.report.facts import Sources, gather
from platform_assets.report.model import Asset, Facts, Lake, Unreadable, Watch
from platform_assets.report.page import render
from platform_assets.report.states import State, judge
from platform_assets.report.units import units_of
from platform_assets.resources import FolderResource
from platform_assets.settings import load_settings
from platform_assets.warehouse import ledger, tables
from platform_assets.warehouse.lake import Connection, in_transaction
from platform_assets.warehouse.ledger import LedgerEntry, Status
from platform_assets_tests.conftest import Installation
from platform_assets_tests.support import D1, D2, D3, START, Site, row, text, things

MOST_BYTES, MOST_SECONDS = 5_000_000, 5.0
SECRET = "ada.lovelace@example.com"


def sources(site: Site, datasets: list[Any], assets: list[Asset], **options: Any) -> Sources:
    @contextmanager
    def lake() -> Iterator[Connection]:
        tables.ensure_platform_tables(site.lake)
        yield site.lake

    values: dict[str, Any] = {
        "datasets": datasets,
        "assets": assets,
        "ui_url": "http://localhost:3000/",
        "lake": lake,
        "freshness": lambda lake, now: {},
        "watch": lambda now: Watch([], now),
        "lineage": dict,
    }
    return Sources(**{**values, **options})


def graph_of(name: str) -> list[Asset]:
    return [
        Asset(f"raw/{name}", "raw", name),
        Asset(f"cleaned/{name}", "cleaned", name, (f"raw/{name}",)),
        Asset(f"quarantine/{name}", "quarantine", name, (f"raw/{name}",)),
    ]


def in_lake(facts: Facts) -> Lake:
    assert not isinstance(facts.lake, Unreadable), facts.lake.why
    return facts.lake


class Person(Contract):
    """Somebody."""

    person_id: str = Key()
    email: str = Field(str_matches=EMAIL, pii="hash")
    full_name: str = Field(pii="drop")


def test_books_tell_what_was_published_failed_and_rejected(site: Site) -> None:
    dataset = things(max_bad_share=0.5)
    site.deliver(D1, text(row("a"), row("b"), row("c", quantity=-1)))
    site.deliver(D2, text(row("d", quantity=-1), row("e", quantity="x")))
    site.deliver(D3, text(row("f")))
    site.run(dataset, [D1, D2, D3])
    site.run(dataset, [D1])  # unchanged: it costs nothing, and stands as it did
    facts = gather(sources(site, [dataset], graph_of("things")), datetime.now(UTC))
    told = in_lake(facts)

    stood = told.published["cleaned/things"]
    assert (stood.partitions, stood.failed, stood.newest) == (2, 1, D3)
    (failed,) = told.failures
    assert (failed.asset, failed.partitions) == ("cleaned/things", (D2,))
    assert D2 in failed.message
    points = told.points["cleaned/things"]
    assert [(p.partition, p.rows, p.quarantined, p.failed) for p in points] == [
        (D1, 2, 1, False),
        (D2, 0, 2, True),
        (D3, 1, 0, False),
    ]
    assert [p.score for p in points] == [66.67, None, 100.0]
    costs = {cost.asset: cost for cost in told.costs}
    assert costs["raw/things"].attempts == 3
    assert costs["raw/things"].bytes == sum(
        site.path("things", day).stat().st_size for day in (D1, D2, D3)
    )
    rejected = {each.rule: (each.open, each.blocked, each.partitions) for each in told.rejected}
    assert rejected == {"quantity__ge": (1, 1, 2), "quantity__castable": (0, 1, 1)}

    (standing,) = judge(facts)
    assert standing.state is State.FAILED
    html = render(facts)
    assert "1 of 1 needs you" in html
    assert "cannot be told" not in html
    assert f"platform-assets quarantine list --dataset things --partition {D2}" in html

    site.deliver(D2, text(row("d"), row("e")))
    site.run(dataset, [D2])
    facts = gather(sources(site, [dataset], graph_of("things")), datetime.now(UTC))
    assert in_lake(facts).failures == []
    assert [each.state for each in judge(facts)] == [State.OK]
    assert "All is well" in render(facts)


def test_a_table_that_is_not_cut_is_told_by_its_publishes(site: Site) -> None:
    def published(rows: int, status: Status = Status.PUBLISHED) -> None:
        entry = LedgerEntry("cleaned/whole", "all", "r", status, rows, rows)
        in_transaction(site.lake, lambda lake: ledger.record(lake, [entry]))

    tables.ensure_platform_tables(site.lake)
    published(3)
    published(5)
    published(5, Status.UNCHANGED)
    dataset = things("whole")
    unit = units_of({a.key: a for a in graph_of("whole")}, [dataset])
    told = books.read(site.lake, unit, datetime.now(UTC))
    assert [point.rows for point in told.points["cleaned/whole"]] == [3, 5]


def test_no_value_of_a_person_is_on_the_page(site: Site) -> None:
    people = things("people", contract=Person, max_bad_share=0.4)
    header = "person_id,email,full_name"
    site.deliver(
        D1, text(f"p1,{SECRET},Ada Lovelace", "p2,nemo at sea,Nemo", header=header), "people"
    )
    site.deliver(D2, text(f"p3,{SECRET},Ada Lovelace", header=header), "people")
    site.run(people, [D1, D2])
    facts = gather(sources(site, [people], graph_of("people")), datetime.now(UTC))
    assert in_lake(facts).failures
    assert in_lake(facts).rejected
    html = render(facts)
    for value in (SECRET, "Ada", "Lovelace", "nemo at sea", "Nemo"):
        assert value not in html
    assert "personal: hash" in html
    assert "not published" in html


def test_what_cannot_be_read_does_not_take_the_page_with_it(site: Site) -> None:
    def broken(*told: object) -> Mapping[str, Any]:
        raise OSError(f"cannot read {SECRET}")

    told = gather(
        sources(site, [things()], graph_of("things"), freshness=broken, watch=broken),
        datetime.now(UTC),
    )
    assert isinstance(told.freshness, Unreadable)
    assert isinstance(told.watch, Unreadable)
    assert not isinstance(told.lake, Unreadable)
    assert SECRET not in render(told), "an engine's error may quote a row"

    site.lake.execute("DROP TABLE lake.platform.ledger")

    def defect(*told: object) -> Mapping[str, Any]:
        raise KeyError("a mistake of ours is not hidden")

    @contextmanager
    def as_it_is() -> Iterator[Connection]:
        yield site.lake

    options = {"lake": as_it_is, "lineage": broken}
    told = gather(sources(site, [things()], graph_of("things"), **options), datetime.now(UTC))
    assert isinstance(told.lake, Unreadable)
    assert [each.state for each in judge(told)] == [State.UNKNOWN]
    with pytest.raises(KeyError):
        gather(sources(site, [], [], lineage=defect), datetime.now(UTC))


def test_500_assets_and_a_year_are_a_small_page_at_once(site: Site) -> None:
    """Bytes are held, and the processor's time, of which a busy machine takes nothing away."""
    model = things("d", partitions=Daily(START, date(2025, 12, 31)))
    datasets = [replace(model, name=f"dataset_{n:03}") for n in range(200)]
    for dataset in datasets:
        assert dataset.compiled  # contracts are compiled when they are declared
    aggregates = [
        Asset(f"aggregated/mart_{n:03}", "aggregated", made_from=(f"cleaned/dataset_{n:03}",))
        for n in range(100)
    ]
    assets = [a for d in datasets for a in graph_of(d.name)] + aggregates
    tables.ensure_platform_tables(site.lake)
    names = ", ".join(f"('{a.key}')" for a in assets if a.layer in ("raw", "cleaned", "aggregated"))
    site.lake.execute(f"""
        INSERT INTO {tables.LEDGER} BY NAME
        SELECT asset, strftime(DATE '2025-01-01' + day::INT, '%Y-%m-%d') AS partition,
            'r' AS run_id,
            CASE WHEN hash(asset, day) % 97 = 0 THEN 'failed' ELSE 'published' END AS status,
            1000000 + hash(day) % 9999 AS extracted, 999000 + hash(day) % 9999 AS cleaned,
            900 AS quarantined, 100 AS deduplicated, 100000 AS bytes, 1.5 AS seconds,
            '' AS code_version, '' AS contract_version, '' AS input_fingerprint,
            '{{"quantity__ge": 900}}' AS broken,
            CASE WHEN hash(asset, day) % 97 = 0 THEN 'quantity__ge' ELSE '' END AS stopped_by,
            'Too many rows break a rule' AS message, now() AS recorded_at
        FROM (VALUES {names}) AS given(asset), range(365) AS days(day)
    """)
    lineage = {
        (a.key, name): ((a.made_from[0].replace("cleaned", "raw"), name),)
        for a in assets
        if a.made_from
        for name in ("thing_id", "quantity", "price", "note", "changed_at")
    }
    began = time.process_time()
    facts = gather(sources(site, datasets, assets, lineage=lambda: lineage), datetime.now(UTC))
    html = render(facts)
    seconds = time.process_time() - began
    told = in_lake(facts)
    assert len(told.published) == 500
    assert {len(points) for points in told.points.values()} == {60}
    assert len(html.encode()) < MOST_BYTES
    assert seconds < MOST_SECONDS, "seconds of the processor"


@pytest.fixture
def definitions(installation: Installation) -> dg.Definitions:
    """A dataset with two days, one of them bad, and the page."""
    site_folder = installation.root / "delivered"
    (site_folder / "things").mkdir(parents=True)
    (site_folder / "things" / f"{D1}.csv").write_text(text(row("a"), row("b")))
    (site_folder / "things" / f"{D2}.csv").write_text(text(row("c", quantity="x")))
    datasets = [things()]
    merged = dg.Definitions.merge(
        build_definitions(datasets, {"files": FolderResource(path=str(site_folder))}),
        build_status_page(datasets, lambda: merged),
    )
    return merged


def test_the_asset_and_its_schedule_write_the_page(
    definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    keys = [dg.AssetKey([layer, "things"]) for layer in ("raw", "cleaned", "quarantine")]
    assert not run_assets(definitions, instance, keys, [D1, D2]).success, "a day is bad"
    target = load_settings().data_dir / "report.html"

    done = run_assets(definitions, instance, [KEY])
    assert done.success
    assert "1 of 1 needs you" in target.read_text(encoding="utf-8")
    target.unlink()

    schedule = definitions.resolve_schedule_def(SCHEDULE)
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    runs = instance.get_runs_count()
    # Left open, it would go on resolving definitions by this instance.
    with dg.build_schedule_context(instance=instance) as context:
        tick = schedule.evaluate_tick(context)
    assert not tick.run_requests
    assert str(target) in (tick.skip_message or "")
    assert instance.get_runs_count() == runs, "no run is started"
    html = target.read_text(encoding="utf-8")
    assert "raw/things" in html
    assert "status_page" not in html.partition('id="lineage"')[2]
    event = instance.get_latest_materialization_event(KEY)
    assert event is not None
    assert event.asset_materialization is not None
    metadata = event.asset_materialization.metadata
    assert metadata["path"].value == str(target)
    assert metadata["need_somebody"].value == 1
    assert metadata["state_failed"].value == 1


def test_the_page_goes_where_it_is_told_to(
    definitions: dg.Definitions, installation: Installation
) -> None:
    target = installation.root / "elsewhere" / "page.html"
    moment = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
    written = write_status_page([things()], definitions, load_settings(), target, now=moment)
    assert (written.path, written.bytes) == (target, target.stat().st_size)
    assert written.states == {"never run": 1}
    assert "2026-01-02 03:04 UTC" in target.read_text(encoding="utf-8")


def test_the_command_writes_the_page_and_says_how_it_stands(installation: Installation) -> None:
    prepare_dbt_project()
    target = installation.root / "page.html"
    done = CliRunner().invoke(main.app, ["report", "--out", str(target), "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["path"] == str(target)
    assert told["states"] == {"never run": 6}
    html = target.read_text(encoding="utf-8")
    assert "6 of 6 need you" in html
    # Nobody has watched yet, and that is said; all else is told.
    assert html.count("cannot be told") == 1
    assert "platform-assets dev" in html
    column = '<a href="#column-cleaned-orders-total_amount">cleaned/orders.total_amount</a>'
    assert column in html, "lineage of the models' columns, through the views between"
