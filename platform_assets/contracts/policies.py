"""What a dataset does about each of its rules: severity, and when to alert and to block.

Belongs here: the policy, what it must name, and a contract's rules with the severities that
policies give them. Does not belong here: counting rows, or acting on a count (``pipeline``).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final, Literal, Protocol, get_args

from platform_assets.contracts.fields import Severity
from platform_assets.contracts.rules import Rule
from platform_assets.errors import ContractError


class _Default(Enum):
    BY_SEVERITY = "by severity"


BY_SEVERITY: Final = _Default.BY_SEVERITY
"""The threshold that a rule of its severity has: alert above 0 rows, but never for ``info``."""

Threshold = int | float | None
"""An int is a count of a partition's rows, a float between 0 and 1 a share; None is never."""


@dataclass(frozen=True)
class RulePolicy:
    """What a dataset does about one rule.

    Attributes:
        severity: Instead of the column's, for this rule alone; None: the column's.
        alert_above: More broken rows of a partition than this make the check fail: a count of
            rows (an int), or a share of its extracted rows (a float between 0 and 1). None: never.
        block_above: More than this stop the partition, so that nothing of it is published. None:
            never by this rule; rejected rows still count towards ``Dataset.max_bad_share``.

    Raises:
        ContractError: A severity or threshold is none.
    """

    severity: Severity | None = None
    alert_above: Threshold | Literal[_Default.BY_SEVERITY] = BY_SEVERITY
    block_above: Threshold = None

    def __post_init__(self) -> None:
        """Refuse what is not a policy, where it is written."""
        if self.severity is not None and self.severity not in get_args(Severity):
            raise _refused(
                "A rule has a severity that is none",
                "severity",
                " or ".join(map(repr, get_args(Severity))),
                repr(self.severity),
                "write one of these, or leave it out to keep the column's",
            )
        if self.alert_above is not BY_SEVERITY:
            _examine_threshold("alert_above", self.alert_above)
        _examine_threshold("block_above", self.block_above)


@dataclass(frozen=True)
class Thresholds:
    """When a rule alerts and blocks, with every default filled in.

    Attributes:
        alert_above: See ``RulePolicy``.
        block_above: See ``RulePolicy``.
    """

    alert_above: Threshold
    block_above: Threshold


def exceeds(threshold: Threshold, rows: int, of: int) -> bool:
    """Whether a partition has more broken rows than a threshold allows.

    Args:
        threshold: A count, a share, or None.
        rows: Rows that break the rule.
        of: Rows that were extracted.
    """
    if threshold is None:
        return False
    if isinstance(threshold, float):
        return of > 0 and rows / of > threshold
    return rows > threshold


def thresholds_of(rule: Rule, policies: Mapping[str, RulePolicy]) -> Thresholds:
    """When a rule alerts and blocks.

    Args:
        rule: The rule, with its effective severity.
        policies: The dataset's policies, by rule.
    """
    policy = policies.get(rule.name, RulePolicy())
    alert = policy.alert_above
    if alert is BY_SEVERITY:
        alert = None if rule.severity == "info" else 0
    return Thresholds(alert, policy.block_above)


def severities(policies: Mapping[str, RulePolicy]) -> tuple[tuple[str, Severity], ...]:
    """The severities that policies give to rules, in an order that does not depend on theirs."""
    given = ((name, policy.severity) for name, policy in policies.items())
    return tuple(sorted((name, severity) for name, severity in given if severity is not None))


def with_severities(
    rules: Iterable[Rule], given: Iterable[tuple[str, Severity]]
) -> tuple[Rule, ...]:
    """Rules with the severities that policies give them; a name that no rule has is left alone.

    Args:
        rules: A contract's rules.
        given: Severities by rule.
    """
    wanted = dict(given)
    return tuple(replace(r, severity=wanted.get(r.name, r.severity)) for r in rules)


class Ruled(Protocol):
    """What has rules and a key: ``compile.CompiledContract`` is one."""

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Its rules."""
        ...

    @property
    def key(self) -> tuple[str, ...]:
        """Names of the columns that identify a row."""
        ...


def examine(dataset: str, policies: Mapping[str, RulePolicy], compiled: Ruled) -> None:
    """Refuse policies that cannot hold.

    Args:
        dataset: The dataset, for errors.
        policies: Its policies, by rule.
        compiled: Its contract, each rule with its effective severity.

    Raises:
        ContractError: A policy names no rule, gives an ``info`` rule a threshold, or would let
            rows without a key pass.
    """
    by_name = {rule.name: rule for rule in compiled.rules}
    for name in policies:
        where = f"dataset {dataset}, rules, {name}"
        if name not in by_name:
            near = difflib.get_close_matches(name, list(by_name), n=3)
            raise ContractError(
                "A policy is for a rule that the contract does not have",
                where=where,
                expected="one of " + ", ".join(near or sorted(by_name)),
                found=name,
                fix=f"rename it to {near[0]}"
                if near
                else "write the rule's name as the asset's checks show it",
            )
        rule = by_name[name]
        makes_key = rule.kind in ("cast", "not_null") and set(rule.columns) <= set(compiled.key)
        if makes_key and rule.severity != "error":
            raise ContractError(
                "A key must identify every row",
                where=where,
                expected="severity error for what makes a key a key",
                found=rule.severity,
                fix="leave the severity out",
            )
        thresholds = thresholds_of(rule, policies)
        if rule.severity == "info" and thresholds != Thresholds(None, None):
            raise ContractError(
                "A rule of severity info neither alerts nor blocks",
                where=where,
                expected="no alert_above and no block_above",
                found=f"alert_above={thresholds.alert_above}, block_above={thresholds.block_above}",
                fix='write severity="warn", which publishes the rows too',
            )


def _examine_threshold(name: str, value: object) -> None:
    """Refuse what could be read as a count or as a share."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        problem = "write 0 for any row, None for never"
    elif isinstance(value, int):
        if value >= 0:
            return
        problem = "write 0 for any row"
    elif 0 < value < 1:
        return
    elif value in (0, 1):
        problem = f"write {int(value)} for a count; a share of all rows is never exceeded: None"
    else:
        problem = "write a count without a point, and two per cent as 0.02"
    raise _refused(
        "A threshold is neither a count of rows nor a share of them",
        name,
        "an int from 0 (rows of a partition), a float between 0 and 1 (share of them), or None",
        f"{value!r} ({type(value).__name__})",
        problem,
    )


def _refused(what: str, name: str, expected: str, found: str, fix: str) -> ContractError:
    where = f"RulePolicy, {name}"
    return ContractError(what, where=where, expected=expected, found=found, fix=fix)
