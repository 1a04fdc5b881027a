"""What a run of the aggregates has to do: read from the ledger, before dbt is started.

Belongs here: which partitions and views are stale, and whether all has to be built. Does not
belong here: doing it, and any knowledge of dbt or Dagster.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from platform_assets import __version__
from platform_assets.assets.dbt import project_version
from platform_assets.errors import PartitionError
from platform_assets.partitions import UNPARTITIONED_KEY
from platform_assets.warehouse import hold, ledger
from platform_assets.warehouse.lake import LAKE, Connection
from platform_assets.warehouse.ledger import LedgerEntry, Status
from platform_assets.warehouse.tables import ensure_platform_tables

FCT_ORDERS = "aggregated/fct_orders"
DAILY_SALES = "aggregated/daily_sales"
TABLES = (FCT_ORDERS, DAILY_SALES)
VIEWS = {"staging/stg_orders": True, "staging/stg_customers": False, "staging/stg_products": False}
"""The views; and whether each is cut like the orders."""
CLEANED_ORDERS = "cleaned/orders"
UPSTREAM = ("raw/orders", CLEANED_ORDERS)
CLEANED_MISSING = "cleaned_missing"


@dataclass(frozen=True)
class Plan:
    """What a run has to do.

    Attributes:
        run_id: The run that it is made for.
        version: Of the dbt project.
        requested: The partitions that the run asks for.
        unavailable: Those of them that cannot be built: stopped in this run, or missing.
        missing: Those that were never published upstream and that no step of this run stopped.
        inputs: The publish that each partition of the cleaned orders stands at.
        tables: The selected tables.
        stale: The requested partitions to build.
        unchanged: By table the publishes that requested partitions still stand at.
        everything: Whether the tables are built anew, from all partitions.
        views: The selected views; whether each is there as the project has it.
    """

    run_id: str
    version: str
    requested: tuple[str, ...]
    unavailable: frozenset[str]
    missing: Mapping[str, LedgerEntry]
    inputs: Mapping[str, LedgerEntry]
    tables: tuple[str, ...]
    stale: tuple[str, ...]
    unchanged: Mapping[str, Mapping[str, LedgerEntry]]
    everything: bool
    views: Mapping[str, bool]

    @property
    def built(self) -> tuple[str, ...]:
        """The partitions that the tables hold anew after the run."""
        return tuple(sorted(self.inputs)) if self.everything else self.stale

    @property
    def stale_views(self) -> tuple[str, ...]:
        """The selected views to create."""
        return tuple(view for view, fresh in self.views.items() if not fresh)

    @property
    def fresh_views(self) -> tuple[str, ...]:
        """The views that dbt can leave alone, as dbt names them."""
        return tuple(view.split("/")[1] for view, fresh in self.views.items() if fresh)

    @property
    def is_dbt_needed(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.stale) or bool(self.stale_views)

    def fingerprint(self, partition: str) -> str:
        """What a partition of the tables was built from."""
        return _fingerprint(self.inputs[partition], self.version)

    def entry(self, asset: str, partition: str, status: Status) -> LedgerEntry:
        """A ledger entry with what is the same for the whole run."""
        return _entry(self.run_id, self.version, asset, partition, status)

    def summary(self) -> str:
        """The plan in one line."""
        scope = "everything is built anew" if self.everything else f"{len(self.stale)} to build"
        return (
            f"aggregates: {len(self.requested)} partitions requested, {scope}, "
            f"{len(self.unavailable)} unavailable, {len(self.stale_views)} views to create"
        )


def plan(
    connection: Connection,
    *,
    run_id: str,
    requested: Sequence[str],
    selected: Collection[str],
    force: bool,
) -> Plan:
    """Compare the ledger of the cleaned orders with that of the aggregates.

    Args:
        connection: An open lake.
        run_id: The run: what it left unpublished upstream is not built.
        requested: The partitions that the run asks for.
        selected: The keys of the assets that it asks for.
        force: Whether to do again what is unchanged.
    """
    ensure_platform_tables(connection)
    version = project_version()
    inputs = ledger.published(connection, CLEANED_ORDERS)
    stopped = {key for asset in UPSTREAM for key in ledger.failed_in(connection, run_id, asset)}
    missing = {
        key: _missing(run_id, version, key)
        for key in requested
        if key not in inputs and key not in stopped
    }
    unavailable = frozenset(stopped.intersection(requested) | missing.keys())
    available = [key for key in requested if key not in unavailable]
    tables = tuple(table for table in TABLES if table in selected)
    existing = _relations(connection)
    standing = {
        table: ledger.latest(connection, table, None, (Status.PUBLISHED, Status.FAILED))
        if table in existing
        else {}
        for table in tables
    }
    fresh = {
        table: {
            key: entry
            for key, entry in entries.items()
            if entry.status is Status.PUBLISHED
            and key in inputs
            and hold.refused_input(entry) == _fingerprint(inputs[key], version)
        }
        for table, entries in standing.items()
    }
    stale = tuple(
        key
        for key in available
        if tables and (force or any(key not in fresh[table] for table in tables))
    )
    changed = any(
        entry.contract_version != version
        for entries in standing.values()
        for entry in entries.values()
    )
    incomplete = any(table not in existing for table in tables)
    everything = bool(stale) and (
        changed or incomplete or (tables == TABLES and inputs.keys() <= set(stale))
    )
    return Plan(
        run_id=run_id,
        version=version,
        requested=tuple(requested),
        unavailable=unavailable,
        missing=missing,
        inputs=inputs,
        tables=tables,
        stale=stale,
        unchanged={
            table: {key: fresh[table][key] for key in available if key not in stale}
            for table in tables
        },
        everything=everything,
        views=_views(connection, selected, existing, version),
    )


def _entry(run_id: str, version: str, asset: str, partition: str, status: Status) -> LedgerEntry:
    return LedgerEntry(
        asset=asset,
        partition=partition,
        run_id=run_id,
        status=status,
        code_version=__version__,
        contract_version=version,
    )


def _fingerprint(cleaned: LedgerEntry, version: str) -> str:
    return f"{cleaned.snapshot}-{version}"


def _relations(connection: Connection) -> set[str]:
    rows = connection.execute(
        "SELECT schema_name || '/' || table_name FROM duckdb_tables() WHERE database_name = $1 "
        "UNION ALL "
        "SELECT schema_name || '/' || view_name FROM duckdb_views() WHERE database_name = $1",
        [LAKE],
    ).fetchall()
    return {str(name) for (name,) in rows}


def _views(
    connection: Connection, selected: Collection[str], existing: Collection[str], version: str
) -> dict[str, bool]:
    found = {}
    for view in (view for view in VIEWS if view in selected):
        entry = ledger.published(connection, view).get(UNPARTITIONED_KEY)
        found[view] = view in existing and entry is not None and entry.input_fingerprint == version
    return found


def _missing(run_id: str, version: str, key: str) -> LedgerEntry:
    error = PartitionError(
        "A partition has no cleaned orders to aggregate: it was never published",
        where=f"dataset orders, partition {key}",
        expected=f"a publish of {CLEANED_ORDERS} for this partition",
        found="none in the ledger",
        fix=f"materialize {CLEANED_ORDERS} for this partition too",
    )
    return replace(
        _entry(run_id, version, FCT_ORDERS, key, Status.FAILED),
        stopped_by=CLEANED_MISSING,
        message=str(error),
    )
