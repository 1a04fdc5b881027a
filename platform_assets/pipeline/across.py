"""Uniqueness across partitions: rows whose value stands in another partition already.

Belongs here: finding them among the rows that are otherwise good, and noting it in the verdicts.
Does not belong here: the rule's declaration (``Dataset.unique_across``), and other verdicts.

A value belongs to the partition that published it first; of several that are published together, to
the first of them. So no value stands in two partitions, whatever the order in which they come, as
long as the rule is an error. Rows of a lower severity are published, and only the later is told of.
"""

from __future__ import annotations

from collections.abc import Sequence

from platform_assets.contracts import Rule
from platform_assets.contracts.pii import pii_sql
from platform_assets.dataset import Dataset
from platform_assets.pipeline.steps import Step
from platform_assets.pipeline.temporary import HOLDERS, VALUES, VERDICTS
from platform_assets.provenance import PARTITION_COLUMN
from platform_assets.sql import quote_identifier, quote_literal
from platform_assets.warehouse import tables
from platform_assets.warehouse.publish import in_partitions


def rule_of(dataset: Dataset) -> Rule | None:
    """The dataset's rule of this kind; None: it has none."""
    return next((r for r in dataset.compiled.rules if r.kind == "unique_across"), None)


def find_taken(step: Step, rule: Rule, partitions: Sequence[str], good: str) -> None:
    """Add to the verdicts the rows whose value another partition has.

    Args:
        step: What to work on and with, in a transaction; the other rules' verdicts are there.
        rule: The rule.
        partitions: The partitions that are judged together.
        good: A SELECT of their rows that no other rule rejects, typed, with ``_rowid``.
    """
    _note_values(step, rule, good)
    _note_holders(step, rule, partitions)
    _add_verdicts(step, rule)
    # Where one of these fails, the transaction that judges is rolled back, and the tables with it.
    for name in (VALUES, HOLDERS):
        step.lake.execute(f"DROP TABLE {name}")


def _names(rule: Rule) -> list[str]:
    return [quote_identifier(name) for name in rule.columns]


def _note_values(step: Step, rule: Rule, good: str) -> None:
    """The values of the good rows, as they would be published; a null is no value."""
    compiled = step.dataset.compiled
    values = ", ".join(
        f"{pii_sql(compiled.column(name))} AS {quote_identifier(name)}" for name in rule.columns
    )
    known = " AND ".join(f"{name} IS NOT NULL" for name in _names(rule))
    step.lake.execute(
        f"CREATE OR REPLACE TEMP TABLE {VALUES} AS "
        f"SELECT {values}, {PARTITION_COLUMN}, _rowid "
        f"FROM ({good}) WHERE {known}"
    )


def _note_holders(step: Step, rule: Rule, partitions: Sequence[str]) -> None:
    """The partition that holds each value, where that can be another one than the row's.

    Published rows are asked for between the first and the last value: known when the statement is
    planned, they leave out the files that cannot hold any, so that a day more does not cost more
    with each year before it.
    """
    listed, first = ", ".join(_names(rule)), _names(rule)[0]
    value = f"row({listed})" if len(rule.columns) > 1 else listed
    for variable, bound in (("first_value", "min"), ("last_value", "max")):
        step.lake.execute(f"SET VARIABLE {variable} = (SELECT {bound}({first}) FROM {VALUES})")
    step.lake.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE {HOLDERS} AS
        SELECT {listed}, {PARTITION_COLUMN} AS holder
        FROM {tables.cleaned_table(step.dataset.name)}
        WHERE {first} BETWEEN getvariable('first_value') AND getvariable('last_value')
          AND NOT {in_partitions(partitions)}
          AND {value} IN (SELECT {value} FROM {VALUES})
        UNION ALL
        SELECT {listed}, min({PARTITION_COLUMN}) FROM {VALUES}
        GROUP BY {listed} HAVING min({PARTITION_COLUMN}) <> max({PARTITION_COLUMN})
        """
    )


def _add_verdicts(step: Step, rule: Rule) -> None:
    blocking = rule.severity == "error"
    # What is published all the same is told of once, at the later of the two.
    another = "<>" if blocking else "<"
    same = " AND ".join(f"h.{name} = v.{name}" for name in _names(rule))
    step.lake.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE {VERDICTS} AS
        SELECT _rowid, any_value({PARTITION_COLUMN}) AS {PARTITION_COLUMN},
               flatten(list(_broken ORDER BY source)) AS _broken,
               bool_or(_rejected) AS _rejected
        FROM (
            SELECT *, 0 AS source FROM {VERDICTS}
            UNION ALL BY NAME
            SELECT _rowid, {PARTITION_COLUMN}, [{quote_literal(rule.name)}] AS _broken,
                   {str(blocking).lower()} AS _rejected, 1 AS source
            FROM {VALUES} AS v
            WHERE EXISTS (SELECT 1 FROM {HOLDERS} AS h
                          WHERE {same} AND h.holder {another} v.{PARTITION_COLUMN})
        ) GROUP BY _rowid
        """
    )
