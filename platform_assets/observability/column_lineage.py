"""Which columns each column is made from, over all tables: the types, and walking them.

Belongs here: what lineage is said in, and the ways up and down. Does not belong here: finding it
out, from a contract (``contract_lineage``) or from SQL (``sql_lineage``), and whole assets
(``lineage_graph``).

Two kinds of influence are told apart, as OpenLineage does: a column's values are made from others
(direct), or others decide which rows there are or which value is taken (indirect). What is not
known is ``None``, never an empty set, which means: made from no column.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

ROWS = "*"
"""In place of a column: the table's rows as a whole."""


class How(StrEnum):
    """How a column bears on another one, or on a table's rows; ordered from weak to strong."""

    IDENTITY = "identity"
    """Its very values."""
    TRANSFORMATION = "transformation"
    """Values computed from it, row by row."""
    AGGREGATION = "aggregation"
    """Values computed from it, over several rows."""
    CONDITIONAL = "conditional"
    """It decides which value is taken."""
    WINDOW = "window"
    """It parts or orders the rows that a value is computed over."""
    JOIN = "join"
    """Rows are matched by it."""
    GROUP_BY = "group_by"
    """Rows are put together by it."""
    SORT = "sort"
    """Rows are ordered by it, where that decides which are taken."""
    FILTER = "filter"
    """Rows are left out by it."""

    @property
    def is_direct(self) -> bool:
        """Whether values are made from it."""
        return self in (How.IDENTITY, How.TRANSFORMATION, How.AGGREGATION)


_STRENGTH = {how: number for number, how in enumerate(How)}


def through(outer: How, inner: How) -> How:
    """How a column bears on another by way of a third.

    Args:
        outer: How the third one bears on the other.
        inner: How the column bears on the third.
    """
    if not outer.is_direct:
        return outer
    return max(outer, inner, key=_STRENGTH.__getitem__)


@dataclass(frozen=True, order=True)
class ColumnOf:
    """A column of an asset's table.

    Attributes:
        asset: The asset's key, such as ``cleaned/orders``.
        column: The column's name; ``*``: the table's rows.
    """

    asset: str
    column: str

    def __str__(self) -> str:
        """As a person writes it."""
        return f"{self.asset}.{self.column}"


@dataclass(frozen=True, order=True)
class Input:
    """A column that bears on another one.

    Attributes:
        source: The column.
        how: How it does.
        masking: Whether its values cannot be told from what is made of them.
    """

    source: ColumnOf
    how: How
    masking: bool = False


Inputs = frozenset[Input]


@dataclass(frozen=True)
class TableLineage:
    """What one table is made from.

    Attributes:
        asset: The asset's key.
        columns: By column what it is made from; None: that is not known.
        rows: What decides which rows there are.
        is_known: Whether that is all that decides which rows there are.
    """

    asset: str
    columns: Mapping[str, Inputs | None]
    rows: Inputs = frozenset()
    is_known: bool = True

    @property
    def unknown(self) -> tuple[str, ...]:
        """Columns of which nobody has said what they are made from."""
        return tuple(name for name, inputs in self.columns.items() if inputs is None)


@dataclass(frozen=True)
class Node:
    """A column on the way up or down from another.

    Attributes:
        column: The column; ``*`` of a table: its rows, and so every column of it.
        how: How it bears on, or is borne on by, the one before it; empty for the first.
        children: What comes after it.
        is_unknown: Whether nobody has said what it is made from.
        is_repeated: Whether what comes after it is listed at another place.
        is_cut: Whether there is more, beyond the depth that was asked for.
    """

    column: ColumnOf
    how: tuple[How, ...] = ()
    children: tuple[Node, ...] = ()
    is_unknown: bool = False
    is_repeated: bool = False
    is_cut: bool = False


_Step = Callable[[ColumnOf], dict[ColumnOf, set[How]]]


