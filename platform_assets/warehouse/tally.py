"""Tally: rows added, removed and changed by a publish, counted in its own transaction.

Belongs here: counting what a replacement of partitions does to their rows. Does not belong here:
the replacement (``publish``), and comparing snapshots (``diff``).

An earlier snapshot cannot be asked inside the transaction, which sees its own rows there. So what
is about to be taken out is noted first: a hash of each row's key and one of the row, 16 bytes. A
partition that had no rows is not looked at again: all its rows are added. Where only some rows of a
partition are replaced, only the keys of these are noted, and those of the rows that come: the cost
follows the change. A row whose key came again counts as changed there, also where it is the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from platform_assets.provenance import FILE_COLUMN, LOAD_COLUMN, PARTITION_COLUMN
from platform_assets.sql import quote_identifier
from platform_assets.warehouse.lake import Connection

NOT_COMPARED = frozenset({FILE_COLUMN, LOAD_COLUMN})
"""Where a row came from: the same row may come again in another file or load."""


@dataclass(frozen=True)
class RowChanges:
    """How many rows differ.

    Attributes:
        added: Rows whose key was not there.
        removed: Rows whose key is there no longer.
        changed: Rows whose key is there as before, and something else is not.
    """

    added: int = 0
    removed: int = 0
    changed: int = 0

    @property
    def any(self) -> bool:
        """Whether there is a difference at all."""
        return bool(self.added or self.removed or self.changed)


@dataclass
class Tally:
    """Counts what one publish does to the rows of its partitions.

    Attributes:
        key: The columns that tell rows apart; empty: whole rows are compared, none is changed.
        partition: SQL of the partition that a row belongs to.
        name: Tells apart what is counted at the same time, as part of an identifier.
        changes: What was found, by partition; there once the new rows are in.
    """

    key: Sequence[str]
    partition: str = PARTITION_COLUMN
    name: str = ""
    changes: Mapping[str, RowChanges] = field(default_factory=dict)

    @property
    def _before(self) -> str:
        return quote_identifier(f"_tally_before_{self.name}")

    @property
    def _after(self) -> str:
        return quote_identifier(f"_tally_after_{self.name}")

    @property
    def key_sql(self) -> str:
        """SQL of what stands for a row's key."""
        return f"hash({', '.join(quote_identifier(name) for name in self.key)})"

    def whole(self, table: str, columns: Sequence[str], where: str) -> str:
        """A SELECT of what is noted of rows, where partitions are replaced whole.

        Args:
            table: The table, quoted.
            columns: Its columns.
            where: SQL that picks its rows.
        """
        content = [quote_identifier(n) for n in sorted(columns) if n not in NOT_COMPARED]
        row = f"hash({', '.join(content)})"
        key = self.key_sql if self.key else row
        return (
            f"SELECT {self.partition} AS _place, {key} AS _key, {row} AS _row "
            f"FROM {table} WHERE {where}"
        )

    def some(self, relation: str, key: str) -> str:
        """A SELECT of what is noted of rows, where only some of a partition are replaced.

        Args:
            relation: The rows.
            key: SQL of what stands for their key.
        """
        # Of what stays, only keys are read: they are few columns of many rows.
        return f"SELECT {self.partition} AS _place, {key} AS _key, uuid() AS _row FROM {relation}"

    def begin(self, connection: Connection, going: str) -> list[str]:
        """Note what is taken out, in the publish's transaction.

        Args:
            connection: An open lake.
            going: From ``whole`` or ``some``.

        Returns:
            The partitions that something is taken out of.
        """
        connection.execute(f"CREATE OR REPLACE TEMP TABLE {self._before} AS {going}")
        held = connection.execute(f"SELECT DISTINCT _place FROM {self._before}").fetchall()
        return [str(name) for (name,) in held]

    def end(self, connection: Connection, come: str, rows: Mapping[str, int]) -> None:
        """Compare what was taken out with what has come, in the publish's transaction.

        Args:
            connection: An open lake.
            come: From ``whole`` or ``some``: the new rows of the partitions that ``begin`` told of,
                or of all.
            rows: Rows of each partition: all of them added, unless it is among these.
        """
        connection.execute(f"CREATE OR REPLACE TEMP TABLE {self._after} AS {come}")
        counted = connection.execute(
            _COUNTED.format(before=self._before, after=self._after)
        ).fetchall()
        for name in (self._before, self._after):
            connection.execute(f"DROP TABLE {name}")
        self.changes = {name: RowChanges(added=count) for name, count in rows.items()} | {
            str(name): RowChanges(int(a), int(r), int(c)) for name, a, r, c in counted
        }


# A key is there once on either side; without a key, the rows that are alike are counted.
_COUNTED = """
    SELECT _place, sum(greatest(_holds - _held, 0)), sum(greatest(_held - _holds, 0)),
           count(*) FILTER (_held = 1 AND _holds = 1 AND _first <> _last)
    FROM (
        SELECT _place, _key, count(*) FILTER (_was) AS _held, count(*) FILTER (NOT _was) AS _holds,
               min(_row) AS _first, max(_row) AS _last
        FROM (SELECT *, true AS _was FROM {before} UNION ALL SELECT *, false FROM {after})
        GROUP BY _place, _key)
    GROUP BY _place
"""
