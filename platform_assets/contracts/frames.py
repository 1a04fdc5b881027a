"""Frames held against a contract by its pandera model: the rules that are broken, and how often.

Belongs here: reading pandera's verdict in the names of the contract's rules. Does not belong here:
judging rows in the engine (``judge``), and what follows from a verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from pandera.errors import SchemaErrors

from platform_assets.contracts.checks import SHORT_NAMES
from platform_assets.contracts.model import Contract
from platform_assets.contracts.rules import Rule

SHAPE = "columns"
"""What is broken where columns are missing, of another type, or unknown to the contract."""
_OF_SHAPE = {
    "WRONG_DATATYPE",
    "DATATYPE_COERCION",
    "COLUMN_NOT_IN_DATAFRAME",
    "COLUMN_NOT_IN_SCHEMA",
    "COLUMN_NOT_ORDERED",
}


def broken_rules(
    contract: type[Contract], rules: Sequence[Rule], frame: pd.DataFrame
) -> dict[str, int]:
    """The rules that a frame breaks, with the rows that break each; no value of any.

    Args:
        contract: The contract.
        rules: Those of its rules that count.
        frame: The rows.

    Returns:
        Rows by rule; ``columns`` where the frame has not the contract's columns and types, with
        how many columns are concerned.
    """
    names = {rule.name for rule in rules}
    found: dict[str, int] = {}
    unknown = set(map(str, frame.columns)) - set(contract.to_schema().columns)
    if unknown:
        found[SHAPE] = len(unknown)
    try:
        contract.validate(frame, lazy=True)
    except SchemaErrors as errors:
        for error in errors.schema_errors:
            rule = _rule_name(error, names)
            cases = error.failure_cases
            # A check of several columns has a case per column of a row.
            is_of_rows = rule != SHAPE and isinstance(cases, pd.DataFrame)
            rows = cases["index"].nunique() if is_of_rows else 1 if rule == SHAPE else len(frame)
            found[rule] = found.get(rule, 0) + rows
    return found


def _rule_name(error: Any, names: set[str]) -> str:  # pandera's errors have no types
    if getattr(error.reason_code, "name", "") in _OF_SHAPE:
        return SHAPE
    check = error.check if isinstance(error.check, str) else error.check.name
    if check in names:
        return str(check)
    column = error.schema.name
    if "uniqueness" in check:
        return f"{column}__unique"
    return f"{column}__{SHORT_NAMES.get(check, 'not_null')}"
