"""From a contract to everything that follows from it: DDL, casts, rules, verdicts, pages.

Belongs here: `CompiledContract`, which is what the rest of the platform works with, and its
version. Does not belong here: how any of it is done; each method hands on to one module.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any, Literal

import pandas as pd
import pyarrow as pa
from pandera.errors import SchemaInitError

from platform_assets.contracts import docs, judge, pii, python_rules
from platform_assets.contracts.casts import TEXT, cast
from platform_assets.contracts.columns import Column, Place, describe_columns
from platform_assets.contracts.fields import Severity
from platform_assets.contracts.model import Contract
from platform_assets.contracts.policies import with_severities
from platform_assets.contracts.rules import Rule, build_rules
from platform_assets.errors import ContractError
from platform_assets.sql import quote_identifier as q

Layer = Literal["raw", "cleaned"]
SourceTypes = Mapping[str, str]
"""The engine's type of each of the source's columns, by lower-case name; the others are text."""
ALL_TEXT: SourceTypes = {}


@dataclass(frozen=True)
class CompiledContract:
    """One dataset's contract, compiled: what the engine needs to keep it.

    `_broken` of a verdict is NULL for a row that breaks nothing, else the names of all broken
    rules, warnings included, in the order of `rules`.
    """

    dataset: str
    contract_name: str
    description: str
    version: str
    columns: tuple[Column, ...]
    rules: tuple[Rule, ...]
    contract: type[Contract] = field(compare=False, repr=False)

    @cached_property
    def python_rules(self) -> tuple[Rule, ...]:
        """The rules that `judge_sql` leaves to `judge_batch`."""
        return tuple(r for r in self.rules if r.kind == "python")

    @cached_property
    def key(self) -> tuple[str, ...]:
        """Names of the columns that identify a row; empty where the contract has no key."""
        return tuple(c.name for c in self.columns if c.key)

    @cached_property
    def event_time(self) -> Column | None:
        """The column that says when what a row tells of happened."""
        return next((c for c in self.columns if c.event_time), None)

    @cached_property
    def cursor(self) -> Column | None:
        """The column by which the newest of two rows with one key wins."""
        return next((c for c in self.columns if c.cursor), None)

    @cached_property
    def published_columns(self) -> tuple[tuple[str, str], ...]:
        """Name and SQL type of each column of the cleaned table."""
        typed = ((c.name, pii.published_type(c)) for c in self.columns)
        return tuple((name, sql) for name, sql in typed if sql is not None)

    @cached_property
    def shown_columns(self) -> frozenset[str]:
        """The source's columns whose values are not personal; any that is not here may be."""
        return frozenset(c.source for c in self.columns if c.pii is None)

    def column(self, name: str) -> Column:
        """Find a column.

        Args:
            name: The contract's name of it.

        Returns:
            The column.

        Raises:
            ContractError: The contract has no such column.
        """
        for column in self.columns:
            if column.name == name:
                return column
        raise self._place.error(
            "The contract has no such column.",
            expected=f"one of {', '.join(c.name for c in self.columns)}",
            found=name,
            fix="Correct the name.",
        )

    def ddl(
        self,
        table: str,
        layer: Layer,
        extra: Sequence[tuple[str, str]] = (),
        source_types: SourceTypes = ALL_TEXT,
    ) -> str:
        """Write the statement that creates a table.

        Args:
            table: The table, quoted by the caller where it needs to be.
            layer: "raw" (the source's columns) or "cleaned" (what is published).
            extra: Name and SQL type of further columns, such as provenance.
            source_types: Types of the source's columns that are not text.

        Returns:
            A CREATE TABLE IF NOT EXISTS statement.

        Raises:
            ContractError: An extra column has the name of one of the contract's.
        """
        if layer == "raw":
            own = [(c.source, source_types.get(c.source.lower(), TEXT)) for c in self.columns]
        else:
            own = list(self.published_columns)
        taken = {name.lower() for name, _ in own}
        clash = [name for name, _ in extra if name.lower() in taken]
        if clash:
            raise self._place.error(
                "An extra column has the name of one of the contract's.",
                expected="names of its own, such as those with a leading underscore",
                found=", ".join(clash),
                fix="Rename the extra column.",
            )
        columns = ", ".join(f"{q(name)} {sql_type}" for name, sql_type in [*own, *extra])
        return f"CREATE TABLE IF NOT EXISTS {table} ({columns})"

    def cast_sql(
        self,
        column: Column | str,
        alias: str = "",
        *,
        judged: bool = False,
        source_types: SourceTypes = ALL_TEXT,
    ) -> str:
        """Write the cast of a source's column as one expression.

        Args:
            column: The column, or its name in the contract.
            alias: Alias of the relation that holds the source's values.
            judged: Whether it is used only of rows that were judged and not rejected, which
                allows a cheaper cast of the same value.
            source_types: Types of the source's columns that are not text.

        Returns:
            SQL that gives the typed value, or NULL where the source's cannot be read as one.

        Raises:
            ContractError: The contract has no such column.
        """
        found = self.column(column) if isinstance(column, str) else column
        text = (f"{q(alias)}." if alias else "") + q(found.source)
        whole = cast(text, found.type, found.format, source_types.get(found.source.lower(), TEXT))
        return whole.trusted if judged and self._is_castable(found) else whole.sql

    def _is_castable(self, column: Column) -> bool:
        """Whether a row that was not rejected can be cast: a warning lets any text through."""
        casts = (r for r in self.rules if r.kind == "cast" and r.columns == (column.name,))
        return all(rule.severity == "error" for rule in casts)

    def judge_sql(
        self,
        text_relation: str,
        *,
        passthrough: Sequence[str] = (),
        partition_column: str | None = None,
        reference_relation: Callable[[str], str] | None = None,
        source_types: SourceTypes = ALL_TEXT,
    ) -> str:
        """Write the query that types and judges rows, in one scan.

        Keep its result in a table before filtering it: a filter above this query would be
        pushed below it by the optimizer, and evaluate the rules twice.

        Args:
            text_relation: A table, or a subquery in brackets, with the source's columns.
            passthrough: Further columns of it to keep.
            partition_column: Column of the contract or of passthrough within which unique
                rules hold; None for the whole relation.
            reference_relation: Gives the relation that holds a dataset's published rows.
            source_types: Types of the source's columns that are not text.

        Returns:
            A SELECT of the typed columns, passthrough, `_broken VARCHAR[]` (NULL where nothing
            is broken) and `_rejected BOOLEAN` (any rule of severity error is broken).

        Raises:
            ContractError: The passthrough, partition or reference relation does not fit.
        """
        request = judge.Request(
            text_relation, passthrough, partition_column, reference_relation, source_types
        )
        return judge.judge_sql(self._place, self.columns, self.rules, request)

    def judge_batch(self, batch: pa.Table | pa.RecordBatch) -> pa.Table:
        """Run the Python rules over a batch of typed rows.

        Args:
            batch: Rows of `judge_sql`, as Arrow.

        Returns:
            `_position` (row of the batch) and `rule`, one row for each rule that a row breaks.

        Raises:
            ContractError: A check raised, or did not answer row by row.
        """
        return python_rules.judge_batch(self._place, self.columns, self.python_rules, batch)

    def to_frame(self, batch: pa.Table | pa.RecordBatch) -> pd.DataFrame:
        """Turn typed Arrow rows into a frame that the contract itself can validate.

        Args:
            batch: Rows of `judge_sql`, as Arrow.

        Returns:
            The contract's columns in its pandas types.
        """
        return python_rules.to_frame(self.columns, batch)

    def pii_sql(self, column: Column | str, alias: str = "") -> str:
        """Write the cleaned value of a typed column; see `pii.py` for the key.

        Args:
            column: The column, or its name.
            alias: Alias of the relation of typed rows.

        Returns:
            An SQL expression.

        Raises:
            ContractError: The contract has no such column.
            ValueError: The column is dropped.
        """
        return pii.pii_sql(self.column(column) if isinstance(column, str) else column, alias)

    def publish_select(self, typed_relation: str, passthrough: Sequence[str] = ()) -> str:
        """Write the query from typed rows to published ones, personal values made safe.

        Args:
            typed_relation: A table, or a subquery in brackets, of typed columns.
            passthrough: Further columns of it to keep.

        Returns:
            A SELECT of `published_columns` and passthrough.
        """
        own = [f"{pii.pii_sql(c)} AS {q(c.name)}" for c in self.columns if c.pii != "drop"]
        listed = ", ".join([*own, *(q(p) for p in passthrough)])
        return f"SELECT {listed} FROM {typed_relation}"

    def markdown(self) -> str:
        """Write the contract's page.

        Returns:
            Markdown.
        """
        return docs.markdown(
            self.dataset,
            self.contract_name,
            self.description,
            self.version,
            self.columns,
            self.rules,
        )

    @cached_property
    def _place(self) -> Place:
        return Place(self.contract_name, self.dataset)


