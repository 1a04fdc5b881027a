"""Corrections over raw rows: a row that a person corrected is judged and typed as corrected.

Belongs here: finding the raw rows that corrections are of, and the view that reads them so. Does
not belong here: the book of corrections (``warehouse.corrections``) and taking them from a file
(``correct``).

The raw table is evidence and is not touched. Where a dataset has no correction for the partitions
that are judged, the raw table itself is read, and nothing of this costs anything. Where it has, one
view stands for it in every query that judges or types rows, so that corrected values are keys,
uniques, references, personal data and history like any other. A row stays in the partition that it
was delivered in, whatever is corrected.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from platform_assets.pipeline.raw_table import raw_columns
from platform_assets.pipeline.steps import Step
from platform_assets.pipeline.temporary import CORRECTED, CORRECTED_ROWS
from platform_assets.provenance import FILE_COLUMN, PARTITION_COLUMN, PLATFORM_COLUMNS
from platform_assets.sql import quote_identifier
from platform_assets.warehouse import corrections, tables
from platform_assets.warehouse.publish import in_partitions
from platform_assets.warehouse.quarantine import FILES, SCATTERED, drop_numbers, number_rows
from platform_assets.warehouse.row_json import content_sql, from_text, pointer
from platform_assets.warehouse.tables import CORRECTIONS


@contextmanager
def corrected(step: Step, partitions: Sequence[str], *, written: bool = False) -> Iterator[Step]:
    """Read raw rows with their corrections, as long as the block lasts.

    Args:
        step: What to work on and with.
        partitions: The partitions that are judged. Of a dataset with versions, rows of other
            partitions decide too: all its corrections count.
        written: Whether the open transaction has written corrections.

    Yields:
        The step that reads them so; the same one where there is nothing to read otherwise.
    """
    within = _within(step, partitions)
    names = corrections.corrected_columns(step.lake, step.dataset.name, within, written=written)
    if not names:
        yield step
        return
    try:
        _lay_out(step, names, within)
        yield replace(step, corrected=CORRECTED_ROWS)
    finally:
        step.lake.execute(f"DROP VIEW IF EXISTS {CORRECTED_ROWS}")
        step.lake.execute(f"DROP TABLE IF EXISTS {CORRECTED}")


def settle(step: Step, partitions: Sequence[str]) -> None:
    """Note which corrections hold and which the source has overtaken, in the caller's transaction.

    Args:
        step: From ``corrected``.
        partitions: The partitions that it was asked for.
    """
    if step.corrected:
        corrections.settle(step.lake, step.dataset.name, _within(step, partitions), found=CORRECTED)


def changes_keys(step: Step) -> bool:
    """Whether a correction of a dataset with versions gives a row another key."""
    if not step.dataset.has_versions:
        return False
    compiled = step.dataset.compiled
    keys = {compiled.column(name).source for name in compiled.key}
    return not keys.isdisjoint(corrections.corrected_columns(step.lake, step.dataset.name))


def _within(step: Step, partitions: Sequence[str]) -> Sequence[str] | None:
    return None if step.dataset.has_versions else partitions


def _lay_out(step: Step, names: Sequence[str], within: Sequence[str] | None) -> None:
    """Find the raw rows that corrections are of, and make the view over them."""
    name = step.dataset.name
    raw = tables.raw_table(name)
    types = raw_columns(step)
    own = [column for column in types if column not in PLATFORM_COLUMNS]
    # A column that the source no longer has under this name cannot be corrected any more.
    changed = [column for column in names if column in own]
    values = ", ".join(
        f"json_exists(corrected_row, {pointer(column)}) AS _is_{number}, "
        + from_text(f"(corrected_row ->> {pointer(column)})", types[column])
        + f" AS _value_{number}"
        for number, column in enumerate(changed)
    )
    chosen = corrections.in_force(name, within)
    keys = corrections.corrected_partitions(step.lake, name, within)
    files = f"{FILE_COLUMN} IN (SELECT source_file FROM {CORRECTIONS} WHERE {chosen})"
    # A load's rows are numbered over all partitions, a file's belong to one.
    counted = files if step.dataset.has_versions else f"{in_partitions(keys)} AND {files}"
    number_rows(step.lake, raw, counted)
    step.lake.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE {CORRECTED} AS
        WITH placed AS (
            SELECT w.*, coalesce(
                s._rowid, CASE WHEN f.span = f.rows THEN f.first + w.row_number - 1 END
            ) AS _rowid
            FROM (SELECT * FROM {CORRECTIONS} WHERE {chosen}) AS w
            JOIN {FILES} AS f ON f.{FILE_COLUMN} = w.source_file
            LEFT JOIN {SCATTERED} AS s
                ON s.{FILE_COLUMN} = w.source_file AND s.number = w.row_number
        )
        SELECT p._rowid, p.quarantine_id{", " + values if values else ""}
        FROM placed AS p JOIN {raw} AS r ON r.rowid = p._rowid
        WHERE {in_partitions(keys, "r." + PARTITION_COLUMN)}
          AND r.{PARTITION_COLUMN} = p.partition AND r.{FILE_COLUMN} = p.source_file
          AND {content_sql(own, "r.")} = p.content
        QUALIFY row_number() OVER (PARTITION BY p._rowid ORDER BY p.recorded_at DESC, p.content) = 1
        """
    )
    drop_numbers(step.lake)
    replaced = ", ".join(
        f"CASE WHEN c._is_{number} THEN c._value_{number} ELSE r.{quote_identifier(column)} END "
        f"AS {quote_identifier(column)}"
        for number, column in enumerate(changed)
    )
    step.lake.execute(
        f"CREATE OR REPLACE TEMP VIEW {CORRECTED_ROWS} AS SELECT r.*"
        + (f" REPLACE ({replaced})" if replaced else "")
        + f", r.rowid AS rowid FROM {raw} AS r LEFT JOIN {CORRECTED} AS c ON c._rowid = r.rowid"
    )
