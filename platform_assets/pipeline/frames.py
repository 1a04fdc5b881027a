"""Aggregates in pandas: computed, held against a contract, and swapped in, or not published at all.

Belongs here: the declaration of such an aggregate, its gate, its publish and its ledger. Does not
belong here: any particular one, and any knowledge of Dagster (``assets.frame_asset``).

What a function computes is staged in memory and judged by the contract's own pandera model before a
transaction is begun: so the table fits in memory, and a frame that breaks a rule is never visible.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import duckdb
import pandas as pd
import pyarrow as pa

from platform_assets import __version__
from platform_assets.contracts import CompiledContract, Contract, compile_contract
from platform_assets.contracts.frames import SHAPE, broken_rules
from platform_assets.contracts.rules import Rule
from platform_assets.errors import ContractError, PlatformError, PublishError
from platform_assets.observability.traces import span
from platform_assets.partitions import UNPARTITIONED_KEY, Daily, Partitions, Unpartitioned
from platform_assets.pipeline.steps import BatchReport, describe, traced
from platform_assets.provenance import PARTITION_COLUMN
from platform_assets.quality.promise import Freshness
from platform_assets.quality.sla import examine_sla
from platform_assets.sql import quote_identifier, quote_literal
from platform_assets.warehouse import gate, hold, ledger, threads
from platform_assets.warehouse.lake import Connection, in_transaction
from platform_assets.warehouse.ledger import UPSTREAM, LedgerEntry, Status
from platform_assets.warehouse.migrate import align
from platform_assets.warehouse.newest import newest_events
from platform_assets.warehouse.publish import Publish, publish
from platform_assets.warehouse.tables import aggregated_table, ensure_platform_tables
from platform_assets.warehouse.tally import Tally

COMPUTE = "compute"
_STAGED = "_staged_frame"
_EXTRA = ((PARTITION_COLUMN, "VARCHAR"),)

Compute = Callable[[Connection, str], pd.DataFrame | pa.Table]
"""Computes a partition's rows from an open lake; the partition is ``all`` where nothing is cut. It
sees the lake in one state, and must not write to it. Columns get the contract's types, where they
can."""


@dataclass(frozen=True)
class Frame:
    """An aggregate that a Python function computes.

    Attributes:
        name: Lower-case name: the table is ``aggregated.<name>``.
        contract: The only description of its columns, and the rules that its rows have to keep.
        compute: The function.
        upstream: Keys of the assets that it is made from, such as ``aggregated/fct_orders``. Where
            it is cut into days, these are cut alike and the day of the same name is read; else
            their whole tables are. A partition whose gate is closed there is refused here, and one
            that was published anew makes it stale.
        lookups: Keys of assets that it only looks something up in: lineage, and nothing else.
        partitions: How it is cut.
        on_failed_upstream: What to do where rows of an earlier publish stand upstream and the
            newest attempt failed: ``refuse``, or ``use_last_good``.
        freshness: What is promised of how fresh it is; None: nothing.
        sla: How long a partition of it may take before that is told; None: only what is unusual is.
        version: Of the function: another one makes all of it stale.
        columns_from: By column of the contract the columns upstream that it is made from, such as
            ``{"orders": ("aggregated/fct_orders.order_id",)}``: lineage, and nothing else. Nobody
            can read it out of a function: of a column that is not named it is unknown.
        description: One sentence for the UI.
        owners: Who answers for it.

    Raises:
        ContractError: The declaration contradicts itself, or the contract does not compile.
    """

    name: str
    contract: type[Contract]
    compute: Compute
    upstream: tuple[str, ...]
    lookups: tuple[str, ...] = ()
    partitions: Partitions = field(default_factory=Unpartitioned)
    on_failed_upstream: gate.OnFailedUpstream = "refuse"
    freshness: Freshness | None = None
    sla: timedelta | None = None
    version: str = "1"
    columns_from: Mapping[str, Sequence[str]] = field(default_factory=dict)
    description: str = ""
    owners: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a declaration that cannot work, where it is written."""
        if self.sla is not None:
            examine_sla(f"frame {self.name}", self.sla)
        if self.freshness is not None:
            rules = [rule.name for rule in self.rules]
            self.freshness.examine(f"frame {self.name}", self.partitions, rules)
        self._examine_columns_from()
        personal = [column.name for column in self.compiled.columns if column.pii]
        if personal or not self.upstream:
            raise ContractError(
                "A frame is published as it was computed, and its contract hides a column"
                if personal
                else "Nothing says what a frame is made from, so nothing would make it stale",
                where=f"frame {self.name}, "
                + (f"column {personal[0]}" if personal else "upstream"),
                expected="no pii= in its contract" if personal else "at least one asset's key",
                found=f"pii={self.compiled.column(personal[0]).pii!r}" if personal else "none",
                fix="leave the column out, or hide it in the function"
                if personal
                else 'name it: upstream=("aggregated/fct_orders",)',
            )

    def _examine_columns_from(self) -> None:
        """Refuse lineage that names what is not there."""
        own = [column.name for column in self.compiled.columns]
        assets = (*self.upstream, *self.lookups)
        wrong = [(name, name, own) for name in self.columns_from if name not in own] + [
            (name, source, [f"{asset}.<column>" for asset in assets])
            for name, sources in self.columns_from.items()
            for source in sources
            if source.rpartition(".")[0] not in assets
        ]
        if wrong:
            column, found, known = wrong[0]
            raise ContractError(
                "The lineage of a frame's column names what is not there",
                where=f"frame {self.name}, columns_from, column {column}",
                expected="one of " + ", ".join(known),
                found=found,
                fix="write columns of the contract, and asset.column of upstream or lookups",
            )

    @property
    def asset(self) -> str:
        """Its key."""
        return f"aggregated/{self.name}"

    @property
    def table(self) -> str:
        """Its table, quoted."""
        return aggregated_table(self.name)

    @property
    def is_cut(self) -> bool:
        """Whether it is cut into days."""
        return isinstance(self.partitions, Daily)

    @property
    def compiled(self) -> CompiledContract:
        """The contract as SQL."""
        return compile_contract(self.contract, self.name)

    @property
    def rules(self) -> tuple[Rule, ...]:
        """What it can break; that text can be cast is no question for typed columns."""
        return tuple(rule for rule in self.compiled.rules if rule.kind != "cast")


