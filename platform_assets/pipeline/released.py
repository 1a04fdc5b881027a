"""What became of rows that a replay released: in the cleaned table, or another row stands for them.

Belongs here: telling the one from the other, after the publish. Does not belong here: releasing
(``warehouse.quarantine``), and which copy of a key stands (``judging``, ``versions``).

A released row broke no rule any more. It is published unless another row of its key is newer, or
its source has delivered another one in its place. That is looked up in what stands: for the few
rows of a replay, rather than noted for each row of each publish.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from platform_assets.pipeline import overlay
from platform_assets.pipeline.judging import typed_rows
from platform_assets.pipeline.steps import Step
from platform_assets.provenance import (
    FILE_COLUMN,
    PARTITION_COLUMN,
    PLATFORM_COLUMNS,
    PROVENANCE_COLUMNS,
)
from platform_assets.sql import quote_identifier, quote_literal
from platform_assets.warehouse import quarantine, tables
from platform_assets.warehouse.quarantine import FILES, SCATTERED, RowStatus
from platform_assets.warehouse.tables import QUARANTINE, QUARANTINE_ACTIONS

_ASKED, _ROWS = "_released_rows", "_released_raw_rows"


@dataclass(frozen=True)
class Released:
    """What became of released rows.

    Attributes:
        published: Rows that are in the cleaned table.
        deduplicated: Rows that are not, as another row of their key stands for them.
        replaced: Rows that are not in the raw table any more: the source delivered others.
    """

    published: int = 0
    deduplicated: int = 0
    replaced: int = 0

    def __add__(self, other: Released) -> Released:
        """Of both together."""
        return Released(
            self.published + other.published,
            self.deduplicated + other.deduplicated,
            self.replaced + other.replaced,
        )


def released_by(step: Step, action_id: str, partitions: Sequence[str]) -> Released:
    """What became of the rows of a dataset that a replay released.

    Args:
        step: The dataset and an open lake.
        action_id: The replay, by its name in the book.
        partitions: The partitions that its rows are in.
    """
    lake = step.lake
    try:
        lake.execute(
            f"CREATE OR REPLACE TEMP TABLE {_ASKED} AS SELECT quarantine_id, source_file "
            f"FROM {QUARANTINE} WHERE dataset = {quote_literal(step.dataset.name)} "
            f"AND status = {quote_literal(RowStatus.RELEASED)} AND quarantine_id IN (SELECT "
            f"quarantine_id FROM {QUARANTINE_ACTIONS} WHERE action_id = {quote_literal(action_id)})"
        )
        asked = _count(step, f"SELECT count(*) FROM {_ASKED}")
        if not asked:
            return Released()
        _find_rows(step)
        found = _count(step, f"SELECT count(*) FROM {_ROWS}")
        with overlay.corrected(step, partitions) as own:
            published = _count(own, _published(own))
        return Released(published, found - published, asked - found)
    finally:
        for name in (_ASKED, _ROWS):
            lake.execute(f"DROP TABLE IF EXISTS {name}")


def _count(step: Step, query: str) -> int:
    row = step.lake.execute(query).fetchone()
    return int(row[0]) if row else 0


def _find_rows(step: Step) -> None:
    """Note where released rows are in the raw table: their identity is place and content."""
    raw = tables.raw_table(step.dataset.name)
    described = step.lake.execute(f"SELECT column_name FROM (DESCRIBE {raw})").fetchall()
    original = ", ".join(
        f"{quote_identifier(name)} := r.{quote_identifier(name)}"
        for (name,) in described
        if name not in PLATFORM_COLUMNS
    )
    files = f"{FILE_COLUMN} IN (SELECT source_file FROM {_ASKED})"
    quarantine.number_rows(step.lake, raw, files)
    step.lake.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE {_ROWS} AS
        SELECT r.rowid AS _rowid
        FROM {raw} AS r
        JOIN {FILES} AS f ON f.{FILE_COLUMN} = r.{FILE_COLUMN}
        LEFT JOIN {SCATTERED} AS s ON s._rowid = r.rowid
        WHERE r.{files} AND md5(concat_ws(chr(31), {quote_literal(step.dataset.name)},
            r.{PARTITION_COLUMN}, r.{FILE_COLUMN}, coalesce(s.number, r.rowid - f.first + 1),
            to_json(struct_pack({original})))) IN (SELECT quarantine_id FROM {_ASKED})
        """
    )
    quarantine.drop_numbers(step.lake)


def _published(step: Step) -> str:
    """How many of the rows stand in the cleaned table: of each key one at the most.

    A row that is the same in all that is published as the one that stands is that one.
    """
    compiled = step.dataset.compiled
    typed = typed_rows(step, f"rowid IN (SELECT _rowid FROM {_ROWS})")
    names = [name for name, _ in compiled.published_columns]
    told = [*names, *PROVENANCE_COLUMNS]
    same = " AND ".join(
        f"c.{quote_identifier(name)} IS NOT DISTINCT FROM p.{quote_identifier(name)}"
        for name in told
    )
    # A key that is not published is told apart by what it was.
    key = ", ".join(quote_identifier(name) for name in compiled.key)
    told_apart = f"hash({key})" if key else "_rowid"
    rows = compiled.publish_select(
        f"(SELECT *, {told_apart} AS _told_apart FROM ({typed}))",
        passthrough=[*PROVENANCE_COLUMNS, "_told_apart"],
    )
    return (
        f"SELECT count(DISTINCT ({PARTITION_COLUMN}, _told_apart)) FROM ({rows}) AS p "
        f"WHERE EXISTS (FROM {tables.cleaned_table(step.dataset.name)} AS c WHERE {same})"
    )
