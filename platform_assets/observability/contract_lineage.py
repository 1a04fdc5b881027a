"""Which columns a dataset's tables are made from, by its contract.

Belongs here: raw, cleaned, quarantine and history. Does not belong here: what is made from these in
SQL (``sql_lineage``).

A contract says it all: each column is a cast of one of the source's; rows are left out by the rules
of severity ``error``, and put together by the key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from platform_assets.contracts.columns import Column
from platform_assets.dataset import Dataset
from platform_assets.observability.column_lineage import (
    ColumnOf,
    How,
    Input,
    Inputs,
    TableLineage,
)
from platform_assets.provenance import (
    CHANGE,
    CHANGED_COLUMN,
    DELETED_AT_COLUMN,
    FILE_COLUMN,
    OP_COLUMN,
    PARTITION_COLUMN,
    PERIOD,
    POSITION_COLUMN,
    PROVENANCE,
)

# Of the quarantine's columns: what they are made from, where that is a row's.
_QUARANTINE = (
    "quarantine_id", "partition", "run_id", "status", "rules", "original_row", "source_file",
    "row_number", "row_key", "contract_version", "first_seen", "attempts",
)  # fmt: skip
NOTHING: Inputs = frozenset()


def lineage_of_dataset(dataset: Dataset) -> list[TableLineage]:
    """What the tables of a dataset are made from.

    Args:
        dataset: The dataset.
    """
    return [
        lineage_of_layer(dataset, layer)
        for layer in _LAYERS
        if layer != "history" or dataset.history
    ]


def lineage_of_layer(dataset: Dataset, layer: str) -> TableLineage:
    """What one table of a dataset is made from.

    Args:
        dataset: The dataset.
        layer: Which one: raw, cleaned, quarantine or history.
    """
    return _LAYERS[layer](dataset)


def _raw(dataset: Dataset) -> TableLineage:
    """What came: no table of the platform is before it."""
    own = (*PROVENANCE, *CHANGE) if dataset.has_versions else PROVENANCE
    names = [c.source for c in dataset.compiled.columns] + [name for name, _ in own]
    return TableLineage(f"raw/{dataset.name}", dict.fromkeys(names, NOTHING))


def _published(dataset: Dataset) -> dict[str, Inputs | None]:
    columns: dict[str, Inputs | None] = {}
    for name, _ in dataset.compiled.published_columns:
        column = dataset.compiled.column(name)
        columns[name] = frozenset({_from_raw(dataset, column.source, _how(column), column.pii)})
    return columns


def _how(column: Column) -> How:
    """Text stays the text that it is; everything else is cast, and personal data is made safe."""
    same = column.type.python is str and column.pii is None
    return How.IDENTITY if same else How.TRANSFORMATION


def _from_raw(dataset: Dataset, column: str, how: How, pii: str | None = None) -> Input:
    return Input(ColumnOf(f"raw/{dataset.name}", column), how, masking=pii is not None)


def _cleaned(dataset: Dataset) -> TableLineage:
    columns = _published(dataset)
    for name in (PARTITION_COLUMN, FILE_COLUMN):
        columns[name] = frozenset({_from_raw(dataset, name, How.IDENTITY)})
    if dataset.marks_deletes:
        columns[DELETED_AT_COLUMN] = frozenset(
            {
                _from_raw(dataset, CHANGED_COLUMN, How.TRANSFORMATION),
                _from_raw(dataset, OP_COLUMN, How.CONDITIONAL),
            }
        )
    rows = _rows(dataset)
    return TableLineage(f"cleaned/{dataset.name}", columns, rows, _is_known(dataset))


def _is_known(dataset: Dataset) -> bool:
    """Whether each rule that rejects rows says which columns it looks at."""
    return all(rule.columns for rule in dataset.compiled.rules if rule.severity == "error")


def _rows(dataset: Dataset) -> Inputs:
    """What decides which rows are cleaned: rules, the key, and which of its versions is newest."""
    compiled = dataset.compiled
    found = set(_judging(dataset, How.FILTER))
    found |= {
        _from_raw(dataset, compiled.column(name).source, How.GROUP_BY) for name in compiled.key
    }
    if compiled.key and compiled.cursor is not None:
        found.add(_from_raw(dataset, compiled.cursor.source, How.SORT))
    if dataset.has_versions:
        found.add(_from_raw(dataset, POSITION_COLUMN, How.SORT))
        found.add(_from_raw(dataset, OP_COLUMN, How.FILTER))
    return frozenset(found)


def _judging(dataset: Dataset, how: How, severities: Sequence[str] = ("error",)) -> Iterable[Input]:
    """The columns that rules look at, and those that they look values up in."""
    compiled = dataset.compiled
    for rule in compiled.rules:
        if rule.severity not in severities:
            continue
        for name in rule.columns:
            yield _from_raw(dataset, compiled.column(name).source, how)
        if rule.references is not None:
            target, column = rule.references
            yield Input(ColumnOf(f"cleaned/{target}", column), how)


def _quarantine(dataset: Dataset) -> TableLineage:
    compiled = dataset.compiled
    columns: dict[str, Inputs | None] = dict.fromkeys(_QUARANTINE, NOTHING)
    whole = [_from_raw(dataset, column.source, How.TRANSFORMATION) for column in compiled.columns]
    # The row is kept as text, whole, also with columns that the contract does not name.
    columns["original_row"] = frozenset(whole)
    columns["row_key"] = frozenset(
        _from_raw(dataset, compiled.column(name).source, How.TRANSFORMATION)
        for name in compiled.key
    )
    every = ("error", "warn", "info")
    columns["rules"] = frozenset(_judging(dataset, How.CONDITIONAL, every))
    columns["partition"] = frozenset({_from_raw(dataset, PARTITION_COLUMN, How.IDENTITY)})
    columns["source_file"] = frozenset({_from_raw(dataset, FILE_COLUMN, How.IDENTITY)})
    rows = frozenset(_judging(dataset, How.FILTER))
    return TableLineage(f"quarantine/{dataset.name}", columns, rows, _is_known(dataset))


def _history(dataset: Dataset) -> TableLineage:
    columns = _published(dataset)
    columns[PARTITION_COLUMN] = frozenset({_from_raw(dataset, PARTITION_COLUMN, How.IDENTITY)})
    times = frozenset(
        {
            _from_raw(dataset, CHANGED_COLUMN, How.TRANSFORMATION),
            _from_raw(dataset, POSITION_COLUMN, How.WINDOW),
        }
    )
    columns |= dict.fromkeys((name for name, _ in PERIOD), times)
    return TableLineage(f"history/{dataset.name}", columns, _rows(dataset), _is_known(dataset))


_LAYERS: Mapping[str, Callable[[Dataset], TableLineage]] = {
    "raw": _raw,
    "cleaned": _cleaned,
    "quarantine": _quarantine,
    "history": _history,
}