@dataclass(frozen=True)
class _Attempt:
    """One attempt at a partition.

    Attributes:
        entry: Its entry, so far.
        frame: The rows to publish; None where there are none.
    """

    entry: LedgerEntry
    frame: pd.DataFrame | None = None


def build_frame(
    frame: Frame,
    lake: Connection,
    partitions: Sequence[str],
    *,
    run_id: str,
    force: bool = False,
) -> BatchReport:
    """Compute, judge and publish partitions of a frame, each by itself.

    Args:
        frame: The frame.
        lake: An open lake.
        partitions: The partitions' keys; ``all`` where it is not cut.
        run_id: The run, as the ledger names it.
        force: Whether to do again what is unchanged; a closed gate stays closed.

    Returns:
        What became of each partition.

    Raises:
        Exception: What the function raised, where that is no error of the platform, the engine or
            the system: the ledger has it as failed, and what was published before stays.
    """
    ensure_platform_tables(lake)
    in_transaction(
        lake, lambda con: con.execute(frame.compiled.ddl(frame.table, "cleaned", _EXTRA))
    )
    align(lake, frame.name, frame.table, [*frame.compiled.published_columns, *_EXTRA])
    done = {key: _build(frame, lake, key, run_id, force) for key in partitions}
    return traced(BatchReport(frame.asset, done))


def _build(frame: Frame, lake: Connection, key: str, run_id: str, force: bool) -> LedgerEntry:
    started = time.perf_counter()
    blank = LedgerEntry(
        asset=frame.asset,
        partition=key,
        run_id=run_id,
        status=Status.PUBLISHED,
        code_version=__version__,
        contract_version=frame.compiled.version,
    )
    # Gate, fingerprint and rows are of one state of the lake; nothing is written before it ends.
    lake.execute("BEGIN TRANSACTION")
    try:
        attempt = _attempt(frame, lake, blank, force)
    except Exception as error:
        lake.execute("ROLLBACK")
        failed = replace(blank, status=Status.FAILED, stopped_by=COMPUTE, message=describe(error))
        in_transaction(lake, lambda con: ledger.record(con, [failed]))
        if not isinstance(error, (PlatformError, duckdb.Error, OSError)):
            raise
        return failed
    lake.execute("ROLLBACK")
    entry = replace(attempt.entry, seconds=round(time.perf_counter() - started, 6))
    if attempt.frame is None:
        in_transaction(lake, lambda con: ledger.record(con, [entry]))
    else:
        entry = _publish(frame, lake, attempt.frame, entry)
    return entry


