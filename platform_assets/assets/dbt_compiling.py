"""The SQL of dbt's models, compiled when the platform is installed.

Belongs here: having dbt compile them. Does not belong here: the files that are made then
(``dbt_project``), running them (``dbt``), and what is read out of the SQL (``column_lineage``).

This module loads dbt. ``dbt parse`` compiles nothing, so what a model reads is known before its
first run only from here.
"""

from __future__ import annotations

from pathlib import Path

import duckdb
from dbt.artifacts.schemas.run import RunExecutionResult
from dbt.cli.main import dbtRunner
from dbt.contracts.graph.manifest import Manifest
from dbt.contracts.graph.nodes import ModelNode

from platform_assets.assets.dbt import environment
from platform_assets.assets.dbt_project import PARSE_CACHE, QUICK_START, folders
from platform_assets.dbt.one_transaction import dbt_on
from platform_assets.warehouse.lake import LAKE


def compile_models(folder: Path) -> dict[str, str]:
    """The SQL of each model as a first build would run it, by the model's id.

    Nothing is asked of a lake: dbt compiles on an empty one in memory. A model that does not
    compile is absent; a run of it says why.

    Args:
        folder: Holds the parse cache.
    """
    with duckdb.connect() as empty:
        empty.execute(f"ATTACH ':memory:' AS {LAKE}")
        with environment({**folders(folder), **QUICK_START}), dbt_on(empty):
            parsed = Manifest.from_msgpack((folder / PARSE_CACHE).read_bytes())
            done = dbtRunner(manifest=parsed).invoke(["--quiet", "compile"])
    results = done.result.results if isinstance(done.result, RunExecutionResult) else []
    return {
        each.node.unique_id: each.node.compiled_code
        for each in results
        if isinstance(each.node, ModelNode) and each.node.compiled_code
    }
