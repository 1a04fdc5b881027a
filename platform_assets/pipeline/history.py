"""The history of a dataset: every good version of a row with the time that it held (SCD2).

Belongs here: bringing it up to date with a publish, in the same transaction, and its gate. Does not
belong here: how versions become periods (``periods``).

Where partitions are judged whole, the history of their keys is made anew from all that the raw
table has of them. Where new versions are merged, they are put on top of what is there: the open row
of a key gets its end, and nothing else of the history is written again. Only keys that were
changed in several partitions that are not published together (rows that moved between days) are
made anew from all their versions, as their order cannot be seen from the new ones.

A version in a partition that is stopped ends the one before it, as it does in the cleaned table,
and is shown once its partition is published. What an old version is worth is judged by the present
contract, and by what datasets referred to hold now.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from platform_assets.errors import PartitionError
from platform_assets.pipeline import periods, versions
from platform_assets.pipeline.judging import Judgement, find_verdicts, note_rejected
from platform_assets.pipeline.loaded import Loaded
from platform_assets.pipeline.steps import Step, describe
from platform_assets.pipeline.temporary import (
    CHANGED,
    ELSEWHERE,
    KNOWN,
    PERIODS,
    REJECTED,
    RESULT,
    SEVERAL,
    STANDING,
    TANGLED,
    TOUCHED,
    UNTANGLED,
)
from platform_assets.provenance import (
    DELETED_AT_COLUMN,
    IS_CURRENT,
    LOAD_COLUMN,
    PARTITION_COLUMN,
    POSITION_COLUMN,
    VALID_FROM,
    VALID_TO,
)
from platform_assets.sql import quote_literal
from platform_assets.warehouse import ledger, tables
from platform_assets.warehouse.history import (
    OWN_COLUMNS,
    ensure_history_table,
    history_entry,
    history_table,
)
from platform_assets.warehouse.ledger import LedgerEntry, Status
from platform_assets.warehouse.publish import count_rows, in_partitions

CONSISTENT = "history_is_consistent"
_REBUILT_VERDICTS = "_untangled_rejected"
_EVERY_LOAD = 2**62
_TEMPORARY = (
    KNOWN, ELSEWHERE, SEVERAL, CHANGED, TOUCHED, STANDING, TANGLED, UNTANGLED,
    _REBUILT_VERDICTS, PERIODS, RESULT,
)  # fmt: skip


class InconsistentError(Exception):
    """Stops a transaction: the history of these partitions contradicts itself or the cleaned."""

    stopped_by = CONSISTENT

    def __init__(self, messages: Mapping[str, str]) -> None:
        super().__init__()
        self.messages = messages


def ensure(step: Step) -> None:
    """Make a dataset's history table, or bring it to its contract, where history is asked for.

    Args:
        step: What to work on and with.

    Raises:
        PublishError: The table cannot follow the contract by itself.
    """
    dataset = step.dataset
    if dataset.history:
        ddl = dataset.compiled.ddl(history_table(dataset.name), "cleaned", OWN_COLUMNS)
        ensure_history_table(step.lake, dataset.name, ddl, dataset.compiled.published_columns)


def keep(step: Step, judgement: Judgement, entries: Sequence[LedgerEntry]) -> list[LedgerEntry]:
    """Bring the history up to date with a publish, in its transaction, after its rows are in.

    Args:
        step: What to work on and with; its lake is inside the transaction.
        judgement: What was judged.
        entries: Of the cleaned asset: the partitions that are published are those that are kept.

    Returns:
        Entries of the history asset, to be recorded with the others: its rows are counted as
        ``cleaned``.

    Raises:
        InconsistentError: It would contradict itself, or the cleaned table.
    """
    good = {e.partition: e for e in entries if e.status is Status.PUBLISHED}
    if not good:
        return []
    if judgement.scope.since is None:
        touched = _make_anew(step, judgement, list(good))
    else:
        touched = _add(step, judgement, list(good), judgement.scope.since)
    audit(step, list(good), touched)
    counts = count_rows(step.lake, history_table(step.dataset.name), list(good))
    for name in _TEMPORARY:
        step.lake.execute(f"DROP TABLE IF EXISTS {name}")
    return [history_entry(entry, counts[key]) for key, entry in good.items()]


def _table(step: Step) -> str:
    return history_table(step.dataset.name)


def _keys_in(step: Step, relation: str, where: str = "") -> str:
    keys = periods.published_keys(step)
    return f"({keys}) IN (SELECT ({keys}) FROM {relation}{f' WHERE {where}' if where else ''})"


def _make_anew(step: Step, judgement: Judgement, good: Sequence[str]) -> str:
    """Make the history of the keys of partitions anew; a relation of its rows.

    All versions of these keys were judged, wherever they lie.
    """
    condition = judgement.condition
    key, raw = periods.hash_sql(step), step.raw_rows
    if set(good) != set(judgement.scope.partitions):
        condition += f" AND {key} IN (SELECT {key} FROM {raw} WHERE {in_partitions(good)})"
    published = in_partitions(good)
    _note_known(step, f"{condition} AND NOT {published}", good)
    _note_keys(step, f"{condition} AND NOT {published}")
    touched = f"({published} OR {_keys_in(step, ELSEWHERE)})"
    step.lake.execute(f"DELETE FROM {_table(step)} WHERE {touched}")
    # Nearly all keys have one version, which needs no window.
    step.lake.execute(
        f"CREATE OR REPLACE TEMP TABLE {SEVERAL} AS SELECT {key} AS _hash FROM {raw} "
        f"WHERE {condition} GROUP BY 1 HAVING count(*) > 1"
    )
    several = f"{key} IN (SELECT _hash FROM {SEVERAL})"
    of_one = periods.events(step, f"{condition} AND NOT {several}", REJECTED, hidden=True)
    of_several = periods.events(step, f"{condition} AND {several}", REJECTED, hidden=True)
    names = ", ".join(periods.period_names(step))
    step.lake.execute(
        f"INSERT INTO {_table(step)} BY NAME {periods.single(step, of_one)} UNION ALL "
        f"SELECT {names} FROM ({_anew(step, of_several)})"
    )
    return f"(FROM {_table(step)} WHERE {touched})"


def _note_keys(step: Step, condition: str) -> None:
    """Lay out the keys of versions, bad ones too: they may have been good when they were done."""
    nothing = "(SELECT NULL AS _rowid WHERE false)"
    keys = periods.published_keys(step)
    step.lake.execute(
        f"CREATE OR REPLACE TEMP TABLE {ELSEWHERE} AS SELECT DISTINCT {keys} "
        f"FROM ({periods.events(step, condition, nothing, hidden=False)})"
    )


def _anew(step: Step, of_events: str) -> str:
    return periods.periods(step, f"SELECT *, false AS _base FROM ({of_events})")


def _note_known(step: Step, condition: str, good: Sequence[str]) -> None:
    """Note up to which load versions are published: in this transaction all, else by the ledger."""
    name = step.dataset.name
    found = step.lake.execute(
        f"SELECT DISTINCT {PARTITION_COLUMN} FROM {tables.raw_table(name)} WHERE {condition}"
    ).fetchall()
    others = [str(key) for (key,) in found if key not in set(good)]
    known = dict.fromkeys(good, _EVERY_LOAD)
    standing = ledger.published(step.lake, f"cleaned/{name}", others) if others else {}
    for key, entry in standing.items():
        demands, _, loaded = entry.input_fingerprint.rpartition("@")
        if demands:
            known[key] = Loaded.parse(loaded).load
    listed = ", ".join(f"({quote_literal(key)}, {load})" for key, load in known.items())
    step.lake.execute(
        f"CREATE OR REPLACE TEMP TABLE {KNOWN} (_known_partition VARCHAR, _known_load BIGINT)"
    )
    if listed:
        step.lake.execute(f"INSERT INTO {KNOWN} VALUES {listed}")


def _add(step: Step, judgement: Judgement, good: Sequence[str], since: int) -> str:
    """Put new versions on top of the history of their keys; a relation of these rows."""
    table = _table(step)
    _note_touched(step, judgement, good)
    _note_standing(step, good)
    _note_tangled(step, good, since)
    rebuilt = _untangle(step, good)
    added = f"_inside AND _hash NOT IN (SELECT _hash FROM {TANGLED})"
    listed = ", ".join([*periods.published_names(step), PARTITION_COLUMN])
    order = f"{POSITION_COLUMN}, {LOAD_COLUMN}, _rowid"
    # What the history has of a key comes first: the open row, or that it is gone since when.
    held = (
        f"SELECT {listed}, NOT {IS_CURRENT} AS _gone, _ended AS _at, "
        f"0 AS {POSITION_COLUMN}, 0 AS {LOAD_COLUMN}, 0 AS _rowid, true AS _base "
        f"FROM {STANDING} WHERE {_keys_in(step, TOUCHED, added)}"
    )
    new = (
        f"SELECT {listed}, _gone, _at, {order}, false AS _base FROM {CHANGED} "
        f"WHERE {_keys_in(step, TOUCHED, added)}"
    )
    step.lake.execute(
        f"CREATE OR REPLACE TEMP TABLE {PERIODS} AS SELECT * FROM "
        f"({periods.periods(step, f'{held} UNION ALL BY NAME {new}')}) "
        f"WHERE NOT (_base AND {IS_CURRENT})"
    )
    ended = f"SELECT _standing FROM {STANDING} WHERE {_keys_in(step, PERIODS, '_base')}"
    step.lake.execute(f"DELETE FROM {table} WHERE rowid IN ({ended})")
    step.lake.execute(f"INSERT INTO {table} BY NAME SELECT * EXCLUDE (_base) FROM {PERIODS}")
    # The gate looks at it several times, and it is small.
    step.lake.execute(
        f"CREATE OR REPLACE TEMP TABLE {RESULT} AS SELECT {periods.published_keys(step)}, "
        f"{PARTITION_COLUMN}, {VALID_FROM}, {VALID_TO}, {IS_CURRENT} FROM {table} "
        f"WHERE {_keys_in(step, TOUCHED, '_inside')} OR {rebuilt}"
    )
    return RESULT


def _note_touched(step: Step, judgement: Judgement, good: Sequence[str]) -> None:
    """Lay out the new versions and their keys."""
    keys = periods.published_keys(step)
    new = periods.events(step, judgement.condition, REJECTED, hidden=False)
    step.lake.execute(f"CREATE OR REPLACE TEMP TABLE {CHANGED} AS {new}")
    step.lake.execute(
        f"CREATE OR REPLACE TEMP TABLE {TOUCHED} AS SELECT {keys}, any_value(_hash) AS _hash, "
        f"bool_or({in_partitions(good)}) AS _inside, "
        f"bool_or(NOT {in_partitions(good)}) AS _outside FROM {CHANGED} GROUP BY {keys}"
    )


def _note_standing(step: Step, good: Sequence[str]) -> None:
    """Lay out what the history has of the touched keys: its open row, or when it ended."""
    table, keys = _table(step), periods.published_keys(step)
    step.lake.execute(
        f"CREATE OR REPLACE TEMP TABLE {STANDING} AS "
        f"SELECT *, rowid AS _standing, {VALID_FROM} AS _ended FROM {table} "
        f"WHERE {IS_CURRENT} AND {_keys_in(step, TOUCHED)}"
    )
    _examine_standing(step, good)
    without = step.lake.execute(
        f"SELECT count(*) FROM {TOUCHED} WHERE NOT {_keys_in(step, STANDING)}"
    ).fetchone()
    if without == (0,):
        return
    # A key that came back begins no earlier than it ended.
    step.lake.execute(
        f"INSERT INTO {STANDING} BY NAME SELECT {keys}, false AS {IS_CURRENT}, "
        f"max({VALID_TO}) AS _ended FROM {table} WHERE {_keys_in(step, TOUCHED)} "
        f"AND NOT {_keys_in(step, STANDING)} GROUP BY {keys}"
    )


def _note_tangled(step: Step, good: Sequence[str], since: int) -> None:
    """Note the keys whose new versions cannot simply be put on top."""
    raw, key = tables.raw_table(step.dataset.name), periods.hash_sql(step)
    step.lake.execute(
        f"CREATE OR REPLACE TEMP TABLE {TANGLED} AS SELECT _hash FROM {TOUCHED} WHERE _outside "
        f"AND (_inside OR {_keys_in(step, STANDING, f'{IS_CURRENT} AND {in_partitions(good)}')})"
    )
    if not versions.may_overlap(step, since):
        return
    # A position that was seen before tells of the same change again.
    step.lake.execute(
        f"INSERT INTO {TANGLED} SELECT DISTINCT n._hash FROM {CHANGED} AS n JOIN "
        f"(SELECT {key} AS _hash, {POSITION_COLUMN} FROM {raw} WHERE {LOAD_COLUMN} <= {since}) "
        f"AS h ON h._hash = n._hash AND h.{POSITION_COLUMN} >= n.{POSITION_COLUMN}"
    )


def _examine_standing(step: Step, good: Sequence[str]) -> None:
    """Refuse to end a row where a key has several that are open."""
    keys = periods.published_keys(step)
    row = step.lake.execute(
        f"SELECT count(*) FROM (SELECT 1 FROM {STANDING} GROUP BY {keys} HAVING count(*) > 1)"
    ).fetchone()
    if row is not None and row[0]:
        told = [f"{row[0]:,} keys with several current rows"]
        raise InconsistentError({key: _message(step, key, told) for key in good})


def _untangle(step: Step, good: Sequence[str]) -> str:
    """Make the history of tangled keys anew; SQL that picks its rows."""
    row = step.lake.execute(f"SELECT count(*) FROM {TANGLED}").fetchone()
    if row == (0,):
        return "false"
    condition = f"{periods.hash_sql(step)} IN (SELECT _hash FROM {TANGLED})"
    find_verdicts(step, condition, UNTANGLED)
    note_rejected(step, UNTANGLED, _REBUILT_VERDICTS)
    _note_known(step, condition, good)
    _note_keys(step, condition)
    touched = _keys_in(step, ELSEWHERE)
    step.lake.execute(f"DELETE FROM {_table(step)} WHERE {touched}")
    of_events = periods.events(step, condition, _REBUILT_VERDICTS, hidden=True)
    names = ", ".join(periods.period_names(step))
    step.lake.execute(
        f"INSERT INTO {_table(step)} BY NAME SELECT {names} FROM ({_anew(step, of_events)})"
    )
    return touched


def audit(step: Step, good: Sequence[str], touched: str) -> None:
    """The gate: periods of touched keys do not overlap, and current rows are the published ones.

    Raises:
        InconsistentError: It is not so.
    """
    faults: dict[str, list[str]] = {}
    for partition, rows in _at_odds(step, touched):
        # What is wrong elsewhere with a key that was touched stops all that touched it.
        for key in [partition] if partition in good else good:
            faults.setdefault(key, []).append(f"{rows:,} rows at odds with others of their key")
    for partition, current, cleaned in _off(step, good):
        faults.setdefault(partition, []).append(
            f"{current:,} current rows and {cleaned:,} cleaned ones, not of the same keys"
        )
    if faults:
        raise InconsistentError({key: _message(step, key, told) for key, told in faults.items()})


def _at_odds(step: Step, touched: str) -> list[tuple[str, int]]:
    """Rows that overlap with others of their key or end before they begin, by partition."""
    keys = periods.published_keys(step)
    row_alone = (
        f"{VALID_FROM} IS NULL OR coalesce({VALID_TO} < {VALID_FROM}, false) "
        f"OR {IS_CURRENT} IS DISTINCT FROM ({VALID_TO} IS NULL)"
    )
    several = (
        f"hash({keys}) IN (SELECT hash({keys}) AS hashed FROM {touched} "
        "GROUP BY hashed HAVING count(*) > 1)"
    )
    return step.lake.execute(
        f"""
        SELECT {PARTITION_COLUMN}, count(*) FROM (
            SELECT {PARTITION_COLUMN} FROM {touched} WHERE {row_alone}
            UNION ALL
            SELECT {PARTITION_COLUMN} FROM (
                SELECT {PARTITION_COLUMN}, {VALID_TO}, lead({VALID_FROM}) OVER (
                    PARTITION BY {keys} ORDER BY {VALID_FROM}, {VALID_TO} NULLS LAST) AS _next
                FROM {touched} WHERE {several}
            ) WHERE _next IS NOT NULL AND coalesce({VALID_TO} > _next, true)
        ) GROUP BY 1 ORDER BY 1
        """
    ).fetchall()


def _off(step: Step, good: Sequence[str]) -> list[tuple[str, int, int]]:
    """Partitions whose current rows are not the cleaned ones by key, with how many there are.

    A sum of hashes compares all keys in one scan of either table, and holds none of them.
    """
    keys = periods.published_keys(step)
    living = f" AND {DELETED_AT_COLUMN} IS NULL" if step.dataset.marks_deletes else ""

    def told(table: str, where: str) -> str:
        return (
            f"SELECT {PARTITION_COLUMN}, count(*) AS _rows, "
            f"sum(CAST(hash({keys}) AS HUGEINT)) AS _sum FROM {table} "
            f"WHERE {in_partitions(good)}{where} GROUP BY 1"
        )

    return step.lake.execute(
        f"""
        SELECT coalesce(h.{PARTITION_COLUMN}, c.{PARTITION_COLUMN}) AS found,
               coalesce(h._rows, 0), coalesce(c._rows, 0)
        FROM ({told(_table(step), f" AND {IS_CURRENT}")}) AS h
        FULL JOIN ({told(tables.cleaned_table(step.dataset.name), living)}) AS c
            ON h.{PARTITION_COLUMN} = c.{PARTITION_COLUMN}
        WHERE (h._rows, h._sum) IS DISTINCT FROM (c._rows, c._sum) ORDER BY found
        """
    ).fetchall()


def _message(step: Step, partition: str, told: Sequence[str]) -> str:
    return describe(
        PartitionError(
            "The history contradicts itself or the cleaned table",
            where=f"dataset {step.dataset.name}, partition {partition}",
            expected="periods of a key that do not overlap, the current ones those of the cleaned "
            "rows",
            found="; ".join(told),
            fix="another writer may have changed the history: run the partition again, which makes "
            "it anew; if it stays, run all partitions with --force",
        )
    )