def _attempt(frame: Frame, lake: Connection, blank: LedgerEntry, force: bool) -> _Attempt:
    key = blank.partition
    shut = _shut(frame, lake, key)
    if shut:
        error = gate.refusal(shut, consumer=f"table {frame.asset}, partition {key}")
        return _Attempt(
            replace(blank, status=Status.FAILED, stopped_by=UPSTREAM, message=str(error))
        )
    fingerprint = _fingerprint(frame, lake, key)
    last = ledger.judged(lake, frame.asset, [key]).get(key)
    if (
        last is not None
        and last.status is Status.PUBLISHED
        and hold.refused_input(last) == fingerprint
        and not force
    ):
        return _Attempt(ledger.unchanged(last, blank.run_id))
    with span("compute", partitions=[key]) as computing:
        rows = _typed(frame, frame.compute(lake, key))
        computing.set(rows=len(rows))
    with span("audit", partitions=[key]):
        broken = broken_rules(frame.contract, frame.rules, rows)
    errors = {rule.name for rule in frame.rules if rule.severity == "error"} | {SHAPE}
    stopping = {name: count for name, count in broken.items() if name in errors}
    entry = replace(
        blank,
        status=Status.FAILED if stopping else Status.PUBLISHED,
        extracted=len(rows),
        cleaned=0 if stopping else len(rows),
        input_fingerprint=fingerprint,
        broken=broken,
        stopped_by=next(iter(stopping), ""),
        message=_told(frame, key, stopping, rows) if stopping else "",
    )
    return _Attempt(entry, None if stopping else rows)


def _typed(frame: Frame, computed: pd.DataFrame | pa.Table) -> pd.DataFrame:
    """Rows in the contract's pandas types, where they can have them; else as they came."""
    try:
        table = (
            computed
            if isinstance(computed, pa.Table)
            else pa.Table.from_pandas(computed, preserve_index=False)
        )
        if set(table.column_names) == {column.name for column in frame.compiled.columns}:
            return frame.compiled.to_frame(table)
    except (pa.ArrowException, TypeError, ValueError):
        pass  # other types than the contract's: told by the check on columns
    return computed.to_pandas() if isinstance(computed, pa.Table) else computed


def _shut(frame: Frame, lake: Connection, key: str) -> list[gate.ClosedGate]:
    """The closed gates upstream that it has to heed."""
    found: list[gate.ClosedGate] = []
    for upstream in frame.upstream:
        if frame.is_cut:
            shut = gate.closed(lake, upstream, [key])
        else:
            shut = gate.whole_table(lake, upstream)
        found += gate.refused_by(shut, frame.on_failed_upstream).values()
    return found


def _fingerprint(frame: Frame, lake: Connection, key: str) -> str:
    """What its rows depend on: the publishes upstream, the contract and the function's version."""
    snapshots = []
    for upstream in frame.upstream:
        if frame.is_cut:
            entry = ledger.published(lake, upstream, [key]).get(key)
            snapshots.append(entry.snapshot if entry else None)
        else:
            snapshots.append(ledger.last_snapshot(lake, upstream))
    parts = [*map(str, snapshots), frame.compiled.version, frame.version]
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:16]


def _publish(frame: Frame, lake: Connection, rows: pd.DataFrame, entry: LedgerEntry) -> LedgerEntry:
    """Swap the rows in; the entry as it was recorded, with what was added, removed and changed."""
    key, tally = entry.partition, Tally(frame.compiled.key)
    newest: dict[str, datetime] = {}
    arrow = pa.Table.from_pandas(rows, preserve_index=False)
    threads.use_all(lake, arrow.nbytes)
    lake.register(_STAGED, arrow)

    def audit(_: Connection, counted: Mapping[str, int], __: Mapping[str, int]) -> None:
        if counted[key] != len(rows):
            raise PublishError(
                "The rows that would be published are not those that were computed",
                where=f"table {frame.asset}, partition {key}",
                expected=f"{len(rows):,} rows",
                found=f"{counted[key]:,} rows",
                fix="run it again; what was published before stays",
            )
        column = frame.compiled.event_time
        if column is not None:
            newest.update(newest_events(lake, frame.table, quote_identifier(column.name), [key]))

    def told() -> LedgerEntry:
        return ledger.tallied(replace(entry, newest_event=newest.get(key)), tally.changes[key])

    try:
        publish(
            lake,
            Publish(
                frame.table,
                [key],
                f"SELECT *, {quote_literal(key)} AS {PARTITION_COLUMN} FROM {_STAGED}",
                [*map(str, rows.columns), PARTITION_COLUMN],
                tally=tally,
            ),
            audit=audit,
            commit_with=lambda con: ledger.record(con, [told()]),
        )
    finally:
        lake.unregister(_STAGED)
    return told()


def _told(frame: Frame, key: str, stopping: Mapping[str, int], rows: pd.DataFrame) -> str:
    listed = ", ".join(f"{name}: {count:,}" for name, count in stopping.items())
    if SHAPE in stopping:
        columns = ", ".join(f"{name} {kind}" for name, kind in rows.dtypes.items())
        listed += f"; computed were {columns}"
    at = "" if key == UNPARTITIONED_KEY else f", partition {key}"
    return str(
        PublishError(
            f"Computed rows break the contract of {frame.name}",
            where=f"table {frame.asset}{at}",
            expected="no row that breaks a rule of severity error",
            found=listed,
            fix=f"look at what it is made from ({', '.join(frame.upstream)}), or correct the "
            "function or the contract; what was published before stays",
        )
    )
