"""Which columns models are made from, by their compiled SQL, upstream first.

Belongs here: several queries that read each other's tables, and keeping what was read out of them.
Does not belong here: one query (``sql_lineage``), and where compiled SQL comes from.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from platform_assets.observability.column_lineage import (
    ColumnOf,
    How,
    Input,
    Inputs,
    TableLineage,
)
from platform_assets.observability.lineage_graph import LineageGraph
from platform_assets.observability.sql_lineage import lineage_of

# Another one where what is read out of SQL changes.
_FORMAT = 1


@dataclass(frozen=True)
class Model:
    """One model.

    Attributes:
        asset: The asset that it makes, such as ``aggregated/fct_orders``.
        sql: Its SELECT, compiled; empty: it was not compiled.
        upstream: Keys of the assets that it is made from.
        columns: Its columns, as far as they are declared: what is told of where the SQL tells none.
    """

    asset: str
    sql: str
    upstream: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()


def lineage_of_models(
    models: Iterable[Model], upstream: Iterable[TableLineage]
) -> list[TableLineage]:
    """What the tables of models are made from.

    Args:
        models: The models, in any order.
        upstream: Tables that they read and that are no models.
    """
    schemas: dict[str, dict[str, Sequence[str]]] = {}
    for table in upstream:
        _note(schemas, table)
    by_asset = {model.asset: model for model in models}
    order = LineageGraph({model.asset: model.upstream for model in by_asset.values()}).assets
    found = []
    for model in (by_asset[asset] for asset in order if asset in by_asset):
        # What an incremental model reads of itself is passed over by its name.
        schema, _, name = model.asset.rpartition("/")
        own = {**schemas, schema: {**schemas.get(schema, {}), name: model.columns}}
        made = lineage_of(model.asset, model.sql, own) if model.sql else None
        if made is None:
            made = TableLineage(model.asset, dict.fromkeys(model.columns), is_known=False)
        found.append(made)
        _note(schemas, made)
    return found


def lineage_kept(
    file: Path, models: Sequence[Model], upstream: Sequence[TableLineage]
) -> list[TableLineage]:
    """What the tables of models are made from: as it was read before, while nothing has changed.

    Reading SQL, and loading what reads it, takes a quarter of a second, which every start of a
    process would cost.

    Args:
        file: Where it is kept; made where it is missing or of something else.
        models: The models, in any order.
        upstream: Tables that they read and that are no models.
    """
    columns = [[table.asset, *table.columns] for table in upstream]
    asked = json.dumps([_FORMAT, version("sqlglot"), list(map(astuple, models)), columns])
    digest = hashlib.sha256(asked.encode()).hexdigest()
    try:
        kept = json.loads(file.read_bytes())
    except (OSError, ValueError):
        kept = {}
    if kept.get("digest") == digest:
        return [_read(told) for told in kept["tables"]]
    found = lineage_of_models(models, upstream)
    told = json.dumps({"digest": digest, "tables": [_written(table) for table in found]})
    # A folder that cannot be written to costs the time and nothing else.
    with suppress(OSError):
        own = file.with_name(f"{file.name}.{os.getpid()}")
        own.write_text(told, encoding="utf-8")
        own.replace(file)
    return found


def _written(table: TableLineage) -> dict[str, Any]:
    def inputs(given: Inputs | None) -> list[list[str | bool]] | None:
        if given is None:
            return None
        return [[i.source.asset, i.source.column, i.how.value, i.masking] for i in sorted(given)]

    columns = {name: inputs(given) for name, given in table.columns.items()}
    rows = inputs(table.rows)
    return {"asset": table.asset, "columns": columns, "rows": rows, "is_known": table.is_known}


def _read(told: Mapping[str, Any]) -> TableLineage:
    def inputs(given: Sequence[Sequence[Any]] | None) -> Inputs | None:
        if given is None:
            return None
        return frozenset(Input(ColumnOf(a, c), How(how), masking) for a, c, how, masking in given)

    columns = {name: inputs(given) for name, given in told["columns"].items()}
    return TableLineage(
        told["asset"], columns, inputs(told["rows"]) or frozenset(), told["is_known"]
    )


def _note(schemas: dict[str, dict[str, Sequence[str]]], table: TableLineage) -> None:
    schema, _, name = table.asset.rpartition("/")
    schemas.setdefault(schema, {})[name] = tuple(table.columns)
