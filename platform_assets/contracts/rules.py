"""The rules of a contract: what each is called, what it says and what breaks it.

Belongs here: `Rule`, and the rules that follow from columns, checks and `Config.unique`.
Does not belong here: the query that applies them (`judge.py`), or running Python.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from pandera.api.checks import Check
from pandera.pandas import DataFrameSchema

from platform_assets.contracts.checks import SHORT_NAMES, compile_check
from platform_assets.contracts.columns import Column, Place
from platform_assets.contracts.comparisons import comparison_of
from platform_assets.contracts.fields import Severity
from platform_assets.sql import quote_identifier

Kind = Literal["cast", "not_null", "check", "unique", "reference", "python", "unique_across"]

_NAME = re.compile(r"[A-Za-z0-9_]+")


@dataclass(frozen=True)
class Rule:
    """One thing that a contract demands of a row."""

    name: str
    columns: tuple[str, ...]
    severity: Severity
    kind: Kind
    description: str
    violation: str | None = None
    """SQL over the typed columns and `text_column` of each; true for a row that breaks the rule,
    else false or NULL. None for rules that need more than a row, and those in Python."""
    references: tuple[str, str] | None = None
    check: Check | None = field(default=None, compare=False, repr=False)

    @property
    def broken(self) -> str | None:
        """`violation` as an expression that is never NULL."""
        return None if self.violation is None else f"coalesce({self.violation}, false)"


def strictest(severities: Sequence[Severity]) -> Severity:
    """The severity of a rule of several columns: the strictest of theirs; error for none."""
    return next((s for s in get_args(Severity) if s in severities), "error")


def text_column(column: str) -> str:
    """Name the text that a typed column came from, inside the judging query.

    Args:
        column: The contract's name of the column.

    Returns:
        A name that no contract can declare.
    """
    return f"__text_{column}"


def build_rules(
    place: Place,
    columns: tuple[Column, ...],
    schema: DataFrameSchema,
    unique_across: tuple[str, ...] = (),
) -> tuple[Rule, ...]:
    """List the rules of a contract: of rows first, then unique ones, then those in Python.

    Args:
        place: The contract, for errors.
        columns: Its columns.
        schema: pandera's schema of it.
        unique_across: Columns that together have no value in two partitions.

    Returns:
        The rules; their order is the order in which a verdict lists them.

    Raises:
        ContractError: A check cannot be compiled, or two rules have one name.
    """
    by_name = {c.name: c for c in columns}
    keys = {c.name for c in columns if c.key}
    found = [r for c in columns for r in _of_column(place, c, schema.columns[c.name].checks)]
    found += _uniques(place, by_name, keys, schema)
    found += [_of_rows(place, by_name, check) for check in schema.checks]
    found += _across(place, by_name, unique_across)
    order = {"unique": 1, "python": 2, "unique_across": 3}
    rules = tuple(sorted(found, key=lambda r: order.get(r.kind, 0)))
    for name, count in Counter(r.name for r in rules).items():
        if count > 1:
            raise place.error(
                "Two rules have one name.",
                expected="a name of its own for each",
                found=name,
                fix="Rename a column or a check.",
            )
    return rules


def _of_column(place: Place, column: Column, checks: list[Check]) -> Iterator[Rule]:
    here = Place(place.contract, place.dataset, column.name)
    name, text = quote_identifier(column.name), quote_identifier(text_column(column.name))
    is_text = column.type.python is str
    if not is_text:
        yield Rule(
            f"{column.name}__castable",
            (column.name,),
            column.severity,
            "cast",
            f"{column.name} can be read as {column.sql_type}",
            f"({name} IS NULL AND {text} IS NOT NULL)",
        )
    if not column.nullable:
        yield Rule(
            f"{column.name}__not_null",
            (column.name,),
            column.severity,
            "not_null",
            f"{column.name} is not null",
            f"({name if is_text else text} IS NULL)",
        )
    for check in checks:
        yield _of_check(here, column, check)
    if column.references is not None:
        dataset, other = column.references
        yield Rule(
            f"{column.name}__references_{dataset}",
            (column.name,),
            column.severity,
            "reference",
            f"{column.name} is found in {dataset}.{other}",
            references=column.references,
        )


def _of_check(place: Place, column: Column, check: Check) -> Rule:
    if check.registry_name not in SHORT_NAMES or check.element_wise:
        return _python(place, column, check)
    if not check.ignore_na:
        raise place.error(
            "A built-in check always ignores nulls.",
            expected="ignore_na=True",
            found="ignore_na=False",
            fix="Remove ignore_na; to refuse nulls, leave the column not nullable.",
        )
    compiled = compile_check(place, column, check)
    return Rule(
        f"{column.name}__{SHORT_NAMES[str(check.registry_name)]}",
        (column.name,),
        _severity(check, column.severity),
        "check" if compiled.violation is not None else "python",
        compiled.description,
        compiled.violation,
        check=None if compiled.violation is not None else check,
    )


def _of_rows(place: Place, columns: dict[str, Column], check: Check) -> Rule:
    """A check of whole rows: a comparison of two columns is SQL, all others are Python's."""
    comparison = comparison_of(check)
    if comparison is None:
        return _python(place, None, check)
    comparison.examine(place, columns)
    both = (comparison.left, comparison.right)
    return Rule(
        str(check.name),
        both,
        comparison.severity or strictest([columns[name].severity for name in both]),
        "check",
        comparison.said,
        comparison.violation,
    )


