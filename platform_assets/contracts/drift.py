"""What has changed at a source since it was last read, and what follows from it by policy.

Belongs here: the policy, and the comparison of two schemas with a contract. Does not belong here:
reading a schema (``sources``), remembering one (``warehouse``), or acting on it (``pipeline``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Literal, Protocol, get_args

from platform_assets.contracts.columns import Column
from platform_assets.contracts.widening import holding
from platform_assets.errors import ContractError

Kind = Literal["added", "removed", "renamed", "type_changed", "not_null_added", "not_null_dropped"]
Decision = Literal["kept", "filled", "cast", "widened", "mapped", "blocked"]
Added = Literal["keep", "block"]
Removed = Literal["block", "fill"]
TypeChanged = Literal["cast", "block"]

# Names less alike than this are two columns: `email` and `email_address` are 0.56 alike.
ALIKE = 0.5


class SchemaColumn(Protocol):
    """One column as a source tells it: ``sources.base.SourceColumn`` is one."""

    @property
    def name(self) -> str:
        """Its name there."""
        ...

    @property
    def sql_type(self) -> str:
        """The engine's type of its values."""
        ...

    @property
    def nullable(self) -> bool | None:
        """Whether the source allows null; None: it does not say."""
        ...


@dataclass(frozen=True)
class DriftPolicy:
    """What a dataset does about each kind of change at its source.

    Attributes:
        added: A column that was not there before: ``keep`` it in the raw table, or ``block``.
        removed: A column of the contract that is gone: ``block``, or ``fill`` it with null where
            the contract allows null.
        type_changed: Values of another type that the raw column cannot hold exactly: ``cast``
            keeps them by their text and lets the contract judge it, or ``block``.
        not_null: For a column that the contract wants and the source does not have, and that must
            not be null: ``block``, or its value by the contract's name of the column.

    Raises:
        ContractError: A policy is unknown.
    """

    added: Added = "keep"
    removed: Removed = "block"
    type_changed: TypeChanged = "cast"
    not_null: Literal["block"] | Mapping[str, str] = "block"

    def __post_init__(self) -> None:
        """Refuse what is not a policy, where it is written."""
        for name, allowed in (
            ("added", get_args(Added)),
            ("removed", get_args(Removed)),
            ("type_changed", get_args(TypeChanged)),
        ):
            if getattr(self, name) not in allowed:
                raise _unknown(name, " or ".join(map(repr, allowed)), repr(getattr(self, name)))
        values = self.not_null
        if values == "block":
            return
        if not isinstance(values, Mapping):
            raise _unknown("not_null", "'block' or {column: value}", repr(values))
        wrong = [key for key, value in dict[str, object](values).items() if type(value) is not str]
        if wrong:
            raise _unknown(
                "not_null", "each value as text, as a file would hold it", f"other in {wrong}"
            )

    def default(self, column: Column) -> str | None:
        """What a column that the source lacks is filled with; None: nothing was agreed."""
        if column.nullable or isinstance(self.not_null, str):
            return None
        return self.not_null.get(column.name)

    def examine(self, dataset: str, columns: Iterable[Column]) -> None:
        """Refuse a default for a column that cannot have one.

        Args:
            dataset: The dataset's name, for the message.
            columns: The contract's columns.

        Raises:
            ContractError: The contract has no such column, or it may be null.
        """
        if isinstance(self.not_null, str):
            return
        able = [column.name for column in columns if not column.nullable]
        wrong = [name for name in self.not_null if name not in able]
        if wrong:
            raise ContractError(
                "A default is given for a column that cannot have one",
                where=f"dataset {dataset}, DriftPolicy.not_null",
                expected=f"columns that must not be null: {', '.join(able) or 'there is none'}",
                found=", ".join(wrong),
                fix="correct the name, or use removed='fill' for a column that may be null",
            )


def _unknown(name: str, expected: str, found: str) -> ContractError:
    return ContractError(
        "A drift policy is unknown",
        where=f"DriftPolicy({name}=…)",
        expected=expected,
        found=found,
        fix=f"correct {name}=",
    )


