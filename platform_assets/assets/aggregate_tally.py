"""What a build of the aggregates does to their rows: counted in its transaction, for each table.

Belongs here: which rows of which table are looked at. Does not belong here: counting them
(``warehouse.tally``), and what the counts are told with (``aggregate_build``).

Counted are the rows of the partitions that are built. Where a newer version of an order takes the
place of one that an earlier partition had brought, the earlier partition does not count it as
removed: ``platform-assets diff`` compares whole tables.
"""

from __future__ import annotations

from collections.abc import Mapping

from platform_assets.assets.aggregate_names import KEY_OF, PARTITION_OF, table_of
from platform_assets.assets.aggregate_plan import Plan
from platform_assets.warehouse.lake import Connection
from platform_assets.warehouse.publish import in_partitions
from platform_assets.warehouse.tally import RowChanges, Tally


class BuildTally:
    """Counts what one build does, to be made before it begins.

    Args:
        connection: An open lake, in the build's transaction.
        work: What is to be built.
    """

    def __init__(self, connection: Connection, work: Plan) -> None:
        self._connection = connection
        self._work = work
        self._begun: dict[str, tuple[Tally, list[str]]] = {}
        for asset in work.tables if work.built else ():
            tally = Tally(KEY_OF[asset], PARTITION_OF[asset], name=asset.split("/")[1])
            columns = self._columns(asset)
            held: list[str] = []
            # Before the first build there is no table.
            if columns:
                where = in_partitions(work.built, tally.partition)
                held = tally.begin(connection, tally.whole(table_of(asset), columns, where))
            self._begun[asset] = (tally, held)

    def changes(self, asset: str, rows: Mapping[str, int]) -> Mapping[str, RowChanges]:
        """What became of the rows of each partition that was built.

        Args:
            asset: The table's asset.
            rows: Rows of each partition as the table now has them.
        """
        tally, held = self._begun[asset]
        if not held:
            return {name: RowChanges(added=count) for name, count in rows.items()}
        # A column that came or went makes every row another one.
        where = in_partitions(held, tally.partition)
        come = tally.whole(table_of(asset), self._columns(asset), where)
        tally.end(self._connection, come, rows)
        return tally.changes

    def _columns(self, asset: str) -> list[str]:
        layer, name = asset.split("/")
        found = self._connection.execute(
            "SELECT column_name FROM duckdb_columns() WHERE schema_name = ? AND table_name = ?",
            [layer, name],
        ).fetchall()
        return [str(column) for (column,) in found]
