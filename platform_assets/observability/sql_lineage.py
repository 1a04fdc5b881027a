"""Which columns the columns of a query are made from, by the SQL itself.

Belongs here: reading one SELECT. Does not belong here: where the SQL comes from (``dbt``), and what
is done with the answer (``column_lineage``).

sqlglot resolves names: stars are expanded by the schemas of the tables, each column gets its table.
What it cannot resolve is not guessed: the column's lineage is ``None``. ``sqlglot.lineage`` follows
values only; which rows there are is decided by joins, filters and groups: scopes are walked here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from platform_assets.observability.column_lineage import (
    ColumnOf,
    How,
    Input,
    Inputs,
    TableLineage,
    through,
)

if TYPE_CHECKING:
    from sqlglot import exp
    from sqlglot.optimizer.scope import Scope

DIALECT = "duckdb"
Schemas = Mapping[str, Mapping[str, Sequence[str]]]
"""By schema and table the names of the columns."""


@dataclass
class _Answer:
    """What is known of one scope: its columns in order, and what decides over its rows.

    Attributes:
        columns: Name and inputs of each.
        rows: What decides which rows there are.
        is_partial: Whether something does that is not known.
    """

    columns: list[tuple[str, Inputs | None]] = field(default_factory=list)
    rows: set[Input] = field(default_factory=set)
    is_partial: bool = False

    def decide(self, how: How, inputs: Inputs | None) -> None:
        """Note columns that bear on the rows; whatever cannot be resolved leaves them unknown."""
        if inputs is None:
            self.is_partial = True
        self.rows |= {Input(each.source, how, each.masking) for each in inputs or ()}

    def follow(self, other: _Answer) -> None:
        """Note that rows come from those of another scope."""
        self.rows |= other.rows
        self.is_partial |= other.is_partial

    def column(self, name: str) -> Inputs | None:
        for own, inputs in self.columns:
            if own.lower() == name.lower():
                return inputs
        return None


def lineage_of(asset: str, sql: str, schemas: Schemas) -> TableLineage | None:
    """What the table of a query is made from.

    A table is an asset by its schema and name: ``lake.cleaned.orders`` is ``cleaned/orders``. What
    the query reads of the asset's own table (an incremental model's ``{{ this }}``) is left out: a
    table is not made from itself.

    Args:
        asset: The asset that the query makes.
        sql: One SELECT, in the engine's dialect.
        schemas: Columns of the tables that it reads. A table that is not among them, such as a
            temporary one, is passed over, and a column that may be of it is not known.

    Returns:
        None where the SQL cannot be read, or a star in it cannot be expanded.
    """
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError
    from sqlglot.optimizer.qualify import qualify
    from sqlglot.optimizer.scope import build_scope

    try:
        parsed = sqlglot.parse_one(sql, dialect=DIALECT)
        known = _with_names(parsed, schemas)
        tree = qualify(parsed, schema=known, dialect=DIALECT, validate_qualify_columns=False)
        scope = build_scope(tree)
    except (SqlglotError, RecursionError):
        return None
    is_read = isinstance(tree, exp.Query) and tree.find(exp.Pivot, exp.Columns) is None
    if scope is None or not is_read:
        return None
    answer = _Reader(asset, schemas).read(scope)
    if any(name == "*" for name, _ in answer.columns):
        return None
    rows = frozenset(answer.rows)
    return TableLineage(asset, dict(answer.columns), rows, is_known=not answer.is_partial)


def _with_names(tree: exp.Expr, schemas: Schemas) -> dict[str, object]:
    """The schemas under every catalog that the query names them by."""
    from sqlglot import exp

    catalogs = {table.catalog for table in tree.find_all(exp.Table)}
    # Types decide nothing of where a value comes from.
    described: dict[str, object] = {
        schema: {name: dict.fromkeys(own, "TEXT") for name, own in tables.items() if own}
        for schema, tables in schemas.items()
        if any(tables.values())
    }
    return {catalog: described for catalog in catalogs if catalog} or described


class _Reader:
    """Walks the scopes of one query, each once."""

    def __init__(self, asset: str, schemas: Schemas) -> None:
        self._asset = asset
        self._schemas = schemas
        self._answers: dict[int, _Answer] = {}

    def read(self, scope: Scope) -> _Answer:
        """What a scope's columns and rows are made from."""
        from sqlglot import exp

        # A recursive query meets itself as another scope of the same part of the tree, before it is
        # known: what it adds is what it began with.
        found = self._answers.get(id(scope.expression))
        if found is not None:
            return found
        found = self._answers[id(scope.expression)] = _Answer()
        if scope.set_operation_scopes:
            self._read_union(scope, found)
        elif isinstance(scope.expression, exp.Select):
            self._read_select(scope, scope.expression, found)
        elif scope.subquery_scopes:
            inner = self.read(scope.subquery_scopes[0])
            found.columns += inner.columns
            found.follow(inner)
        return found

    def _read_union(self, scope: Scope, found: _Answer) -> None:
        from sqlglot import exp

        left, right = (self.read(each) for each in scope.set_operation_scopes)
        found.follow(left)
        found.follow(right)
        if isinstance(scope.expression, exp.Union):
            by_name = bool(scope.expression.args.get("by_name"))
            found.columns += _united(left, right, by_name=by_name)
            return
        # EXCEPT and INTERSECT take values from the left, and the right decides over the rows.
        found.columns += left.columns
        for _, inputs in (*left.columns, *right.columns):
            found.decide(How.FILTER, inputs)

    def _read_select(self, scope: Scope, select: exp.Select, found: _Answer) -> None:
        from sqlglot import exp

        for projection in select.expressions:
            found.columns.append((projection.alias_or_name, self._value(scope, projection)))
        for _, source in scope.selected_sources.values():
            if not isinstance(source, exp.Expr):
                found.follow(self.read(source))
        for how, part in _deciding(select):
            for column, _ in _columns(part):
                found.decide(how, self._resolve(scope, column))
            for inner in self._subqueries(scope, part):
                found.follow(inner)
                for _, inputs in inner.columns:
                    found.decide(how, inputs)
        grouped, distinct = select.args.get("group"), select.args.get("distinct")
        for projection, (_, inputs) in zip(select.expressions, found.columns, strict=True):
            is_key = bool(grouped and grouped.args.get("all")) and not projection.find(exp.AggFunc)
            if is_key or (distinct is not None and distinct.args.get("on") is None):
                found.decide(How.GROUP_BY, inputs)

    def _value(self, scope: Scope, projection: exp.Expr) -> Inputs | None:
        """What a column of the result is made from; None where a part of it is not known."""
        found: set[Input] = set()
        for column, how in _columns(projection):
            inputs = self._resolve(scope, column)
            if inputs is None:
                return None
            found |= {Input(i.source, through(how, i.how), i.masking) for i in inputs}
        for inner in self._subqueries(scope, projection):
            made = _whole(inputs for _, inputs in inner.columns)
            if made is None or inner.is_partial:
                return None
            found |= made | inner.rows
        return frozenset(found)

    def _subqueries(self, scope: Scope, part: exp.Expr) -> list[_Answer]:
        within = {id(node) for node in part.walk()}
        return [self.read(s) for s in scope.subquery_scopes if id(s.expression) in within]

    def _resolve(self, scope: Scope, column: exp.Column | exp.TableColumn) -> Inputs | None:
        """The columns of real tables that a column stands for."""
        from sqlglot import exp

        name = column.name
        # A whole row is named as its table is.
        table = column.table if isinstance(column, exp.Column) else ""
        here: Scope | None = scope
        while here is not None:
            source = here.sources.get(table or name)
            if source is not None:
                break
            # A correlated subquery names what is around it.
            here = here.parent
        if here is None or source is None:
            return None
        if isinstance(source, exp.Table):
            return self._of_table(source, name if table else "")
        if isinstance(source.expression, exp.UDTF):
            return self._of_function(here, source)
        answer = self.read(source)
        if not table:
            return _whole(inputs for _, inputs in answer.columns)
        return answer.column(name)

    def _of_table(self, table: exp.Table, column: str) -> Inputs | None:
        """A column of a table, or a whole row of it."""
        asset = f"{table.db}/{table.name}"
        if asset == self._asset:
            return frozenset()
        columns = self._schemas.get(table.db, {}).get(table.name)
        if columns is None:
            return None
        if not column:
            return _whole(
                frozenset({Input(ColumnOf(asset, name), How.IDENTITY)}) for name in columns
            )
        for name in columns:
            if name.lower() == column.lower():
                return frozenset({Input(ColumnOf(asset, name), How.IDENTITY)})
        return None

    def _of_function(self, scope: Scope, source: Scope) -> Inputs | None:
        """What a table function such as ``unnest`` is given, or a lateral subquery."""
        if source.subquery_scopes:
            inner = self.read(source.subquery_scopes[0])
            return _whole([*(inputs for _, inputs in inner.columns), frozenset(inner.rows)])
        return _whole(self._resolve(scope, column) for column, _ in _columns(source.expression))