@cache
def compile_contract(
    contract: type[Contract],
    dataset: str,
    severities: tuple[tuple[str, Severity], ...] = (),
    unique_across: tuple[str, ...] = (),
) -> CompiledContract:
    """Compile a contract; the result is cached.

    Args:
        contract: A subclass of `Contract`.
        dataset: Name of the dataset that it describes.
        severities: What the dataset's policies give to single rules instead of their columns'.
        unique_across: Columns that together have no value in two partitions.

    Returns:
        The compiled contract.

    Raises:
        ContractError: The contract cannot be compiled exactly.
    """
    place = Place(contract.__name__, dataset)
    columns = describe_columns(contract, dataset)
    try:
        schema = contract.to_schema()
    except ContractError:
        raise
    except (SchemaInitError, TypeError, ValueError, AttributeError) as error:
        raise place.error(
            "pandera cannot build the contract.",
            expected="checks and Config options that pandera knows",
            found=f"{type(error).__name__}: {error}",
            fix="Correct what the message names.",
        ) from error
    if schema.parsers or any(c.parsers for c in schema.columns.values()):
        raise place.error(
            "A contract describes rows and does not change them.",
            expected="no @parser and no @dataframe_parser",
            found="a parser",
            fix="Change the rows in the source's SQL or after the cleaned layer.",
        )
    rules = with_severities(build_rules(place, columns, schema, unique_across), severities)
    description = inspect.cleandoc(contract.__doc__ or "")
    return CompiledContract(
        dataset=dataset,
        contract_name=contract.__name__,
        description=description,
        version=_version(columns, rules),
        columns=columns,
        rules=rules,
        contract=contract,
    )


