"""One state for each dataset and aggregate: the worst that holds, and who has to do something."""

from __future__ import annotations

from dataclasses import replace

import pytest

from platform_assets.alerts.signals import Kind, Severity
from platform_assets.quality.freshness import Level
from platform_assets.report.model import Facts, Published, Unreadable, Watch
from platform_assets.report.states import Standing, State, judge, told_partitions
from platform_assets.report.units import units_of
from platform_assets.report.views import counts, headline, waiting
from platform_assets_tests.report_facts import (
    DAYS,
    NOW,
    alert,
    asset,
    facts,
    failure,
    finding,
    lake,
    late,
    unit,
)
from platform_assets_tests.support import things

ORDERS = unit("orders")
SALES = unit("sales", "cleaned/orders", kind="aggregate")
MARGINS = unit("margins", "aggregated/sales", kind="aggregate")
UNITS = [ORDERS, SALES, MARGINS]


def standing(told: Facts, name: str = "orders") -> Standing:
    return {each.unit.name: each for each in judge(told)}[name]


def test_all_is_well() -> None:
    found = judge(facts(UNITS))
    assert {each.state for each in found} == {State.OK}
    assert [each.unit.name for each in found] == ["margins", "orders", "sales"]
    assert found[0].reason == "60 partitions published, none failed."
    assert (headline(found), waiting(found)) == ("All is well", "")
    assert counts(found) == [(State.OK, 3)]


def test_a_failed_partition_is_told_with_its_rule() -> None:
    told = lake(UNITS, failures=[failure("cleaned/orders", *DAYS[-3:-1])])
    found = standing(facts(UNITS, lake=told))
    assert found.state is State.FAILED
    assert found.reason == f"2 partitions are stopped by status__isin: {DAYS[-3]} to {DAYS[-2]}."
    assert found.needs_somebody
    assert found.about == ("cleaned/orders",)


def test_what_is_behind_a_failure_waits_for_its_root_and_is_not_counted() -> None:
    told = lake(
        UNITS,
        failures=[
            failure("cleaned/orders", DAYS[-1]),
            failure("aggregated/sales", DAYS[-1], stopped_by="upstream"),
            failure("aggregated/margins", DAYS[-1], stopped_by="upstream"),
        ],
    )
    found = judge(facts(UNITS, lake=told))
    assert [each.unit.name for each in found] == ["orders", "margins", "sales"]
    assert [each.waits_for for each in found] == [(), ("orders",), ("orders",)]
    assert headline(found) == "1 of 3 needs you"
    assert waiting(found) == "2 more wait for what comes before."


def test_those_that_wait_for_each_other_do_not_hide() -> None:
    pair = [
        unit("a", "aggregated/b", kind="aggregate"),
        unit("b", "aggregated/a", kind="aggregate"),
    ]
    stopped = [failure(u.main, DAYS[-1], stopped_by="upstream") for u in pair]
    found = judge(facts(pair, lake=lake(pair, failures=stopped)))
    assert all(each.needs_somebody for each in found)


def test_late_says_what_was_promised_and_by_whom_it_is_so() -> None:
    states = {
        "cleaned/orders": late("cleaned/orders", late_because=("source/shop",)),
        "aggregated/sales": late("aggregated/sales", late_because=("cleaned/orders",)),
    }
    found = judge(facts(UNITS, freshness=states))
    assert [each.state for each in found] == [State.LATE, State.LATE, State.OK]
    assert found[0].unit.name == "orders"
    assert found[0].needs_somebody, "a source has nobody who looks at its own state"
    assert found[0].reason == (
        f"{DAYS[-1]} was promised by 2026-11-22 08:00 and is not there. Because of source/shop."
    )
    assert found[1].waits_for == ("orders",)


def test_what_never_ran_and_was_promised_is_late() -> None:
    empty = lake(UNITS, published={})
    assert standing(facts(UNITS, lake=empty)).state is State.NEVER_RUN
    promised = {"cleaned/orders": late("cleaned/orders")}
    assert standing(facts(UNITS, lake=empty, freshness=promised)).state is State.LATE


@pytest.mark.parametrize(
    ("severity", "state"), [("warn", State.ODD), ("error", State.ODD), ("info", State.OK)]
)
def test_a_finding_is_odd_unless_it_is_only_noted(severity: str, state: State) -> None:
    found = [finding("cleaned/orders", severity=severity)] * 3
    judged = standing(facts(UNITS, lake=lake(UNITS, findings=found)))
    assert judged.state is state
    if state is State.ODD:
        assert judged.reason.startswith(f"{DAYS[-1]}: Volume of rows: 5; expected 20 to 90.")
        assert judged.reason.endswith("2 further findings.")