def _deciding(select: exp.Select) -> Iterable[tuple[How, exp.Expr]]:
    """The parts of a query that decide which rows it has."""
    for join in select.args.get("joins") or ():
        if join.args.get("on") is not None:
            yield How.JOIN, join.args["on"]
    for name, how in (
        ("where", How.FILTER),
        ("having", How.FILTER),
        ("qualify", How.FILTER),
        ("group", How.GROUP_BY),
    ):
        if select.args.get(name) is not None:
            yield how, select.args[name]
    # An order alone changes no row.
    if select.args.get("order") is not None and select.args.get("limit") is not None:
        yield How.SORT, select.args["order"]
    distinct = select.args.get("distinct")
    if distinct is not None and distinct.args.get("on") is not None:
        yield How.GROUP_BY, distinct.args["on"]
        if select.args.get("order") is not None:
            yield How.SORT, select.args["order"]


def _columns(part: exp.Expr) -> Iterable[tuple[exp.Column | exp.TableColumn, How]]:
    """The columns that an expression names, subqueries apart, and how each bears on its value."""
    from sqlglot import exp

    root = part.unalias() if isinstance(part, exp.Alias) else part
    waiting: list[tuple[exp.Expr, How]] = [(root, How.IDENTITY)]
    while waiting:
        node, how = waiting.pop()
        if isinstance(node, exp.Column | exp.TableColumn):
            yield node, how
            continue
        if isinstance(node, exp.Query) or node is None:
            continue
        for key, child in _children(node):
            waiting.append((child, through(how, _bearing(node, key))))


