"""Datasets with fewer checks than they have, to see what the checks cost.

Belongs here: taking rules and statistics out of a dataset. Does not belong here: measuring.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any, Literal

from platform_assets.contracts import Contract, Field
from platform_assets.dataset import Dataset
from platform_assets.quality.policy import CHECKS, Statistics

Checks = Literal["none", "rules", "all"]


def with_checks(dataset: Dataset, checks: Checks) -> Dataset:
    """A dataset with all of its checks, with its rules alone, or with none.

    Without any, its columns keep their types and what becomes of personal data, and its keys stay
    keys: text that is no value of its column's type is refused still, and copies are left out.

    Args:
        dataset: The dataset.
        checks: Which checks stay.
    """
    if checks == "all":
        return dataset
    quiet = Statistics(severities=dict.fromkeys(CHECKS, "off"))
    if checks == "rules":
        return replace(dataset, statistics=quiet)
    return replace(dataset, statistics=quiet, contract=_bare(dataset))


def _bare(dataset: Dataset) -> type[Contract]:
    members: dict[str, Any] = {"__annotations__": {}, "__doc__": "The same columns, without rules."}
    for column in dataset.compiled.columns:
        is_decimal = column.type.python is Decimal
        members["__annotations__"][column.name] = column.type.python
        members[column.name] = Field(
            source=column.sources,
            key=column.key,
            event_time=column.event_time,
            cursor=column.cursor,
            pii=column.pii,
            format=column.format,
            decimal=(column.type.precision, column.type.scale) if is_decimal else None,
            nullable=not column.key,
        )
    return type(f"Bare{dataset.contract.__name__}", (Contract,), members)
