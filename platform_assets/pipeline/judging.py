"""The judgement of a batch: verdicts on rows that break something, and which copies to leave out.

Belongs here: the session's temporary tables between judging and publishing. Does not belong here:
the rules' SQL (``contracts``) and the publish itself (``clean``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import pyarrow as pa

from platform_assets.observability.traces import span
from platform_assets.pipeline import across, versions
from platform_assets.pipeline.raw_table import raw_columns, source_types
from platform_assets.pipeline.steps import Step
from platform_assets.pipeline.temporary import (
    CARRIED,
    COPIES,
    DECIDED,
    MARKS,
    RANKED,
    REJECTED,
    RELATED,
    VERDICTS,
)
from platform_assets.provenance import (
    DELETED,
    FILE_COLUMN,
    LOAD_COLUMN,
    OP_COLUMN,
    PARTITION_COLUMN,
    PLATFORM_COLUMNS,
)
from platform_assets.sql import quote_identifier, quote_literal
from platform_assets.warehouse import tables
from platform_assets.warehouse.lake import one_state
from platform_assets.warehouse.publish import count_rows, in_partitions
from platform_assets.warehouse.quarantine import Rejected

# Rows that a custom Python check sees at once: bounds its memory.
PYTHON_BATCH_ROWS = 100_000


@dataclass(frozen=True)
class Counts:
    """What a judgement found in one partition.

    Attributes:
        extracted: Rows of the raw table.
        rejected: Rows that break a rule of severity error.
        deduplicated: Good rows left out because a newer row has their key.
        broken: Rows by broken rule, warnings included.
    """

    extracted: int
    rejected: int = 0
    deduplicated: int = 0
    broken: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Scope:
    """Which raw rows are judged.

    Attributes:
        partitions: The partitions that the judgement is for.
        since: Only versions of later loads; None: all rows of the partitions.
    """

    partitions: Sequence[str]
    since: int | None = None


@dataclass(frozen=True)
class Judgement:
    """The judgement of a batch, as long as its temporary tables live.

    Attributes:
        step: What was worked on and with.
        scope: Which raw rows were judged.
        counts: What was found, by partition.
        raw_columns: The source's own columns in the raw table.
        condition: SQL that picks the judged rows of the raw table.
    """

    step: Step
    scope: Scope
    counts: Mapping[str, Counts]
    raw_columns: Sequence[str]
    condition: str

    def rejected(self, step: Step) -> Rejected:
        """The rejected rows, as the quarantine takes them."""
        compiled = step.dataset.compiled
        return Rejected(
            dataset=step.dataset.name,
            raw_table=tables.raw_table(step.dataset.name),
            raw_columns=self.raw_columns,
            verdicts=VERDICTS,
            key=row_key(step, "r."),
            run_id=step.run_id,
            contract_version=compiled.version,
            by_load=step.dataset.has_versions,
        )

    def good_rows(self, condition: str) -> str:
        """A SELECT of the rows to publish, where a condition on the partition holds."""
        compiled = self.step.dataset.compiled
        typed = typed_rows(self.step, f"{condition} AND {self.condition}")
        rows = (
            f"{typed} AND rowid NOT IN (SELECT _rowid FROM {VERDICTS} WHERE _rejected "
            f"UNION ALL SELECT _rowid FROM {COPIES})"
        )
        if self.step.dataset.marks_deletes:
            rows = f"SELECT * FROM ({rows}) LEFT JOIN {MARKS} USING (_rowid)"
        passed = [name for name, _ in self.step.dataset.cleaned_provenance]
        return compiled.publish_select(f"({rows})", passthrough=passed)


@contextmanager
def judge(step: Step, scope: Scope) -> Iterator[Judgement]:
    """Judge raw rows.

    Args:
        step: What to work on and with.
        scope: Which rows; their partitions have been loaded.

    Yields:
        The judgement; its temporary tables are dropped when the block ends.
    """
    try:
        with one_state(step.lake):
            with span("judge", partitions=scope.partitions):
                condition = _condition(step, scope)
                find_verdicts(step, condition)
                _judge_across(step, scope.partitions, condition)
                if step.dataset.history:
                    note_rejected(step, VERDICTS, REJECTED)
                if step.dataset.has_versions:
                    versions.find_superseded(step, condition)
                else:
                    _find_copies(step, condition)
            counts = _count(step, scope, condition)
        yield Judgement(
            step=step,
            scope=scope,
            counts=counts,
            raw_columns=[name for name in raw_columns(step) if name not in PLATFORM_COLUMNS],
            condition=condition,
        )
    finally:
        for name in (VERDICTS, COPIES, REJECTED, RELATED, DECIDED, RANKED, MARKS, CARRIED):
            step.lake.execute(f"DROP TABLE IF EXISTS {name}")


def _count(step: Step, scope: Scope, condition: str) -> dict[str, Counts]:
    """What was found, by partition."""
    table, partitions = tables.raw_table(step.dataset.name), scope.partitions
    extracted = (
        count_rows(step.lake, table, partitions)
        if scope.since is None
        else dict.fromkeys(partitions, 0)
        | _by_partition(
            step, f"SELECT _partition, count(*) FROM {table} WHERE {condition} GROUP BY 1"
        )
    )
    rejected = _by_partition(
        step, f"SELECT _partition, count(*) FROM {VERDICTS} WHERE _rejected GROUP BY 1"
    )
    copies = _by_partition(step, f"SELECT _partition, count(*) FROM {COPIES} GROUP BY 1")
    broken: dict[str, dict[str, int]] = {}
    for key, rule, rows in step.lake.execute(
        f"SELECT _partition, rule, count(*) FROM (SELECT _partition, unnest(_broken) AS rule "
        f"FROM {VERDICTS}) GROUP BY ALL ORDER BY ALL"
    ).fetchall():
        broken.setdefault(str(key), {})[str(rule)] = int(rows)
    return {
        key: Counts(extracted[key], rejected.get(key, 0), copies.get(key, 0), broken.get(key, {}))
        for key in partitions
    }


def _condition(step: Step, scope: Scope) -> str:
    """SQL that picks the rows to judge.

    Of versions, the newest of a key decides wherever it lies: with a partition, the rows of its
    keys in other partitions are judged too.
    """
    picked = in_partitions(scope.partitions)
    if not step.dataset.has_versions:
        return picked
    if scope.since is not None:
        return f"{LOAD_COLUMN} > {scope.since}"
    compiled = step.dataset.compiled
    if not compiled.key:
        return picked
    table, key = step.raw_rows, versions.key_sql(step)
    step.lake.execute(
        f"CREATE OR REPLACE TEMP TABLE {RELATED} AS SELECT rowid AS _rowid FROM {table} "
        f"WHERE NOT {picked} AND hash({key}) IN (SELECT hash({key}) FROM {table} WHERE {picked})"
    )
    return f"({picked} OR rowid IN (SELECT _rowid FROM {RELATED}))"


def row_key(step: Step, prefix: str = "") -> str:
    """SQL of a raw row's key as one text; NULL where the contract has none."""
    compiled = step.dataset.compiled
    keys = [prefix + quote_identifier(compiled.column(name).source) for name in compiled.key]
    return f"nullif(concat_ws(' ', {', '.join(keys)}), '')" if keys else "CAST(NULL AS VARCHAR)"


