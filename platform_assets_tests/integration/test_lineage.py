"""Lineage of a real run of the shop: events in a file, commands over the lake that it filled."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import jsonschema
import pytest

from platform_assets.observability.openlineage_events import run_id
from platform_assets_tests.integration.aggregate_world import World, open_world
from platform_assets_tests.integration.test_cli import call
from platform_assets_tests.openlineage_published import NAMED, NOT_SET, SpecificationError
from platform_assets_tests.openlineage_schema import examine, published_schema

D1, D2 = DAYS = ("2025-01-01", "2025-01-02")
FILE = "events.ndjson"
DUCKLAKE = "ducklake://"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Two days of the shop, the second with too much dirt in its orders, and its events."""
    root = tmp_path_factory.mktemp("lineage")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENLINEAGE__TRANSPORT__TYPE", "file")
        patch.setenv("OPENLINEAGE__TRANSPORT__LOG_FILE_PATH", str(root / FILE))
        patch.setenv("OPENLINEAGE__TRANSPORT__APPEND", "true")
        patch.setenv("DAGSTER_HOME", str(root / "dagster_home"))
        with open_world(root, DAYS, orders_per_day=40, spoil=[D2]) as made:
            yield made


@pytest.fixture(scope="module")
def first(world: World) -> dg.ExecuteInProcessResult:
    return world.run(*DAYS)


@pytest.fixture(scope="module")
def events(world: World, first: dg.ExecuteInProcessResult) -> list[dict[str, Any]]:
    """The events of the first run."""
    lines = (world.data.parent / FILE).read_text(encoding="utf-8").splitlines()
    found = [json.loads(line) for line in lines]
    return [e for e in found if e["run"]["facets"]["parent"]["run"]["runId"] == first.run_id]


def ends(events: list[dict[str, Any]], job: str) -> list[dict[str, Any]]:
    return [e for e in events if e["job"]["name"] == job and e["eventType"] != "START"]