def _version(columns: tuple[Column, ...], rules: tuple[Rule, ...]) -> str:
    """Name what the contract demands: anything that changes a verdict or a table changes it.

    The dataset's name, the class's name and the texts for people are not part of it.
    """
    told = "name source sql_type nullable key event_time cursor severity pii references format"
    demanded = "name columns severity kind violation references"
    described: list[Any] = [
        [[getattr(c, option) for option in told.split()] for c in columns],
        [[getattr(r, part) for part in demanded.split()] for r in rules],
        [check_source(r) for r in rules if r.check is not None],
    ]
    former = {c.name: c.former for c in columns if c.former}
    if former:
        described.append(former)
    canonical = json.dumps(described, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("utf-8", "backslashreplace")).hexdigest()[:12]


def check_source(rule: Rule) -> list[str]:
    """Describe what a Python check does: its source and its arguments."""
    check = rule.check
    assert check is not None
    function = check._check_fn
    # pandera wraps a method of the model; the user's own function is in the wrapper's closure.
    closure = inspect.getclosurevars(function).nonlocals if inspect.isfunction(function) else {}
    function = getattr(closure.get("self"), "check_fn", function)
    try:
        text = inspect.getsource(function)
    except (OSError, TypeError):
        code = getattr(function, "__code__", None)
        text = f"{code.co_code.hex()} {code.co_consts!r}" if code else type(function).__name__
    arguments = sorted((check.statistics or {}).items())
    return [text, repr(arguments), str(check.ignore_na), str(check.element_wise)]
