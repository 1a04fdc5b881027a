"""Rollback: an earlier publish of a partition restored, as a publish of its own.

Belongs here: the gate of it, and what is committed together. Does not belong here: which publish
that is (``rollback_plan``), reading earlier rows (``warehouse.restore``), how the next run is held
off (``warehouse.hold``), and telling Dagster (``cli``).

What stands after a rollback has to add up as after any publish: its extracted rows are those of
the raw table at the restored publish, counted there; its cleaned rows, its quarantine and its
history are counted, and held against each other, in the transaction that restores them.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace

from platform_assets import __version__
from platform_assets.errors import PartitionError, PublishError
from platform_assets.pipeline import history, periods
from platform_assets.pipeline.rollback_plan import Plan
from platform_assets.pipeline.steps import Step
from platform_assets.provenance import PARTITION_COLUMN
from platform_assets.quality import findings, profiles
from platform_assets.sql import quote_identifier, quote_literal
from platform_assets.warehouse import history as histories
from platform_assets.warehouse import hold, ledger, quarantine, restore, rollbacks, tables, threads
from platform_assets.warehouse.compaction import compact
from platform_assets.warehouse.lake import Connection, in_transaction
from platform_assets.warehouse.ledger import LedgerEntry, Status
from platform_assets.warehouse.leftovers import Compared
from platform_assets.warehouse.migrate import table_columns
from platform_assets.warehouse.publish import in_partitions
from platform_assets.warehouse.snapshots import look_back
from platform_assets.warehouse.tally import RowChanges, Tally

_RESTORED, _HISTORY = "_restored", "_restored_history"
SHOWN_PARTITIONS = 5


@dataclass(frozen=True)
class Done:
    """What a rollback came to.

    Attributes:
        plan: What was to be done.
        entry: The ledger's entry of the publish.
        changes: What it did to the rows.
        kept: Further entries: of the history.
    """

    plan: Plan
    entry: LedgerEntry
    changes: RowChanges
    kept: Sequence[LedgerEntry] = ()

    @property
    def rows(self) -> int:
        """Rows that stand now."""
        return self.plan.target.rows_of(self.entry)


class _MovedError(Exception):
    """Stops a transaction: another run has published the partition meanwhile."""


def roll_back(connection: Connection, chosen: Plan, *, reason: str, author: str) -> Done:
    """Restore a publish, as a publish of its own: staged, audited, and committed with its books.

    Args:
        connection: An open lake, outside of a transaction.
        chosen: What to restore.
        reason: Why.
        author: Who says so.

    Raises:
        PartitionError: The reason or the author is empty.
        PublishError: The restored rows are not those of the publish, do not add up, do not fit
            into the table as it is now, or another run came between; nothing has changed.
    """
    if not reason.strip() or not author.strip():
        raise PartitionError(
            "A rollback is written down with a reason and an author",
            where=f"asset {chosen.target.asset}, partition {chosen.partition}",
            expected="a reason and an author",
            found="no reason" if not reason.strip() else "no author",
            fix="say what is missing",
        )
    started = time.perf_counter()
    target, table = chosen.target, chosen.target.table
    look_back(connection, chosen.snapshot)
    _stage(connection, chosen)
    extracted = _extracted_then(connection, chosen)
    tally = Tally(table.key, table.partition)
    run_id = f"rollback-{uuid.uuid4()}"
    own = f"{table.partition} = {quote_literal(chosen.partition)}"
    columns = list(table_columns(connection, table.table))

    def work(con: Connection) -> Done:
        _still_stands(con, chosen)
        held = tally.begin(con, tally.whole(table.table, columns, own))
        con.execute(f"DELETE FROM {table.table} WHERE {own}")
        con.execute(f"INSERT INTO {table.table} BY NAME FROM {_RESTORED}")
        rows = _count(con, f"{table.table} WHERE {own}")
        tally.end(
            con,
            tally.whole(_RESTORED, columns, "true" if held else "false"),
            {chosen.partition: rows},
        )
        changes = tally.changes[chosen.partition]
        entry = replace(
            chosen.restored,
            run_id=run_id,
            status=Status.PUBLISHED,
            seconds=round(time.perf_counter() - started, 6),
            code_version=__version__,
            input_fingerprint=hold.rolled_back(chosen.standing, chosen.restored),
            snapshot=None,
        )
        entry = ledger.tallied(entry, changes)
        _audit_rows(con, chosen, rows)
        kept = _restore_with(con, chosen, entry, extracted)
        ledger.record(con, [entry, *kept])
        rollbacks.record(
            con,
            rollbacks.Noted(
                run_id, target.asset, chosen.partition, chosen.rolled_from, chosen.snapshot, rows,
                reason.strip(), author.strip(),
            ),
        )  # fmt: skip
        return Done(chosen, entry, changes, kept)

    in_order = threads.only_one(connection) if target.layer == "raw" else nullcontext()
    try:
        with in_order:
            done = in_transaction(connection, work)
    except _MovedError as moved:
        raise PublishError(
            "Another run has published the partition meanwhile",
            where=f"asset {target.asset}, partition {chosen.partition}",
            expected=f"the publish of snapshot {chosen.rolled_from}",
            found=str(moved),
            fix="look at what it published, and roll back again; nothing has changed",
        ) from None
    finally:
        for name in (_RESTORED, _HISTORY):
            connection.execute(f"DROP TABLE IF EXISTS {name}")
    compact(connection, target.asset)
    return done


def _stage(connection: Connection, chosen: Plan) -> None:
    """Lay out the rows to restore, and hold their number against the ledger."""
    target, dataset = chosen.target, chosen.target.cleaned
    fix = "restore a publish that is younger than the column, or correct the rows at the source"
    rows = restore.lay_out(
        connection, target.table, chosen.partition, chosen.snapshot, _RESTORED,
        required=target.required, fix=fix,
    )  # fmt: skip
    if rows != target.rows_of(chosen.restored):
        raise _odd(chosen, target.rows_of(chosen.restored), rows, "in the restored snapshot")
    if dataset is None:
        return
    restore.lay_out_quarantine(connection, dataset.name, chosen.partition, chosen.snapshot)
    if dataset.history:
        of_history = Compared(f"history/{dataset.name}", histories.SCHEMA, dataset.name)
        restore.lay_out(
            connection, of_history, chosen.partition, chosen.snapshot, _HISTORY,
            required=target.required, fix=fix,
        )  # fmt: skip


def _extracted_then(connection: Connection, chosen: Plan) -> int:
    """Raw rows that the restored publish was made from, counted in the raw table of its time."""
    dataset = chosen.target.cleaned
    if dataset is None:
        return chosen.restored.extracted
    return _count(
        connection,
        f"{tables.raw_table(dataset.name)} AT (VERSION => {chosen.snapshot}) "
        f"WHERE {in_partitions([chosen.partition])}",
    )


def _still_stands(connection: Connection, chosen: Plan) -> None:
    asset = chosen.target.asset
    now = ledger.published(connection, asset, [chosen.partition]).get(chosen.partition)
    if now is None or now.snapshot != chosen.rolled_from:
        raise _MovedError(f"run {now.run_id}, snapshot {now.snapshot}" if now else "none")


def _audit_rows(connection: Connection, chosen: Plan, rows: int) -> None:
    """The gate of the table itself: all rows are there, and no key is in another partition too."""
    target = chosen.target
    if rows != target.rows_of(chosen.restored):
        raise _odd(chosen, target.rows_of(chosen.restored), rows, "once restored")
    if not target.unique:
        return
    key = ", ".join(quote_identifier(name) for name in target.unique)
    elsewhere = connection.execute(
        f"SELECT {target.table.partition} AS place, count(*) FROM {target.table.table} "
        f"WHERE ({key}) IN (SELECT ({key}) FROM {_RESTORED}) "
        f"AND {target.table.partition} <> {quote_literal(chosen.partition)} "
        "GROUP BY 1 ORDER BY 1"
    ).fetchall()
    if elsewhere:
        shown = ", ".join(f"{rows:,} in {place}" for place, rows in elsewhere[:SHOWN_PARTITIONS])
        raise PublishError(
            "Rows to restore have moved to other partitions since, and would be there twice",
            where=f"asset {target.asset}, partition {chosen.partition}",
            expected="each key once in the table",
            found=f"{shown}; in {len(elsewhere)} partitions",
            fix="roll these partitions back first; nothing has changed",
        )


def _restore_with(
    connection: Connection, chosen: Plan, entry: LedgerEntry, extracted: int
) -> list[LedgerEntry]:
    """Restore what belongs to cleaned rows, and see that all of it adds up; the history's entry."""
    dataset = chosen.target.cleaned
    if dataset is None:
        return []
    restore.restore_quarantine(connection, dataset.name, chosen.partition)
    profiles.restore(connection, entry.asset, chosen.partition, chosen.snapshot, entry.run_id)
    findings.restore(connection, entry.asset, chosen.partition, chosen.snapshot)
    held = quarantine.count_held(connection, dataset.name, [chosen.partition])[chosen.partition]
    told = f"{entry.cleaned:,} + {held:,} + {entry.deduplicated:,}"
    if extracted != entry.cleaned + held + entry.deduplicated or held != entry.quarantined:
        raise _odd(chosen, f"{extracted:,} = cleaned + quarantined + deduplicated", told, "")
    if not dataset.history:
        return []
    table = histories.history_table(dataset.name)
    own = f"{PARTITION_COLUMN} = {quote_literal(chosen.partition)}"
    connection.execute(f"DELETE FROM {table} WHERE {own}")
    connection.execute(f"INSERT INTO {table} BY NAME FROM {_HISTORY}")
    step = Step(dataset=dataset, lake=connection, run_id=entry.run_id)
    keys = periods.published_keys(step)
    try:
        history.audit(
            step,
            [chosen.partition],
            f"(FROM {table} WHERE ({keys}) IN (SELECT ({keys}) FROM {table} WHERE {own}))",
        )
    except history.InconsistentError as stop:
        raise PublishError(
            "The restored history contradicts that of other partitions",
            where=f"asset history/{dataset.name}, partition {chosen.partition}",
            expected="periods of a key that do not overlap",
            found=next(iter(stop.messages.values())).splitlines()[0],
            fix="rows have moved between partitions since: roll the others back first; nothing has "
            "changed",
        ) from None
    rows = _count(connection, f"{table} WHERE {own}")
    return [histories.history_entry(entry, rows)]


def _odd(chosen: Plan, expected: object, found: object, when: str) -> PublishError:
    return PublishError(
        "The rows to restore are not those of the publish",
        where=f"asset {chosen.target.asset}, partition {chosen.partition}, "
        f"snapshot {chosen.snapshot}",
        expected=f"{expected} rows, by the ledger" if isinstance(expected, int) else str(expected),
        found=f"{found} {when}".strip(),
        fix="another writer has changed the table beside the ledger: restore another publish; "
        "nothing has changed",
    )


def _count(connection: Connection, relation: str) -> int:
    row = connection.execute(f"SELECT count(*) FROM {relation}").fetchone()
    return int(row[0]) if row else 0
