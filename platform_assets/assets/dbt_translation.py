"""What dbt's models and tests are in Dagster: dagster-dbt's translation, and how it is kept.

Belongs here: names, groups and metadata. Does not belong here: how models are cut into partitions,
and what builds them (``aggregates``).

This module loads dbt; what it writes is read without (``dbt_specs``).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, dbt_assets

from platform_assets.warehouse.lake import LAKE


class LakeTranslator(DagsterDbtTranslator):
    """What dbt's models are called in Dagster."""

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        """Schema and table, which for a source is the cleaned asset's key."""
        return dg.AssetKey([dbt_resource_props["schema"], dbt_resource_props["name"]])

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str:
        """The layer."""
        return str(dbt_resource_props["schema"])

    def get_tags(self, dbt_resource_props: Mapping[str, Any]) -> Mapping[str, str]:
        """The layer as a tag too, as on the other assets."""
        return {"layer": str(dbt_resource_props["schema"])}

    def get_metadata(self, dbt_resource_props: Mapping[str, Any]) -> Mapping[str, Any]:
        """Table name, columns with types and descriptions, as the project declares them."""
        props = dbt_resource_props
        return {
            **super().get_metadata(props),
            "dagster/table_name": f"{LAKE}.{props['schema']}.{props['name']}",
        }


def translate(manifest: Mapping[str, Any]) -> str:
    """The assets and checks of a project, as JSON for ``dbt_specs``.

    Args:
        manifest: The project's manifest.
    """

    @dbt_assets(manifest=manifest, dagster_dbt_translator=LakeTranslator())
    def models() -> Iterator[Any]:
        # Never run: what dagster-dbt makes of the project is only read.
        yield from ()

    translation = {
        "assets": [_asset(spec) for spec in sorted(models.specs, key=lambda each: each.key)],
        "checks": [_check(spec) for spec in sorted(models.check_specs, key=lambda each: each.key)],
    }
    return json.dumps(translation, indent=1)


def _asset(spec: dg.AssetSpec) -> dict[str, Any]:
    return {
        "key": list(spec.key.path),
        "deps": [list(each.asset_key.path) for each in spec.deps],
        "description": spec.description,
        "group_name": spec.group_name,
        "code_version": spec.code_version,
        "owners": list(spec.owners),
        "kinds": sorted(spec.kinds),
        "tags": {k: v for k, v in spec.tags.items() if not k.startswith("dagster/kind/")},
        "metadata": {
            name: value if isinstance(value, str) else {"dagster": dg.serialize_value(value)}
            for name, value in spec.metadata.items()
            # dagster-dbt's own objects, for functions of its own.
            if isinstance(value, str | dg.TableSchema | dg.TextMetadataValue)
        },
    }


def _check(spec: dg.AssetCheckSpec) -> dict[str, Any]:
    return {
        "name": spec.name,
        "asset": list(spec.asset_key.path),
        "description": spec.description,
        "blocking": spec.blocking,
        "additional_deps": [list(each.asset_key.path) for each in spec.additional_deps],
        "metadata": dict(spec.metadata),
    }
