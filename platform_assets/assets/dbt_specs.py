"""The specs of dbt's models and tests, read from their translation.

Belongs here: reading. Does not belong here: making the translation, which loads dbt
(``dbt_translation``), and keeping it current (``dbt_project``).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg

Cut = Callable[[str], dg.PartitionsDefinition[str] | None]
"""Given an asset's key (``aggregated/fct_orders``), how it is cut; None: it is not."""


@dataclass(frozen=True)
class DbtSpecs:
    """What the models and the tests of the project are in Dagster.

    Attributes:
        assets: The models.
        checks: The tests.
    """

    assets: list[dg.AssetSpec]
    checks: list[dg.AssetCheckSpec]


def read_specs(translation: str, cut: Cut) -> DbtSpecs:
    """The specs of a translated project.

    Args:
        translation: What ``dbt_translation.translate`` wrote.
        cut: How each model is cut.
    """
    told = json.loads(translation)
    return DbtSpecs(
        [_asset(each, cut) for each in told["assets"]],
        [_check(each) for each in told["checks"]],
    )


def _asset(told: Mapping[str, Any], cut: Cut) -> dg.AssetSpec:
    key = dg.AssetKey(told["key"])
    return dg.AssetSpec(
        key,
        deps=[dg.AssetKey(path) for path in told["deps"]],
        description=told["description"],
        group_name=told["group_name"],
        code_version=told["code_version"],
        owners=told["owners"] or None,
        kinds=set(told["kinds"]),
        tags=told["tags"],
        metadata={
            name: value if isinstance(value, str) else dg.deserialize_value(value["dagster"])
            for name, value in told["metadata"].items()
        },
        partitions_def=cut(key.to_user_string()),
    )


def _check(told: Mapping[str, Any]) -> dg.AssetCheckSpec:
    return dg.AssetCheckSpec(
        told["name"],
        asset=dg.AssetKey(told["asset"]),
        description=told["description"],
        blocking=told["blocking"],
        additional_deps=[dg.AssetKey(path) for path in told["additional_deps"]],
        metadata=told["metadata"],
    )
