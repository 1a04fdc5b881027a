"""A rule's policy decides: rows pass, go to quarantine, or stop their partition."""

from __future__ import annotations

from collections import Counter
from itertools import count
from typing import Any

import pytest

from platform_assets.contracts import RulePolicy
from platform_assets.pipeline.gates import Action, action, strongest
from platform_assets.warehouse import quarantine_work as work
from platform_assets.warehouse.ledger import LedgerEntry, Status
from platform_assets.warehouse.quarantine_work import Picked
from platform_assets_tests.support import D1, D2, Site, row, rows_named, text, things

GOOD = rows_named(*(f"g{n}" for n in range(8)))
CHEAP = row("cheap", price="-1.00")
CHEAPER = row("cheaper", price="-2.00")
RULE = "price__ge"


NUMBERS = count()


@pytest.fixture
def name() -> str:
    """A dataset of the test's own, in a lake that all share."""
    return f"things_{next(NUMBERS)}"


def run(site: Site, name: str, policy: RulePolicy | None, *rows: str) -> LedgerEntry:
    """Deliver and clean a day: eight good rows, and some."""
    site.deliver(D1, text(*GOOD, *rows), name)
    dataset = things(name, max_bad_share=1.0, rules={RULE: policy} if policy else {})
    return site.run(dataset, [D1])[1].entries[D1]


def held(site: Site, name: str) -> dict[str, int]:
    """Rows of the quarantine by their status."""
    return dict(Counter(str(status) for (status,) in site.quarantine(name, "status")))


def done(policy: RulePolicy | None, entry: LedgerEntry) -> Action:
    """What was done about the rule."""
    dataset = things(rules={RULE: policy} if policy else {})
    (rule,) = (each for each in dataset.compiled.rules if each.name == RULE)
    return action(dataset, rule, entry)


@pytest.mark.parametrize(
    ("policy", "published", "quarantined", "expected"),
    [
        (None, 8, 2, Action.ALERT),
        (RulePolicy(alert_above=1), 8, 2, Action.ALERT),
        (RulePolicy(alert_above=2), 8, 2, Action.QUARANTINE),
        (RulePolicy(alert_above=0.2), 8, 2, Action.QUARANTINE),
        (RulePolicy(alert_above=None), 8, 2, Action.QUARANTINE),
        (RulePolicy(block_above=2), 8, 2, Action.ALERT),
        (RulePolicy(block_above=0.2), 8, 2, Action.ALERT),
        (RulePolicy(severity="warn"), 10, 0, Action.ALERT),
        (RulePolicy(severity="warn", alert_above=2), 10, 0, Action.PASS),
        (RulePolicy(severity="warn", alert_above=0.19), 10, 0, Action.ALERT),
        (RulePolicy(severity="info"), 10, 0, Action.PASS),
    ],
)
def test_a_partition_within_its_thresholds_is_published(
    shared_site: Site,
    name: str,
    policy: RulePolicy | None,
    published: int,
    quarantined: int,
    expected: Action,
) -> None:
    entry = run(shared_site, name, policy, CHEAP, CHEAPER)
    assert entry.status is Status.PUBLISHED
    assert (entry.cleaned, entry.quarantined) == (published, quarantined)
    assert entry.broken == {RULE: 2}
    assert len(shared_site.ids(D1, name)) == published
    assert held(shared_site, name) == ({"open": quarantined} if quarantined else {})
    assert done(policy, entry) is expected


@pytest.mark.parametrize("limit", [0, 1, 0.19])
@pytest.mark.parametrize("severity", ["error", "warn"])
def test_a_partition_above_is_blocked_and_the_rows_that_stopped_it_are_found(
    shared_site: Site, name: str, limit: float, severity: Any
) -> None:
    policy = RulePolicy(severity=severity, block_above=limit)
    entry = run(shared_site, name, policy, CHEAP, CHEAPER)
    assert (entry.status, entry.stopped_by) == (Status.FAILED, RULE)
    assert f"block_above={limit}" in entry.message
    assert "2 of 10 rows" in entry.message
    assert ("resolve" in entry.message) == (severity == "error")
    assert shared_site.ids(D1, name) == []
    assert held(shared_site, name) == {"blocked": 2}
    assert done(policy, entry) is Action.BLOCK
    # With one fewer it may pass, and a warning's rows are then published, not held.
    again = run(shared_site, name, RulePolicy(severity=severity, block_above=2), CHEAP, CHEAPER)
    assert again.status is Status.PUBLISHED
    assert held(shared_site, name) == ({"open": 2} if severity == "error" else {"released": 2})