@dataclass
class ColumnLineage:
    """For each asset and column the columns that it is made from.

    Attributes:
        tables: By asset.
    """

    tables: Mapping[str, TableLineage]
    _users: dict[ColumnOf, dict[ColumnOf, set[How]]] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, tables: Iterable[TableLineage]) -> ColumnLineage:
        """The lineage of some tables; of two of one asset the later one counts."""
        return cls({table.asset: table for table in tables})

    def inputs(self, column: ColumnOf) -> Inputs | None:
        """What a column is made from; None: not known, or there is no such column.

        Args:
            column: The column; ``*``: the table's rows.
        """
        table = self.tables.get(column.asset)
        if table is None:
            return None
        if column.column == ROWS:
            return table.rows
        return table.columns.get(column.column)

    def is_known(self, column: ColumnOf) -> bool:
        """Whether it is known what a column is made from; of ``*``, what decides over the rows.

        Args:
            column: The column.
        """
        table = self.tables.get(column.asset)
        if column.column == ROWS:
            return table is not None and table.is_known
        return table is not None and table.columns.get(column.column) is not None

    def users(self, column: ColumnOf) -> Mapping[ColumnOf, set[How]]:
        """What a column bears on at once, and how; ``*`` of a table: its rows.

        Args:
            column: The column.
        """
        if not self._users:
            for table in self.tables.values():
                every = {**table.columns, ROWS: table.rows}
                for name, inputs in every.items():
                    for each in inputs or ():
                        users = self._users.setdefault(each.source, {})
                        users.setdefault(ColumnOf(table.asset, name), set()).add(each.how)
        return self._users.get(column, {})

    def upstream(self, column: ColumnOf, depth: int | None = None) -> Node:
        """All that a column is made from, near and far, and what decides over its table's rows.

        Args:
            column: The column.
            depth: How many steps to go; None: to the end.
        """
        return self._walk(column, (), depth, set(), self._above)

    def downstream(self, column: ColumnOf, depth: int | None = None) -> Node:
        """All that is made from a column, near and far.

        A table whose rows it decides over is named as ``*``: all of that table follows from it.

        Args:
            column: The column.
            depth: How many steps to go; None: to the end.
        """
        return self._walk(column, (), depth, set(), self._below)

    def touched(self, assets: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """By asset the columns that are made from any column of some assets, at once or not.

        A column of which it is not known counts, where its table is listed.

        Args:
            assets: The assets' keys.
        """
        reached = {
            ColumnOf(table.asset, name)
            for table in (self.tables[asset] for asset in assets if asset in self.tables)
            for name in (*table.columns, ROWS)
        }
        waiting, found = list(reached), set(reached)
        while waiting:
            column = waiting.pop()
            for user in self._below(column):
                if user not in found:
                    found.add(user)
                    waiting.append(user)
        told: dict[str, list[str]] = {}
        for column in sorted(found - reached):
            told.setdefault(column.asset, []).append(column.column)
        return {asset: tuple(names) for asset, names in told.items()}

    def _above(self, column: ColumnOf) -> dict[ColumnOf, set[How]]:
        found: dict[ColumnOf, set[How]] = {}
        inputs = set(self.inputs(column) or ())
        if column.column != ROWS:
            inputs |= set(self.inputs(ColumnOf(column.asset, ROWS)) or ())
        for each in inputs:
            found.setdefault(each.source, set()).add(each.how)
        return found

    def _below(self, column: ColumnOf) -> dict[ColumnOf, set[How]]:
        found = {user: set(hows) for user, hows in self.users(column).items()}
        if column.column == ROWS:
            # Rows that are others are others for all that is made from them.
            for name in self.tables[column.asset].columns:
                for user, hows in self.users(ColumnOf(column.asset, name)).items():
                    found.setdefault(user, set()).update(hows)
        return found

    def _walk(
        self,
        column: ColumnOf,
        how: tuple[How, ...],
        depth: int | None,
        seen: set[ColumnOf],
        step: _Step,
    ) -> Node:
        is_unknown = step == self._above and not self.is_known(column)
        following = step(column)
        if column in seen or depth == 0:
            return Node(
                column,
                how,
                is_unknown=is_unknown,
                is_repeated=column in seen and bool(following),
                is_cut=column not in seen and bool(following),
            )
        seen.add(column)
        left = None if depth is None else depth - 1
        children = tuple(
            self._walk(each, tuple(sorted(hows, key=_STRENGTH.__getitem__)), left, seen, step)
            for each, hows in sorted(following.items())
        )
        return Node(column, how, children, is_unknown)
