"""Policies of rules: what they may say, what follows from their severity, and their thresholds."""

from __future__ import annotations

from typing import Any

import pytest

from platform_assets.contracts import RulePolicy
from platform_assets.contracts.policies import Thresholds, exceeds, thresholds_of
from platform_assets.contracts.rules import strictest
from platform_assets.errors import ContractError
from platform_assets_tests.support import things


@pytest.mark.parametrize("name", ["alert_above", "block_above"])
@pytest.mark.parametrize(
    ("value", "fix"),
    [
        (True, "0 for any row"),
        (False, "0 for any row"),
        (-1, "write 0"),
        (0.0, "write 0 for a count"),
        (1.0, "write 1 for a count"),
        (1.5, "two per cent as 0.02"),
        (-0.5, "two per cent as 0.02"),
        (float("nan"), "two per cent as 0.02"),
        (float("inf"), "two per cent as 0.02"),
        ("0.02", "0 for any row"),
    ],
)
def test_what_could_be_read_two_ways_is_refused(name: str, value: Any, fix: str) -> None:
    with pytest.raises(ContractError, match="neither a count of rows nor a share") as caught:
        RulePolicy(**{name: value})
    assert caught.value.where == f"RulePolicy, {name}"
    assert repr(value) in caught.value.found
    assert fix in caught.value.fix


def test_a_threshold_is_a_count_or_a_share_or_never() -> None:
    assert [exceeds(2, rows, 10) for rows in (2, 3)] == [False, True]
    assert [exceeds(0.2, rows, 10) for rows in (2, 3)] == [False, True]
    assert not exceeds(None, 10, 10)
    assert exceeds(0, 1, 0)
    assert not exceeds(0.5, 0, 0)
    for value in (None, 0, 7, 0.001, 0.999):
        assert RulePolicy(alert_above=value, block_above=value).block_above == value


def test_a_severity_that_is_none_is_refused() -> None:
    with pytest.raises(ContractError, match="severity that is none") as caught:
        RulePolicy(severity="fatal")  # type: ignore[arg-type] # as a user might
    assert "'error' or 'warn' or 'info'" in caught.value.expected


def test_a_rule_that_is_not_there_is_refused_with_those_that_are_like_it() -> None:
    with pytest.raises(ContractError, match="a rule that the contract does not have") as caught:
        things(rules={"quantity_ge": RulePolicy()})
    assert caught.value.where == "dataset things, rules, quantity_ge"
    assert caught.value.expected.startswith("one of quantity__ge")
    assert caught.value.fix == "rename it to quantity__ge"
    with pytest.raises(ContractError) as caught:
        things(rules={"zzz": RulePolicy()})
    assert "price__ge" in caught.value.expected
    assert "the asset's checks" in caught.value.fix


@pytest.mark.parametrize("policy", [{"alert_above": 3}, {"block_above": 0.5}])
def test_info_neither_alerts_nor_blocks(policy: dict[str, Any]) -> None:
    with pytest.raises(ContractError, match="info neither alerts nor blocks") as caught:
        things(rules={"price__ge": RulePolicy(severity="info", **policy)})
    assert 'severity="warn"' in caught.value.fix
    things(rules={"price__ge": RulePolicy(severity="info")})
    things(rules={"price__ge": RulePolicy(severity="info", alert_above=None)})


@pytest.mark.parametrize("severity", ["warn", "info"])
def test_a_row_without_a_key_never_passes(severity: Any) -> None:
    with pytest.raises(ContractError, match="identify every row"):
        things(rules={"thing_id__not_null": RulePolicy(severity=severity)})
    things(rules={"quantity__not_null": RulePolicy(severity=severity)})


def test_a_severity_holds_for_one_rule_and_changes_what_follows_from_it() -> None:
    plain, changed = things(), things(rules={"price__ge": RulePolicy(severity="warn")})
    before = {rule.name: rule.severity for rule in plain.compiled.rules}
    after = {rule.name: rule.severity for rule in changed.compiled.rules}
    assert {name for name in after if after[name] != before[name]} == {"price__ge"}
    assert changed.compiled.version != plain.compiled.version
    assert "| `price__ge` | price >= 0 | warn | SQL |" in changed.compiled.markdown().replace(
        "\\", ""
    )
    assert "| `price__ge` | price >= 0 | error | SQL |" in plain.compiled.markdown().replace(
        "\\", ""
    )
    # A threshold changes no verdict.
    same = things(rules={"price__ge": RulePolicy(block_above=1)})
    assert same.compiled.version == plain.compiled.version


def test_a_text_that_may_not_be_a_number_is_cast_with_care() -> None:
    changed = things(rules={"quantity__castable": RulePolicy(severity="warn")}).compiled
    assert changed.cast_sql("quantity", judged=True) == changed.cast_sql("quantity")
    assert changed.cast_sql("price", judged=True) == things().compiled.cast_sql(
        "price", judged=True
    )


def test_defaults_follow_from_the_severity() -> None:
    policies = {
        "price__ge": RulePolicy(severity="info"),
        "quantity__ge": RulePolicy(alert_above=None, block_above=0.5),
    }
    rules = {rule.name: rule for rule in things(rules=policies).compiled.rules}
    assert thresholds_of(rules["price__ge"], policies) == Thresholds(None, None)
    assert thresholds_of(rules["quantity__ge"], policies) == Thresholds(None, 0.5)
    assert thresholds_of(rules["note__str_length"], policies) == Thresholds(0, None)
    assert thresholds_of(rules["price__castable"], policies) == Thresholds(0, None)


def test_the_strictest_severity_of_several_counts() -> None:
    assert strictest(["info", "warn"]) == "warn"
    assert strictest(["warn", "error", "info"]) == "error"
    assert strictest(["info"]) == "info"
    assert strictest([]) == "error"
