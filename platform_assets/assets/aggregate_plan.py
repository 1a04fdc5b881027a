"""What a run of the aggregates has to do: read from the ledger, before dbt is started.

Belongs here: which partitions and views are stale, which are refused, and whether all has to be
built. Does not belong here: doing it, and any knowledge of dbt or Dagster.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from platform_assets import __version__
from platform_assets.assets.aggregate_names import DAILY_SALES, FCT_ORDERS, TABLES
from platform_assets.assets.dbt_project import project_version
from platform_assets.errors import PartitionError
from platform_assets.partitions import UNPARTITIONED_KEY
from platform_assets.warehouse import gate, hold, ledger
from platform_assets.warehouse.lake import LAKE, Connection
from platform_assets.warehouse.ledger import UPSTREAM, LedgerEntry, Status
from platform_assets.warehouse.tables import ensure_platform_tables

__all__ = ["DAILY_SALES", "FCT_ORDERS", "TABLES", "VIEWS", "Plan", "plan"]

VIEWS = {"staging/stg_orders": True, "staging/stg_customers": False, "staging/stg_products": False}
"""The views; and whether each is cut like the orders."""
CLEANED_ORDERS = "cleaned/orders"
CLEANED_MISSING = "cleaned_missing"


@dataclass(frozen=True)
class Plan:
    """What a run has to do.

    Attributes:
        run_id: The run that it is made for.
        version: Of the dbt project.
        requested: The partitions that the run asks for.
        refused: By partition why it cannot be built: its gate upstream is closed. Also partitions
            that nobody asked for, where everything is built.
        known: The refused whose failure another step of this run has told.
        left_out: Requested partitions that a test of this run keeps out.
        inputs: The publish that each partition of the cleaned orders stands at.
        tables: The tables to build: all of them, where one is selected.
        stale: The requested partitions to build.
        held: Partitions of which the tables are not to take new rows.
        unchanged: By table the publishes that requested partitions still stand at.
        everything: Whether the tables are built anew, from all partitions.
        can_leave_out: Whether partitions may be left out of what is built.
        views: The selected views; whether each is there as the project has it.
    """

    run_id: str
    version: str
    requested: tuple[str, ...]
    refused: Mapping[str, LedgerEntry]
    known: frozenset[str]
    left_out: frozenset[str]
    inputs: Mapping[str, LedgerEntry]
    tables: tuple[str, ...]
    stale: tuple[str, ...]
    held: tuple[str, ...]
    unchanged: Mapping[str, Mapping[str, LedgerEntry]]
    everything: bool
    can_leave_out: bool
    views: Mapping[str, bool]

    @property
    def built(self) -> tuple[str, ...]:
        """The partitions that the tables hold anew after the run."""
        return tuple(sorted(self.inputs.keys() - self.left_out)) if self.everything else self.stale

    @property
    def stale_views(self) -> tuple[str, ...]:
        """The selected views to create."""
        return tuple(view for view, fresh in self.views.items() if not fresh)

    @property
    def is_dbt_needed(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.stale) or bool(self.stale_views)

    @property
    def nodes(self) -> tuple[str, ...]:
        """What there is to do, as dbt names it."""
        tables = self.tables if self.stale else ()
        return tuple(asset.split("/")[1] for asset in (*self.stale_views, *tables))

    def fingerprint(self, partition: str) -> str:
        """What a partition of the tables was built from."""
        return _fingerprint(self.inputs[partition], self.version)

    def entry(self, asset: str, partition: str, status: Status) -> LedgerEntry:
        """A ledger entry with what is the same for the whole run."""
        return _entry(self.run_id, self.version, asset, partition, status)

    def refusals(self) -> list[LedgerEntry]:
        """The refused partitions, for each table."""
        return [
            replace(entry, asset=table) for table in self.tables for entry in self.refused.values()
        ]

    def summary(self) -> str:
        """The plan in one line."""
        scope = "everything is built anew" if self.everything else f"{len(self.stale)} to build"
        return (
            f"aggregates: {len(self.requested)} partitions requested, {scope}, "
            f"{len(self.refused)} refused, {len(self.stale_views)} views to create"
        )


def plan(
    connection: Connection,
    *,
    run_id: str,
    requested: Sequence[str],
    selected: Collection[str],
    force: bool,
    left_out: Collection[str] = (),
) -> Plan:
    """Compare the ledger of the cleaned orders with that of the aggregates.

    Args:
        connection: An open lake.
        run_id: The run.
        requested: The partitions that the run asks for.
        selected: The keys of the assets that it asks for.
        force: Whether to do again what is unchanged.
        left_out: Partitions to leave as they are, whatever else.
    """
    ensure_platform_tables(connection)
    version = project_version()
    inputs = ledger.published(connection, CLEANED_ORDERS)
    shut = gate.closed(connection, CLEANED_ORDERS, sorted({*requested, *inputs}))
    available = [key for key in requested if key not in shut and key not in left_out]
    tables = TABLES if any(table in selected for table in TABLES) else ()
    existing = _relations(connection)
    incomplete = any(table not in existing for table in tables)
    published = {
        table: {} if incomplete else ledger.published(connection, table) for table in tables
    }
    current = {
        table: {
            key: entry
            for key, entry in entries.items()
            if key in inputs and hold.refused_input(entry) == _fingerprint(inputs[key], version)
        }
        for table, entries in published.items()
    }
    fresh = {
        table: {key: entry for key, entry in entries.items() if key not in judged}
        for table, entries in current.items()
        # What a test has stopped since is built and tested again.
        for judged in [_failed(connection, table)]
    }
    stale = tuple(
        key
        for key in available
        if tables and (force or any(key not in fresh[table] for table in tables))
    )
    changed = any(
        entry.contract_version != version
        for entries in published.values()
        for entry in entries.values()
    )
    everything = bool(stale) and (changed or incomplete or inputs.keys() <= set(stale))
    told = ledger.failed_in(connection, run_id, CLEANED_ORDERS)
    return Plan(
        run_id=run_id,
        version=version,
        requested=tuple(requested),
        refused={
            key: _refused(run_id, version, shut[key])
            for key in (shut if everything else requested)
            if key in shut
        },
        known=frozenset(told),
        left_out=frozenset(left_out),
        inputs=inputs,
        tables=tables,
        stale=stale,
        held=tuple(
            key
            for key in sorted(inputs)
            if key in left_out
            or not (everything or key in stale or all(key in current[table] for table in tables))
        ),
        unchanged={
            table: {key: fresh[table][key] for key in available if key not in stale}
            for table in tables
        },
        everything=everything,
        can_leave_out=incomplete or not changed,
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


def _failed(connection: Connection, table: str) -> set[str]:
    """The partitions whose newest judgement is a failure."""
    return {
        key
        for key, entry in ledger.judged(connection, table).items()
        if entry.status is Status.FAILED
    }


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


def _refused(run_id: str, version: str, shut: gate.ClosedGate) -> LedgerEntry:
    where = f"dataset orders, partition {shut.partition}"
    never_tried = shut.since is None
    error = (
        PartitionError(
            "A partition has no cleaned orders to aggregate: it was never published",
            where=where,
            expected=f"a publish of {CLEANED_ORDERS} for this partition",
            found="none in the ledger",
            fix=f"materialize {CLEANED_ORDERS} for this partition too",
        )
        if never_tried
        else gate.refusal([shut], consumer=where, allows=False)
    )
    return replace(
        _entry(run_id, version, FCT_ORDERS, shut.partition, Status.FAILED),
        stopped_by=CLEANED_MISSING if never_tried else UPSTREAM,
        message=str(error),
    )
