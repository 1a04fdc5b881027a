"""A rule's policy decides: rows pass, go to quarantine, or stop their partition."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import count

import pytest

from platform_assets.contracts import Contract, Field, Key, RulePolicy
from platform_assets.pipeline.gates import Action, action, strongest
from platform_assets.warehouse import quarantine_work as work
from platform_assets.warehouse.ledger import LedgerEntry, Status
from platform_assets.warehouse.quarantine_work import Picked
from platform_assets_tests.support import D1, D2, START, Site, row, rows_named, text, things

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


# Policies of a rule that two rows of ten break, and what becomes of these.
WITHIN: list[tuple[RulePolicy | None, int, int, Action]] = [
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
]
ABOVE = [
    RulePolicy(severity=severity, block_above=limit)
    for severity in ("error", "warn")
    for limit in (0, 1, 0.19)
]
POLICIES = [*(policy for policy, *_ in WITHIN), *ABOVE]
# One run judges them all: each has a column of its own, and a day on which that breaks its rule.
COLUMNS = [f"column_{number}" for number in range(len(POLICIES))]
DAY_OF = dict(zip(COLUMNS, (str(START + timedelta(n)) for n in range(len(COLUMNS))), strict=True))
Columns = type(Contract)(
    "Columns",
    (Contract,),
    {
        "__module__": __name__,
        "__annotations__": {"thing_id": str, **dict.fromkeys(COLUMNS, int)},
        "thing_id": Key(),
        **{column: Field(ge=0) for column in COLUMNS},
    },
)


@dataclass(frozen=True)
class Judged:
    """What became of a policy's day."""

    rule: str
    entry: LedgerEntry
    published: int
    held: dict[str, int]
    action: Action


def judge(site: Site, policies: Sequence[RulePolicy | None]) -> dict[str, Judged]:
    """Clean the day of each column by a policy of its rule."""
    given = {
        f"{column}__ge": policy
        for column, policy in zip(COLUMNS, policies, strict=True)
        if policy is not None
    }
    dataset = things("columns", contract=Columns, max_bad_share=1.0, rules=given)
    entries = site.run(dataset, list(DAY_OF.values()))[1].entries
    rules = {rule.name: rule for rule in dataset.compiled.rules}
    published = Counter(day for (day,) in site.cleaned("columns", "_partition"))
    rows = site.quarantine("columns", "partition, status")
    return {
        column: Judged(
            f"{column}__ge",
            entries[day],
            published[day],
            dict(Counter(str(status) for at, status in rows if at == day)),
            action(dataset, rules[f"{column}__ge"], entries[day]),
        )
        for column, day in DAY_OF.items()
    }


@pytest.fixture(scope="module")
def judged(shared_site: Site) -> tuple[dict[str, Judged], dict[str, Judged]]:
    """What became of each day, and what then, where those that were blocked may have two."""
    for column, day in DAY_OF.items():
        bad = ",".join("-1" if each == column else "1" for each in COLUMNS)
        good = ",".join("1" for _ in COLUMNS)
        rows = [f"t{n},{good if n < 8 else bad}" for n in range(10)]
        content = text(*rows, header=",".join(["thing_id", *COLUMNS]))
        shared_site.deliver(day, content, "columns")
    first = judge(shared_site, POLICIES)
    again = [RulePolicy(severity=each.severity, block_above=2) for each in ABOVE]
    return first, judge(shared_site, [*POLICIES[: len(WITHIN)], *again])


@pytest.mark.parametrize("number", range(len(WITHIN)))
def test_a_partition_within_its_thresholds_is_published(
    judged: tuple[dict[str, Judged], dict[str, Judged]], number: int
) -> None:
    _, published, quarantined, expected = WITHIN[number]
    found = judged[0][COLUMNS[number]]
    assert found.entry.status is Status.PUBLISHED
    assert (found.entry.cleaned, found.entry.quarantined) == (published, quarantined)
    assert found.entry.broken == {found.rule: 2}
    assert found.published == published
    assert found.held == ({"open": quarantined} if quarantined else {})
    assert found.action is expected


@pytest.mark.parametrize("number", range(len(ABOVE)))
def test_a_partition_above_is_blocked_and_the_rows_that_stopped_it_are_found(
    judged: tuple[dict[str, Judged], dict[str, Judged]], number: int
) -> None:
    policy = ABOVE[number]
    found, again = (each[COLUMNS[len(WITHIN) + number]] for each in judged)
    assert (found.entry.status, found.entry.stopped_by) == (Status.FAILED, found.rule)
    assert f"block_above={policy.block_above}" in found.entry.message
    assert "2 of 10 rows" in found.entry.message
    assert ("resolve" in found.entry.message) == (policy.severity == "error")
    assert found.published == 0
    assert found.held == {"blocked": 2}
    assert found.action is Action.BLOCK
    # With one fewer it may pass, and a warning's rows are then published, not held.
    assert again.entry.status is Status.PUBLISHED
    assert again.held == ({"open": 2} if policy.severity == "error" else {"released": 2})


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
