"""``rules:`` of an entry are policies, and every mistake in them is pointed at."""

from __future__ import annotations

from pathlib import Path

import pytest

from platform_assets.contracts import RulePolicy
from platform_assets_tests.unit.declared.support import load, refused

ENTRY = """\
datasets:
  - name: refunds
    kind: csv
    connection: shop
    path: refunds/{partition}.csv
    partitions: {daily: {start: 2025-01-01}}
    key: refund_id
    unique_across: [refund_id]
    rules:
      amount__ge: RULE
    contract:
      columns:
        refund_id: str
        amount: {type: "decimal(18, 2)", ge: 0}
"""


def entry(rule: str) -> str:
    return ENTRY.replace("RULE", rule)


@pytest.mark.parametrize(
    ("rule", "policy"),
    [
        ("{}", RulePolicy()),
        ("{severity: info}", RulePolicy(severity="info")),
        ("{alert_above: 5, block_above: 0.02}", RulePolicy(alert_above=5, block_above=0.02)),
        ("{severity: warn, alert_above: null}", RulePolicy(severity="warn", alert_above=None)),
    ],
)
def test_an_entry_says_what_a_policy_says(tmp_path: Path, rule: str, policy: RulePolicy) -> None:
    (found,) = load(tmp_path, entry(rule)).entries
    dataset = found.dataset()
    assert dataset.rules == {"amount__ge": policy}
    assert dataset.unique_across == ("refund_id",)
    assert "unique_across__refund_id" in {each.name for each in dataset.compiled.rules}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (entry("{block_above: 1.0}"), "neither a count of rows nor a share"),
        (entry("{alert_above: true}"), "neither a count of rows nor a share"),
        (entry("{severity: fatal}"), "wrong form"),
        (entry("{blocks: 1}"), "no such key"),
        (entry("{severity: info, block_above: 3}"), "neither alerts nor blocks"),
        (entry("{}").replace("amount__ge", "amount__gee"), "does not have"),
    ],
)
def test_a_mistake_is_pointed_at(tmp_path: Path, text: str, problem: str) -> None:
    error = refused(tmp_path, text)
    assert problem in error.what
    # Two lines for the connections stand before the entry.
    assert "line 12, " in error.where