def _by_partition(step: Step, query: str) -> dict[str, int]:
    return {str(key): int(rows) for key, rows in step.lake.execute(query).fetchall()}


def _judged(step: Step, condition: str) -> str:
    table = step.raw_rows
    if step.dataset.has_versions:
        # A delete tells which row is gone, and need not hold more of it than the key.
        condition += f" AND {OP_COLUMN} <> {quote_literal(DELETED)}"
    return step.dataset.compiled.judge_sql(
        f"(SELECT *, rowid AS _row_id FROM {table} WHERE {condition})",
        passthrough=("_row_id", PARTITION_COLUMN),
        partition_column=PARTITION_COLUMN,
        reference_relation=tables.cleaned_table,
        source_types=source_types(step),
    )


def find_verdicts(step: Step, condition: str, into: str = VERDICTS) -> None:
    """Keep the verdicts on rows that break something.

    Args:
        step: What to work on and with.
        condition: SQL that picks the rows of the raw table.
        into: The temporary table to make.
    """
    _judge_rules(step, condition, into)
    _judge_python(step, condition, into)


def note_rejected(step: Step, verdicts: str, into: str) -> None:
    """Note which rows are rejected, before those that are superseded no longer are.

    Args:
        step: What to work on and with.
        verdicts: The temporary table of the verdicts.
        into: The temporary table to make.
    """
    step.lake.execute(
        f"CREATE OR REPLACE TEMP TABLE {into} AS SELECT _rowid FROM {verdicts} WHERE _rejected"
    )


