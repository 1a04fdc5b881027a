"""Quarantined rows written to a file by the engine, for whoever can tell what is wrong with them.

Belongs here: the form of such a file. Does not belong here: which columns are personal (the
contract), and reading it back (``edited_rows``).

A row that was corrected and is still bad is written as corrected, since that is what is judged.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from platform_assets.sql import quote_identifier, quote_literal
from platform_assets.warehouse import corrections
from platform_assets.warehouse.lake import Connection
from platform_assets.warehouse.quarantine_work import Picked, columns_of
from platform_assets.warehouse.row_json import pointer
from platform_assets.warehouse.tables import CORRECTIONS, QUARANTINE

MASK = "***"
"""What stands for a personal value wherever a row is shown; in an edited file: as it is."""
ID = "_quarantine_id"
# No column of a source begins with an underscore.
INFORMATION = (ID, "_partition", "_rules")
"""What a file tells of a row beside its values."""


def export(
    connection: Connection, dataset: str, picked: Picked, to: Path, visible: Collection[str]
) -> int:
    """Write quarantined rows to a file, personal values masked.

    Args:
        connection: An open lake.
        dataset: The dataset that the rows are of.
        picked: Which rows.
        to: The file: ``.csv``, or else one JSON a line.
        visible: The columns whose values are not personal.

    Returns:
        How many rows.
    """
    as_csv = to.suffix == ".csv"
    in_force = corrections.in_force(dataset)
    values = [
        f"{_value(name, name in visible, as_text=as_csv)} AS {quote_identifier(name)}"
        for name in columns_of(connection, picked)
    ]
    named = ["quarantine_id", "partition", "array_to_string(rules, ' ')"]
    told = [f"{sql} AS {name}" for sql, name in zip(named, INFORMATION, strict=True)]
    options = "FORMAT csv, HEADER" if as_csv else "FORMAT json"
    done = connection.execute(
        f"COPY (SELECT {', '.join([*told, *values])} "
        f"FROM (SELECT * FROM {QUARANTINE} WHERE {picked.condition}) "
        f"LEFT JOIN (SELECT quarantine_id, corrected_row FROM {CORRECTIONS} WHERE {in_force}) "
        "USING (quarantine_id) "
        "ORDER BY partition DESC, source_file, row_number) "
        f"TO {quote_literal(str(to))} ({options})"
    ).fetchone()
    return int(done[0]) if done else 0


def _value(name: str, visible: bool, *, as_text: bool) -> str:
    """SQL of a row's value as it is judged, or of the mask in its place."""
    arrow = "->>" if as_text else "->"
    at = pointer(name)
    value = (
        f"CASE WHEN json_exists(corrected_row, {at}) THEN corrected_row {arrow} {at} "
        f"ELSE original_row {arrow} {at} END"
    )
    if visible:
        return value
    mask = quote_literal(MASK)
    given = value.replace("->>", "->")
    return f"CASE WHEN coalesce(json_type({given}), 'NULL') <> 'NULL' THEN {mask} END"