@dataclass(frozen=True)
class Change:
    """One column that is not as it was.

    Attributes:
        kind: What happened to it.
        column: The source's present name of it, or the last one where it is gone.
        before: Its name, type or nullability before; empty: it was not there.
        after: The same now; empty: it is gone.
        decision: What is done about it.
        text: One sentence for a person, with the fix.
    """

    kind: Kind
    column: str
    before: str
    after: str
    decision: Decision
    text: str


@dataclass(frozen=True)
class Drift:
    """All that has changed between two schemas of a source."""

    changes: tuple[Change, ...] = field(default=())

    @property
    def blocked(self) -> tuple[Change, ...]:
        """The changes that keep rows from being loaded."""
        return tuple(each for each in self.changes if each.decision == "blocked")


def compare(
    known: Sequence[SchemaColumn] | None,
    found: Sequence[SchemaColumn],
    columns: Sequence[Column],
    policy: DriftPolicy,
) -> Drift:
    """What has changed at a source, and what is done about it.

    A column that the contract wants and cannot have blocks every time; what else has changed is
    told once, when it is first found.

    Args:
        known: The source's columns as last accepted; None: it was never read.
        found: Its columns now; names that differ by case are one.
        columns: The contract's columns.
        policy: The dataset's policy.

    Returns:
        One change per column that is not as it was, those of the contract first.
    """
    return Drift(tuple(_Comparison(known, found, policy).run(columns)))