def _children(node: exp.Expr) -> Iterable[tuple[str, exp.Expr]]:
    from sqlglot import exp

    for key, value in node.args.items():
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, exp.Expr):
                yield key, child


def _bearing(node: exp.Expr, key: str) -> How:
    """How a part of an expression bears on its value."""
    from sqlglot import exp

    if isinstance(node, exp.Paren):
        return How.IDENTITY
    if isinstance(node, exp.Window):
        return How.TRANSFORMATION if key == "this" else How.WINDOW
    if isinstance(node, exp.Filter):
        return How.TRANSFORMATION if key == "this" else How.FILTER
    if isinstance(node, exp.If) and key == "this":
        return How.CONDITIONAL
    if isinstance(node, exp.Case) and key == "this":
        return How.CONDITIONAL
    if isinstance(node, exp.Order | exp.Ordered):
        return How.SORT
    if isinstance(node, exp.AggFunc):
        return How.AGGREGATION
    return How.TRANSFORMATION


def _united(left: _Answer, right: _Answer, *, by_name: bool) -> list[tuple[str, Inputs | None]]:
    """The columns of a union: by position, or by name."""
    if not by_name:
        return [
            (name, _both(inputs, other))
            for (name, inputs), (_, other) in zip(left.columns, right.columns, strict=False)
        ]
    names = {name.lower(): name for name, _ in (*left.columns, *right.columns)}
    have = [{name.lower() for name, _ in side.columns} for side in (left, right)]
    found: list[tuple[str, Inputs | None]] = []
    for folded, name in names.items():
        both = zip((left, right), have, strict=True)
        sides = [side.column(name) for side, own in both if folded in own]
        found.append((name, sides[0] if len(sides) == 1 else _both(*sides)))
    return found


def _both(one: Inputs | None, other: Inputs | None) -> Inputs | None:
    return None if one is None or other is None else one | other


def _whole(parts: Iterable[Inputs | None]) -> Inputs | None:
    """What is made from several columns together."""
    found: set[Input] = set()
    for inputs in parts:
        if inputs is None:
            return None
        found |= {Input(i.source, through(How.TRANSFORMATION, i.how), i.masking) for i in inputs}
    return frozenset(found)