def test_a_rule_s_own_threshold_is_named_before_the_share_of_all(
    shared_site: Site, name: str
) -> None:
    rows = [row(f"n{n}", quantity=-1) for n in range(3)]
    shared_site.deliver(D1, text(*GOOD, *rows, CHEAP), name)
    dataset = things(name, max_bad_share=0.1, rules={RULE: RulePolicy(block_above=0)})
    assert shared_site.run(dataset, [D1])[1].entries[D1].stopped_by == RULE
    assert (
        shared_site.run(things(name, max_bad_share=0.1), [D1])[1].entries[D1].stopped_by
        == "quantity__ge"
    )


def test_resolved_rows_do_not_count_towards_a_rule_s_threshold(
    shared_site: Site, name: str
) -> None:
    policy = RulePolicy(block_above=1)
    assert run(shared_site, name, policy, CHEAP, CHEAPER).status is Status.FAILED
    (first, *_) = work.find(shared_site.lake, Picked(dataset=name))
    work.resolve(
        shared_site.lake, Picked(ids=[first.quarantine_id]), reason="a known refund", author="me"
    )
    entry = run(shared_site, name, policy, CHEAP, CHEAPER)
    assert (entry.status, entry.cleaned, entry.quarantined) == (Status.PUBLISHED, 8, 2)
    assert held(shared_site, name) == {"resolved": 1, "open": 1}
    # A new one counts.
    assert (
        run(shared_site, name, policy, CHEAP, CHEAPER, row("c3", price=-3)).status is Status.FAILED
    )


def test_a_threshold_makes_a_partition_due_only_where_it_can_change_what_becomes_of_it(
    shared_site: Site,
    name: str,
) -> None:
    assert run(shared_site, name, None, CHEAP).status is Status.PUBLISHED
    shared_site.run(things(name, max_bad_share=1.0), [D1])

    def status(policy: RulePolicy) -> Status:
        dataset = things(name, max_bad_share=1.0, rules={RULE: policy})
        return shared_site.run(dataset, [D1])[1].entries[D1].status

    assert status(RulePolicy(alert_above=5)) is Status.UNCHANGED
    assert status(RulePolicy(severity="error")) is Status.UNCHANGED
    assert status(RulePolicy(block_above=5)) is Status.PUBLISHED
    assert status(RulePolicy(block_above=5)) is Status.UNCHANGED
    assert status(RulePolicy(severity="info")) is Status.PUBLISHED


def test_a_number_that_cannot_be_read_is_published_as_null_where_that_is_a_warning(
    shared_site: Site,
    name: str,
) -> None:
    shared_site.deliver(D1, text(row("odd", quantity="many"), row("fine")), name)
    policies = {
        "quantity__castable": RulePolicy(severity="warn"),
        "quantity__not_null": RulePolicy(severity="info"),
    }
    entry = shared_site.run(things(name, rules=policies, max_bad_share=1.0), [D1])[1].entries[D1]
    assert (entry.cleaned, entry.broken) == (2, {"quantity__castable": 1})
    assert shared_site.cleaned(name, "thing_id, quantity") == [("fine", 1), ("odd", None)]


def test_one_partition_is_blocked_and_its_neighbour_is_not(shared_site: Site, name: str) -> None:
    shared_site.deliver(D1, text(*GOOD, CHEAP), name)
    shared_site.deliver(D2, text(row("other")), name)
    dataset = things(name, rules={RULE: RulePolicy(severity="warn", block_above=0)})
    _, report = shared_site.run(dataset, [D1, D2])
    assert list(report.failed) == [D1]
    assert list(report.good) == [D2]
    assert held(shared_site, name) == {"blocked": 1}


def test_the_strongest_action_counts() -> None:
    assert strongest([]) is Action.PASS
    assert strongest([Action.ALERT, Action.PASS]) is Action.ALERT
    assert strongest(Action) is Action.BLOCK