def output(event: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [each for each in event["outputs"] if each["name"] == name]
    return found


def test_every_event_is_as_the_specification_says(events: list[dict[str, Any]]) -> None:
    names = {name for event in events for name in examine(event)}
    assert names >= {
        "parent", "processing_engine", "nominalTime", "errorMessage", "jobType", "documentation",
        "ownership", "sql", "sourceCodeLocation", "schema", "columnLineage", "dataQualityMetrics",
        "dataQualityAssertions", "outputStatistics", "inputStatistics",
    }  # fmt: skip


@pytest.mark.skipif(not NAMED, reason=NOT_SET)
def test_every_event_is_as_the_published_schema_says(events: list[dict[str, Any]]) -> None:
    schema = published_schema()
    assert schema is not None
    for event in events:
        assert schema.examine(event)

    def broken() -> tuple[dict[str, Any], dict[str, Any]]:
        event = copy.deepcopy(ends(events, "cleaned_orders")[0])
        return event, output(event, "cleaned.orders")["outputFacets"]["outputStatistics"]

    for place, name, value in (("event", "eventTime", "yesterday"), ("facet", "rowCount", "many")):
        event, facet = broken()
        {"event": event, "facet": facet}[place][name] = value
        with pytest.raises(jsonschema.ValidationError, match=f"'{value}' is not"):
            schema.examine(event)
    for place, name in (("event", "eventTime"), ("facet", "_producer")):
        event, facet = broken()
        del {"event": event, "facet": facet}[place][name]
        with pytest.raises(jsonschema.ValidationError, match=f"'{name}' is a required property"):
            schema.examine(event)
    for place, name in (("event", "schemaURL"), ("facet", "_schemaURL")):
        event, facet = broken()
        holder = {"event": event, "facet": facet}[place]
        holder[name] = holder[name].replace("-0-2/", "-0-999/")
        with pytest.raises(SpecificationError, match="-0-999/"):
            schema.examine(event)


def test_every_run_begins_once_and_ends_once(
    events: list[dict[str, Any]], first: dg.ExecuteInProcessResult
) -> None:
    runs: dict[str, list[str]] = {}
    for event in events:
        runs.setdefault(event["run"]["runId"], []).append(event["eventType"])
    assert {tuple(states) for states in runs.values()} == {("START", "COMPLETE"), ("START", "FAIL")}
    jobs = {event["job"]["name"] for event in events}
    assert jobs == {
        "raw_customers", "raw_products", "raw_orders", "cleaned_customers", "cleaned_products",
        "cleaned_orders", "customer_metrics", "dbt.staging.stg_orders",
        "dbt.staging.stg_customers", "dbt.staging.stg_products", "dbt.aggregated.fct_orders",
        "dbt.aggregated.daily_sales",
    }  # fmt: skip
    # Whoever knows Dagster's run can tell the ids.
    assert runs.keys() >= {run_id(first.run_id, job) for job in jobs}


def test_good_days_complete_and_the_bad_one_fails_beside(
    events: list[dict[str, Any]], world: World
) -> None:
    good, bad = ends(events, "cleaned_orders")
    assert (good["eventType"], bad["eventType"]) == ("COMPLETE", "FAIL")
    times = [e["run"]["facets"]["nominalTime"] for e in (good, bad)]
    assert [t["nominalStartTime"][:10] for t in times] == [D1, D2]
    assert "errorMessage" not in good["run"]["facets"]
    message = bad["run"]["facets"]["errorMessage"]["message"]
    assert f"{D2}: stopped by status__isin" in message
    (cleaned,) = world.ask("SELECT count(*) FROM lake.cleaned.orders")
    written = output(good, "cleaned.orders")["outputFacets"]["outputStatistics"]["rowCount"]
    assert (written,) == cleaned
    assert output(bad, "cleaned.orders")["outputFacets"]["outputStatistics"]["rowCount"] == 0
    raw = bad["inputs"][0]
    assert (raw["namespace"].startswith(DUCKLAKE), raw["name"]) == (True, "raw.orders")
    (rule,) = [
        a
        for a in raw["inputFacets"]["dataQualityAssertions"]["assertions"]
        if a["assertion"] == "status__isin"
    ]
    assert (rule["success"], rule["column"], rule["severity"]) == (False, "status", "error")
    assert int(rule["actual"]) > 0
    # Downstream of it, the same.
    assert [e["eventType"] for e in ends(events, "dbt.aggregated.fct_orders")] == [
        "COMPLETE",
        "FAIL",
    ]


def test_inputs_are_what_was_read(events: list[dict[str, Any]], world: World) -> None:
    (raw,) = ends(events, "raw_orders")
    (source,) = raw["inputs"]
    assert (source["namespace"], source["name"]) == (
        "file",
        str(world.data.parent / "shop" / "orders"),
    )
    delivered = sum(f.stat().st_size for f in (world.data.parent / "shop" / "orders").iterdir())
    assert source["inputFacets"]["inputStatistics"]["size"] == delivered
    (rows,) = world.ask("SELECT count(*) FROM lake.raw.orders")
    assert (source["inputFacets"]["inputStatistics"]["rowCount"],) == rows
    (sales,) = [
        e for e in ends(events, "dbt.aggregated.daily_sales") if e["eventType"] == "COMPLETE"
    ]
    assert [each["name"] for each in sales["inputs"]] == ["aggregated.fct_orders"]
    assert "group by order_date, currency" in sales["job"]["facets"]["sql"]["query"]
    assert "{{" not in sales["job"]["facets"]["sql"]["query"]


def test_column_lineage_is_that_of_the_sql_that_ran(
    events: list[dict[str, Any]], world: World
) -> None:
    (sales,) = [
        e for e in ends(events, "dbt.aggregated.daily_sales") if e["eventType"] == "COMPLETE"
    ]
    facet = output(sales, "aggregated.daily_sales")["facets"]["columnLineage"]
    made = {
        (i["field"], t["type"], t["subtype"])
        for i in facet["fields"]["sales"]["inputFields"]
        for t in i["transformations"]
    }
    assert made == {("total_amount", "DIRECT", "AGGREGATION"), ("status", "INDIRECT", "FILTER")}
    assert {i["field"] for i in facet["dataset"]} == {"order_date", "currency"}
    (customers,) = ends(events, "cleaned_customers")
    fields = output(customers, "cleaned.customers")["facets"]["columnLineage"]["fields"]
    (email,) = fields["email"]["inputFields"]
    assert (email["name"], email["transformations"][0]["masking"]) == ("raw.customers", True)
    assert "full_name" not in fields  # it is dropped
    metrics = output(customers, "cleaned.customers")["facets"]["dataQualityMetrics"]
    (nulls,) = world.ask("SELECT count(*) FROM lake.cleaned.customers WHERE phone IS NULL")
    assert (metrics["columnMetrics"]["phone"]["nullCount"],) == nulls
    (raw,) = ends(events, "raw_customers")
    field = output(raw, "raw.customers")["facets"]["columnLineage"]["fields"]["full_name"]
    assert field["inputFields"][0]["namespace"] == "file"


def test_no_value_of_a_row_is_in_an_event(events: list[dict[str, Any]], world: World) -> None:
    told = json.dumps(events)
    people = (world.data.parent / "shop" / "customers" / f"{D1}.csv").read_text(encoding="utf-8")
    for line in people.splitlines()[1:]:
        assert not [value for value in line.split(",") if "@" in value and value in told]


def test_a_run_that_finds_nothing_new_writes_nothing(world: World) -> None:
    again = world.run(D1, D1, ["raw/orders", "cleaned/orders", "quarantine/orders"])
    lines = (world.data.parent / FILE).read_text(encoding="utf-8").splitlines()
    found = [json.loads(line) for line in lines]
    own = [e for e in found if e["run"]["facets"]["parent"]["run"]["runId"] == again.run_id]
    (cleaned,) = ends(own, "cleaned_orders")
    examine(cleaned)
    table = output(cleaned, "cleaned.orders")
    assert cleaned["eventType"] == "COMPLETE"
    assert table["outputFacets"]["outputStatistics"]["rowCount"] == 0
    assert table["facets"]["dataQualityMetrics"]["rowCount"] > 0
    assert "dataQualityAssertions" not in cleaned["inputs"][0]["inputFacets"]


def said(*arguments: str) -> Any:
    called = call(*arguments, "--json")
    assert called.exit_code == 0, called.output
    return json.loads(called.stdout)


def flat(node: dict[str, Any]) -> set[str]:
    own = f"{node['asset']}.{node['column']}" if "column" in node else node["asset"]
    return {own, *(name for child in node["children"] for name in flat(child))}


@pytest.mark.usefixtures("first")
def test_the_command_walks_columns_and_assets() -> None:
    up = said("lineage", "upstream", "aggregated/daily_sales.sales")
    assert {"staging/stg_orders.total_amount", "raw/orders.total_amount"} <= flat(up)
    down = said("lineage", "downstream", "raw/customers.customer_id")
    assert {"cleaned/customers.customer_id", "cleaned/orders.*"} <= flat(down)
    near = said("lineage", "downstream", "cleaned/orders", "--depth", "1")
    assert flat(near) == {"cleaned/orders", "staging/stg_orders"}
    assert near["children"][0]["goes_on"]
    shown = call("lineage", "upstream", "aggregated/customer_metrics.lifetime_value_gbp")
    assert "aggregated/fct_orders.total_amount transformation" in shown.stdout
    assert "aggregated/customer_metrics (its rows)" not in shown.stdout
    tree = call("lineage", "downstream", "raw/products")
    assert tree.stdout.splitlines()[0] == "raw/products"
    for argument, expected in (
        ("cleaned/order", "did you mean cleaned/orders?"),
        ("cleaned/orders.totl_amount", "did you mean total_amount?"),
    ):
        wrong = call("lineage", "upstream", argument)
        assert wrong.exit_code == 2
        assert expected in wrong.stderr


@pytest.mark.usefixtures("first")
def test_impact_is_what_was_really_built(world: World) -> None:
    found = said("impact", "cleaned/orders", "--partition", D1)
    touched = {(t["asset"], t["partition"]): t for t in found["touched"]}
    assert touched.keys() >= {
        ("staging/stg_orders", D1),
        ("aggregated/fct_orders", D1),
        ("aggregated/daily_sales", D1),
        ("aggregated/customer_metrics", "all"),
    }
    assert all(t["standing"] for t in found["touched"])
    assert ("aggregated/fct_orders", D2) not in touched
    (rows,) = world.ask(
        f"SELECT count(*) FROM lake.aggregated.fct_orders WHERE _partition = '{D1}'"
    )
    assert (touched["aggregated/fct_orders", D1]["rows"],) == rows
    assert "sales" in found["columns"]["aggregated/daily_sales"]
    assert f"--from {D1} --to {D1}" in found["command"]
    assert 'key:"aggregated/fct_orders"' in found["command"]
    # The stopped day was never published: nothing can have been built from it.
    stopped = call("impact", "cleaned/orders", "--partition", D2)
    assert (stopped.exit_code, "no publish" in stopped.stderr) == (2, True)
    # What is looked up touches every day that was judged with it.
    people = said("impact", "cleaned/customers", "--partition", D1)
    looked = {(t["asset"], t["partition"]): t for t in people["touched"]}
    assert looked["cleaned/orders", D1]["how"] == "looked up"
    assert ("staging/stg_customers", "all") in looked or ("staging/stg_customers", D1) in looked
    shown = call("impact", "cleaned/orders", "--partition", D1)
    assert shown.exit_code == 0
    assert "once cleaned/orders 2025-01-01 is right" in shown.stdout
    assert "columns of aggregated/daily_sales: cancelled_orders" in shown.stdout


@pytest.mark.usefixtures("first")
def test_what_was_made_again_from_good_rows_stands_no_longer(world: World) -> None:
    before = said("impact", "cleaned/orders", "--partition", D1)["bad"]
    file = Path(world.data.parent / "shop" / "orders" / f"{D1}.csv")
    file.write_text("\n".join(file.read_text(encoding="utf-8").splitlines()[:-1]) + "\n")
    world.run(D1, D1, ["raw/orders", "cleaned/orders", "quarantine/orders"])
    waiting = said("impact", "cleaned/orders", "--partition", D1)
    assert waiting["touched"] == [t for t in waiting["touched"] if t["how"] == "view"], (
        "nothing was built since"
    )
    assert "aggregated/fct_orders" in waiting["untouched"]
    old = str(before["snapshot"])
    still = said("impact", "cleaned/orders", "--partition", D1, "--publish", old)
    assert still["mended_by"]
    orders = [t for t in still["touched"] if t["asset"] == "aggregated/fct_orders"]
    assert [t["standing"] for t in orders] == [True]
    world.run(D1, D1)
    done = said("impact", "cleaned/orders", "--partition", D1, "--publish", old)
    assert not any(t["standing"] for t in done["touched"])
    assert done["command"] == ""
    assert (
        "made again" in call("impact", "cleaned/orders", "--partition", D1, "--publish", old).stdout
    )
