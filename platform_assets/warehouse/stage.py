"""The stage: rows that were read and are not published yet, as files beside their table's own.

Belongs here: writing them, and making them part of the table without writing them again. Does not
belong here: whether they may be published (``pipeline``).

Reading a source takes as long as the source takes. Nothing of the lake is locked meanwhile: rows go
to Parquet files that no table knows of, are audited there, and become part of the table in a short
transaction that adds the files' names. What a killed load leaves behind is no part of any table.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from platform_assets.sql import quote_identifier, quote_literal
from platform_assets.warehouse.lake import LAKE, Connection
from platform_assets.warehouse.tables import COMPRESSION

_PREFIX = "stage-"
# A load that is still at work is younger than this.
_LEFT_BEHIND_SECONDS = 86_400.0


@dataclass(frozen=True)
class Stage:
    """Rows of one load.

    Attributes:
        file: Where they are.
        rows: How many.
    """

    file: Path
    rows: int

    @property
    def relation(self) -> str:
        """The rows, as a relation."""
        return f"read_parquet({quote_literal(str(self.file))})"

    @property
    def bytes(self) -> int:
        """Size of the file in bytes."""
        return self.file.stat().st_size


@contextmanager
def room(connection: Connection, schema: str, table: str) -> Iterator[Path]:
    """A file beside a table's own; removed in the end where no table knows of it.

    Args:
        connection: An open lake, outside of a transaction.
        schema: The schema of the table.
        table: Its name.
    """
    folder = _folder(connection) / schema / table
    folder.mkdir(parents=True, exist_ok=True)
    _sweep(connection, folder)
    file = folder / f"{_PREFIX}{uuid.uuid4()}.parquet"
    try:
        yield file
    finally:
        if file.is_file() and file.name not in _known(connection):
            file.unlink()


def write(connection: Connection, file: Path, select: str, order: str = "") -> Stage:
    """Write rows to a file of ``room``; may be done in a transaction that reads.

    Args:
        connection: An open lake.
        file: Where to.
        select: The rows, with the table's column names.
        order: SQL of their order; empty: whatever order they come in. Rows that are read side by
            side and have to wait for each other would be held in memory meanwhile.
    """
    ordered = f"{select} ORDER BY {order}" if order else select
    copied = connection.execute(
        f"COPY ({ordered}) TO {quote_literal(str(file))} (FORMAT parquet, "
        f"COMPRESSION {COMPRESSION}, PRESERVE_ORDER {str(bool(order)).lower()})"
    ).fetchone()
    assert copied is not None  # COPY tells how many rows it wrote
    return Stage(file, int(copied[0]))


def holds(connection: Connection, stage: Stage, held: str, *, besides: Collection[str]) -> bool:
    """Whether rows that are held are those of a stage, in whatever order.

    Compared are their number and the sum of a hash of each, in one scan of either.

    Args:
        connection: An open lake.
        stage: The staged rows.
        held: SQL of the held rows, as after FROM.
        besides: Columns that are not compared.
    """
    relations = (stage.relation, held)
    columns = [
        {str(name) for name, *_ in connection.execute(f"DESCRIBE FROM {each}").fetchall()}
        - set(besides)
        for each in relations
    ]
    if columns[0] != columns[1]:
        return False
    names = ", ".join(quote_identifier(name) for name in sorted(columns[0]))
    told = f"SELECT count(*), sum(CAST(hash({names}) AS HUGEINT)) FROM "
    first, second = (connection.execute(told + each).fetchone() for each in relations)
    return first == second


def add(connection: Connection, schema: str, table: str, stage: Stage) -> None:
    """Make staged rows part of their table, in the caller's transaction.

    Args:
        connection: An open lake, inside a transaction.
        schema: The schema of the table.
        table: Its name.
        stage: The rows; a column of the table that they lack is NULL.
    """
    if stage.rows:
        connection.execute(
            f"CALL ducklake_add_data_files('{LAKE}', {quote_literal(table)}, "
            f"{quote_literal(str(stage.file))}, schema => {quote_literal(schema)}, "
            "allow_missing => true)"
        )


def _folder(connection: Connection) -> Path:
    row = connection.execute(f"SELECT data_path FROM ducklake_settings('{LAKE}')").fetchone()
    assert row is not None  # an attached lake has settings
    return Path(str(row[0]))


def _known(connection: Connection) -> set[str]:
    """Names of staged files that are part of a table, or were until they were merged."""
    catalog = f"__ducklake_metadata_{LAKE}"
    rows = connection.execute(
        f"SELECT path FROM {catalog}.ducklake_data_file WHERE contains(path, '{_PREFIX}') "
        f"UNION ALL SELECT path FROM {catalog}.ducklake_files_scheduled_for_deletion "
        f"WHERE contains(path, '{_PREFIX}')"
    ).fetchall()
    return {Path(str(path)).name for (path,) in rows}


def _sweep(connection: Connection, folder: Path) -> None:
    """Remove what killed loads have left behind long ago."""
    old = [
        file
        for file in folder.glob(f"{_PREFIX}*.parquet")
        if time.time() - file.stat().st_mtime > _LEFT_BEHIND_SECONDS
    ]
    if old:
        known = _known(connection)
        for file in old:
            if file.name not in known:
                file.unlink(missing_ok=True)