def _severity(check: Check, of_column: Severity) -> Severity:
    return "warn" if check.raise_warning and of_column == "error" else of_column


def _python(place: Place, column: Column | None, check: Check) -> Rule:
    called = str(check.name)
    if not _NAME.fullmatch(called):
        raise place.error(
            "A check needs a name that can name a rule.",
            expected="ASCII letters, digits and underscores",
            found=called,
            fix='Make it a function with a name, or pass name="...".',
        )
    if check.groupby is not None or check.registry_name == "unique_values_eq":
        raise place.error(
            "A check must judge row by row.",
            expected="one bool for each row",
            found=f"{called}, which judges groups of rows",
            fix="Make it an aggregate's test, or write a check of single rows.",
        )
    severity: Severity = column.severity if column else "error"
    said = " ".join((check.description or "").split())
    shown = ", ".join(f"{k}={v!r}" for k, v in (check.statistics or {}).items())
    subject = column.name if column else "row"
    return Rule(
        f"{column.name}__{called}" if column else called,
        (column.name,) if column else (),
        _severity(check, severity),
        "python",
        said or f"{subject} passes {called}({shown})",
        check=check,
    )


def _across(place: Place, columns: dict[str, Column], names: tuple[str, ...]) -> Iterator[Rule]:
    """The rule that a value is in one partition alone."""
    if not names:
        return
    unfit = [n for n in names if n not in columns or columns[n].pii in ("mask", "drop")]
    if unfit or len(set(names)) < len(names):
        fit = [n for n, column in columns.items() if column.pii not in ("mask", "drop")]
        raise place.error(
            "unique_across does not name columns whose values can be told apart when published.",
            expected=f"a tuple of different names out of {', '.join(fit)}",
            found=repr(names),
            fix='Correct unique_across; one column is written with a comma: ("order_id",).',
        )
    yield Rule(
        "__".join(("unique_across", *names)),
        names,
        strictest([columns[name].severity for name in names]),
        "unique_across",
        f"({', '.join(names)}) is in no other partition",
    )


def _uniques(
    place: Place, columns: dict[str, Column], keys: set[str], schema: DataFrameSchema
) -> Iterator[Rule]:
    """List the unique rules that a row can break.

    Columns that include the whole key have none: two rows with one key are two versions of one
    row, of which deduplication keeps the newer.
    """
    for name, column in columns.items():
        if schema.columns[name].unique and not (keys and keys <= {name}):
            yield Rule(f"{name}__unique", (name,), column.severity, "unique", f"{name} is unique")
    group = tuple([schema.unique] if isinstance(schema.unique, str) else schema.unique or ())
    if not group:
        return
    unknown = [n for n in group if not isinstance(n, str) or n not in columns]
    if unknown or len(set(group)) < len(group):
        raise place.error(
            "Config.unique does not name columns of the contract.",
            expected=f"a list of different names out of {', '.join(columns)}",
            found=repr(list(group)),
            fix="Correct Config.unique.",
        )
    if not (keys and keys <= set(group)):
        severity = strictest([columns[name].severity for name in group])
        yield Rule(
            "__".join(("unique", *group)),
            group,
            severity,
            "unique",
            f"({', '.join(group)}) is unique",
        )