def test_soon_late_is_odd() -> None:
    soon = {"raw/orders": late("raw/orders", level=Level.WARN, message="due in 5 min")}
    found = standing(facts(UNITS, freshness=soon))
    assert (found.state, found.reason, found.about) == (State.ODD, "Due in 5 min.", ("raw/orders",))


@pytest.mark.parametrize(
    ("kind", "severity", "state"),
    [
        (Kind.CHECK_FAILED, Severity.ERROR, State.FAILED),
        (Kind.CHECK_FAILED, Severity.WARN, State.ODD),
        (Kind.DURATION, Severity.ERROR, State.ODD),
        (Kind.DURATION, Severity.INFO, State.OK),
    ],
)
def test_an_alert_counts_by_its_kind_and_severity(
    kind: Kind, severity: Severity, state: State
) -> None:
    told = [alert("cleaned/orders", kind=kind, severity=severity)]
    assert standing(facts(UNITS, watch=Watch(told))).state is state
    elsewhere = [replace(told[0], subject="sensor/arrival")]
    assert standing(facts(UNITS, watch=Watch(elsewhere))).state is State.OK


def test_a_lake_that_cannot_be_read_is_not_taken_for_well() -> None:
    found = judge(facts(UNITS, lake=Unreadable("gone"), freshness=Unreadable("gone")))
    assert {each.state for each in found} == {State.UNKNOWN}
    assert headline(found) == "3 of 3 need you"


def test_the_worst_comes_first_and_what_waits_after_what_does_not() -> None:
    told = lake(
        UNITS,
        failures=[failure("aggregated/margins", "all", stopped_by="contract")],
        findings=[finding("cleaned/orders")],
    )
    found = judge(facts(UNITS, lake=told))
    assert [str(each.state) for each in found] == ["failed", "odd", "ok"]
    assert found[0].reason == "1 partition is stopped by contract: the whole table."


def test_nothing_declared_is_said() -> None:
    assert headline(judge(facts())) == "Nothing is declared yet"


def test_a_table_that_is_not_cut_is_told_as_a_whole() -> None:
    whole = {key: Published(1, 0, "all", NOW) for key in ORDERS.assets}
    found = standing(facts([ORDERS], lake=lake([ORDERS], published=whole)))
    assert found.reason == "The whole table is published."


def test_many_partitions_are_told_by_the_newest_spans() -> None:
    days = [f"2025-01-{day:02}" for day in range(1, 31, 2)]
    told = told_partitions(days)
    assert told == "2025-01-23, 2025-01-25, 2025-01-27, 2025-01-29 and 11 earlier"


def test_what_is_there_and_old_is_told_in_the_words_of_freshness() -> None:
    old = late("cleaned/orders", newest=DAYS[-1], message="its newest event is 3 h old")
    found = standing(facts(UNITS, freshness={"cleaned/orders": old}))
    assert found.reason == "Its newest event is 3 h old."


def test_a_dataset_and_an_aggregate_of_one_name_have_a_state_each() -> None:
    same = unit("orders", "cleaned/orders", kind="aggregate")
    told = lake([ORDERS, same], failures=[failure("cleaned/orders", DAYS[-1])])
    found = judge(facts([ORDERS, same], lake=told))
    assert [(each.unit.kind, each.state) for each in found] == [
        ("dataset", State.FAILED),
        ("aggregate", State.OK),
    ]


def test_units_are_found_in_the_graph_through_views_without_a_state() -> None:
    graph = [
        asset("raw/things"),
        asset("cleaned/things", "raw/things"),
        asset("quarantine/things", "raw/things"),
        asset("staging/stg_things", "cleaned/things"),
        asset("aggregated/sums", "staging/stg_things", "aggregated/rates"),
        asset("aggregated/rates"),
    ]
    found = {each.main: each for each in units_of({a.key: a for a in graph}, [things()])}
    assert list(found) == ["cleaned/things", "aggregated/sums", "aggregated/rates"]
    assert found["cleaned/things"].assets == ("raw/things", "cleaned/things")
    assert found["aggregated/sums"].made_from == ("aggregated/rates", "cleaned/things")