def _judge_rules(step: Step, condition: str, into: str) -> None:
    """Keep the verdicts on rows that break something.

    ``unnest`` of nothing is no row: a WHERE would be pushed below the query by the optimizer, and
    every rule evaluated twice.
    """
    step.lake.execute(
        f"CREATE OR REPLACE TEMP TABLE {into} AS "
        f"SELECT _row_id AS _rowid, {PARTITION_COLUMN}, _rejected, "
        "unnest(CASE WHEN _broken IS NOT NULL THEN [_broken] END) AS _broken "
        f"FROM ({_judged(step, condition)})"
    )


def _judge_python(step: Step, condition: str, into: str) -> None:
    """Add the verdicts of checks written in Python, run by pandera over bounded batches."""
    compiled = step.dataset.compiled
    if not compiled.python_rules:
        return
    found: list[pa.Table] = []
    reader = step.lake.execute(_judged(step, condition)).to_arrow_reader(PYTHON_BATCH_ROWS)
    for batch in reader:
        verdicts = compiled.judge_batch(batch)
        rows = pa.table({name: batch.column(name) for name in ("_row_id", PARTITION_COLUMN)})
        found.append(
            rows.take(verdicts.column("_position")).append_column("rule", verdicts.column("rule"))
        )
    if not any(part.num_rows for part in found):
        return
    blocking = " OR ".join(
        f"rule = {quote_literal(r.name)}" for r in compiled.python_rules if r.severity == "error"
    )
    step.lake.register("_python_verdicts", pa.concat_tables(found))
    try:
        step.lake.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE {into} AS
            SELECT _rowid, any_value({PARTITION_COLUMN}) AS {PARTITION_COLUMN},
                   flatten(list(_broken ORDER BY source)) AS _broken,
                   bool_or(_rejected) AS _rejected
            FROM (
                SELECT *, 0 AS source FROM {into}
                UNION ALL BY NAME
                SELECT _row_id AS _rowid, {PARTITION_COLUMN}, [rule] AS _broken,
                       {blocking or "false"} AS _rejected, 1 AS source
                FROM _python_verdicts
            ) GROUP BY _rowid
            """
        )
    finally:
        step.lake.unregister("_python_verdicts")


def _judge_across(step: Step, partitions: Sequence[str], condition: str) -> None:
    """Add the verdicts on rows that repeat a value of another partition."""
    rule = across.rule_of(step.dataset)
    if rule is not None:
        good = f"rowid NOT IN (SELECT _rowid FROM {VERDICTS} WHERE _rejected)"
        across.find_taken(step, rule, partitions, typed_rows(step, f"{condition} AND {good}"))


def typed_rows(step: Step, condition: str) -> str:
    """A SELECT of judged raw rows, typed, by the contract's names; a WHERE can be carried on."""
    compiled = step.dataset.compiled
    types = source_types(step)
    casts = ", ".join(
        compiled.cast_sql(column, judged=True, source_types=types)
        + f" AS {quote_identifier(column.name)}"
        for column in compiled.columns
    )
    return (
        f"SELECT {casts}, {PARTITION_COLUMN}, {FILE_COLUMN}, rowid AS _rowid "
        f"FROM {step.raw_rows} WHERE {condition}"
    )


def _find_copies(step: Step, where: str) -> None:
    """Note the good rows whose key a newer good row of the partition has.

    First the keys that repeat at all are found, by a hash of 8 bytes that groups faster than the
    text of a key; only their rows, and those of the rare key with the same hash, are cast and
    ranked.
    """
    compiled = step.dataset.compiled
    if not compiled.key:
        step.lake.execute(
            f"CREATE OR REPLACE TEMP TABLE {COPIES} (_rowid BIGINT, {PARTITION_COLUMN} VARCHAR)"
        )
        return
    table = step.raw_rows
    types = source_types(step)
    key = ", ".join(compiled.cast_sql(name, source_types=types) for name in compiled.key)
    cursor = compiled.cast_sql(compiled.cursor, source_types=types) if compiled.cursor else "NULL"
    step.lake.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE {COPIES} AS
        SELECT rowid AS _rowid, {PARTITION_COLUMN}
        FROM {table}
        WHERE {where}
          AND hash({PARTITION_COLUMN}, {key}) IN (
              SELECT hash({PARTITION_COLUMN}, {key}) AS hashed FROM {table} WHERE {where}
              GROUP BY hashed HAVING count(*) > 1)
          AND rowid NOT IN (SELECT _rowid FROM {VERDICTS} WHERE _rejected)
        QUALIFY row_number() OVER (
            PARTITION BY {PARTITION_COLUMN}, {key} ORDER BY {cursor} DESC NULLS LAST, rowid DESC
        ) > 1
        """
    )