class _Comparison:
    """Two schemas side by side, by folded name."""

    def __init__(
        self,
        known: Sequence[SchemaColumn] | None,
        found: Sequence[SchemaColumn],
        policy: DriftPolicy,
    ) -> None:
        self._first = known is None
        self._known = {each.name.lower(): each for each in known or ()}
        self._found = {each.name.lower(): each for each in found}
        self._policy = policy

    def run(self, columns: Sequence[Column]) -> Iterable[Change]:
        claimed = {name.lower() for column in columns for name in column.sources}
        self._unclaimed = [each for key, each in self._found.items() if key not in claimed]
        for column in columns:
            yield from self._of_contract(column)
        for key, each in self._found.items():
            if key in claimed or self._first:
                continue
            if key not in self._known:
                yield self._added(each)
            else:
                yield from self._altered(self._known[key], each, None)
        for key, each in self._known.items():
            if key not in claimed and key not in self._found:
                yield Change(
                    "removed",
                    each.name,
                    each.sql_type,
                    "",
                    "filled",
                    f"Column {each.name} is gone at the source: the raw table has null for it; "
                    "the contract does not name it.",
                )

    def _of_contract(self, column: Column) -> Iterable[Change]:
        present = [self._found[n.lower()] for n in column.sources if n.lower() in self._found]
        before = next(
            (self._known[n.lower()] for n in column.sources if n.lower() in self._known), None
        )
        if len(present) > 1:
            names = " and ".join(each.name for each in present)
            yield Change(
                "renamed",
                present[0].name,
                " and ".join(each.name for each in present[1:]),
                present[0].name,
                "blocked",
                f"The source has {names}, and the contract takes them for one column: "
                f"take the wrong name out of Field(source=…) of {column.name}.",
            )
        elif not present:
            yield from self._missing(column, before)
        elif before is not None:
            now = present[0]
            if now.name.lower() != before.name.lower():
                yield Change(
                    "renamed",
                    now.name,
                    before.name,
                    now.name,
                    "mapped",
                    f"Column {before.name} is called {now.name} at the source now: "
                    f"Field(source=…) of {column.name} names both.",
                )
            yield from self._altered(before, now, column)

    def _missing(self, column: Column, before: SchemaColumn | None) -> Iterable[Change]:
        default = self._policy.default(column)
        name = before.name if before is not None else column.source
        was = before.sql_type if before is not None else ""
        if default is not None:
            yield Change(
                "not_null_added" if before is None else "removed",
                name,
                was,
                "",
                "filled",
                f"The source has no column {name}, which must not be null: its rows get the "
                f"value that DriftPolicy(not_null=…) gives {column.name}.",
            )
        elif self._policy.removed == "fill" and column.nullable:
            if before is not None or self._first:
                yield Change(
                    "removed",
                    name,
                    was,
                    "",
                    "filled",
                    f"Column {name} is gone at the source: its rows have null for it; "
                    f"to stop asking for it, take {column.name} out of the contract.",
                )
        else:
            new_demand = before is None and not self._first and not column.nullable
            yield Change(
                "not_null_added" if new_demand else "removed",
                name,
                was,
                "",
                "blocked",
                f"The source has no column {name}, which the contract names: "
                + self._remedy(column, was),
            )

    def _remedy(self, column: Column, was: str) -> str:
        likely = self._likely_name(column, was)
        if likely:
            names = ", ".join(f'"{name}"' for name in (likely, *column.sources))
            return f"if it is called {likely} now, map it with Field(source=({names})) of " + (
                f"{column.name}."
            )
        fill = (
            "set DriftPolicy(removed='fill') to go on with null"
            if column.nullable
            else f"give a value with DriftPolicy(not_null={{'{column.name}': …}})"
        )
        return (
            f"have it delivered again, take {column.name} out of the contract, map its new name "
            f"with Field(source=…), or {fill}."
        )

    def _likely_name(self, column: Column, was: str) -> str:
        """An added column that may be the missing one under another name."""

        def alike(each: SchemaColumn) -> float:
            pair = (each.name.lower(), column.source.lower())
            return SequenceMatcher(None, *pair).ratio()

        likely = [
            each
            for each in self._unclaimed
            if each.name.lower() not in self._known
            and (not was or each.sql_type == was)
            and alike(each) >= ALIKE
        ]
        return max(likely, key=alike).name if likely else ""

    def _added(self, each: SchemaColumn) -> Change:
        keep = self._policy.added == "keep"
        return Change(
            "added",
            each.name,
            "",
            each.sql_type,
            "kept" if keep else "blocked",
            f"Column {each.name} is new at the source ({each.sql_type}): "
            + (
                "the raw table keeps it; to publish it, add it to the contract."
                if keep
                else "add it to the contract, or set DriftPolicy(added='keep')."
            ),
        )

    def _altered(
        self, before: SchemaColumn, now: SchemaColumn, column: Column | None
    ) -> Iterable[Change]:
        if before.sql_type != now.sql_type:
            yield self._retyped(before, now, column)
        if before.nullable is True and now.nullable is False:
            yield Change(
                "not_null_added",
                now.name,
                "NULL",
                "NOT NULL",
                "kept",
                f"Column {now.name} must not be null at the source any more: "
                "nothing has to be done; the contract may demand it too.",
            )
        elif before.nullable is False and now.nullable is True:
            strict = column is not None and not column.nullable
            yield Change(
                "not_null_dropped",
                now.name,
                "NOT NULL",
                "NULL",
                "kept",
                f"Column {now.name} may be null at the source now: "
                + (
                    "such rows go to quarantine; allow them with Field(nullable=True)."
                    if strict
                    else "the contract demands nothing else."
                ),
            )

    def _retyped(self, before: SchemaColumn, now: SchemaColumn, column: Column | None) -> Change:
        told = f"Column {now.name} was {before.sql_type} and is {now.sql_type} at the source: "
        decision: Decision
        wide = holding(before.sql_type, now.sql_type)
        if wide is not None:
            decision, done = "widened", f"the raw table holds both as {wide}; nothing is lost."
        elif self._policy.type_changed == "cast":
            judged = f"; {column.name}__castable judges it" if column is not None else ""
            decision, done = "cast", f"the raw table keeps values by their text{judged}."
            if column is not None and column.type.python is str:
                done = "the raw table keeps values by their text."
        else:
            decision = "blocked"
            done = "have it corrected at the source, or set DriftPolicy(type_changed='cast')."
        return Change(
            "type_changed", now.name, before.sql_type, now.sql_type, decision, told + done
        )
