"""The one query that types rows of text and says which rules each of them breaks.

Belongs here: the shape of that query. Does not belong here: single casts and checks.

It is built of layers, each a subquery over the one before. The engine computes a layer's
columns once, however often the next one names them, so nothing is cast or looked up twice:

1. `probe`: the source's columns, and the engine's own TRY_CAST of each.
2. `typed`: the typed columns under the contract's names, the text behind them, passthrough.
3. `looked`: plus one flag for each rule that looks beyond its row (references, unique).
4. `judged`: plus `rejected` and `noted`: is a rule of severity error broken, or a lower one?
5. The verdict. Only a row that breaks something builds a list of names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from platform_assets.contracts.casts import TEXT, cast
from platform_assets.contracts.columns import Column, Place
from platform_assets.contracts.rules import Rule, text_column
from platform_assets.sql import quote_identifier as q
from platform_assets.sql import quote_literal

BROKEN = "_broken"
REJECTED = "_rejected"


@dataclass(frozen=True)
class Request:
    """What a caller of `judge_sql` asks for."""

    relation: str
    passthrough: Sequence[str]
    partition_column: str | None
    reference_relation: Callable[[str], str] | None
    source_types: Mapping[str, str]


def judge_sql(
    place: Place, columns: tuple[Column, ...], rules: tuple[Rule, ...], request: Request
) -> str:
    """Write the judging query.

    Args:
        place: The contract, for errors.
        columns: Its columns.
        rules: Its rules; those that need more than the relation and references are left out.
        request: The relation of text to judge and what to keep of it.

    Returns:
        A SELECT statement.

    Raises:
        ContractError: The passthrough or partition column does not fit.
    """
    _examine(place, columns, rules, request)
    compiled = [r for r in rules if r.kind not in ("python", "unique_across")]
    uniques = [r for r in compiled if r.kind == "unique"]
    typed = _typed(columns, request)
    ctes = []
    if uniques:
        ctes.append(f"typed AS MATERIALIZED ({typed})")
        typed = "typed"
        keys = [c for c in columns if c.key]
        ctes += [
            f"duplicate_{n} AS ({_duplicates(rule, keys, columns, request.partition_column)})"
            for n, rule in enumerate(uniques)
        ]
    looked = _looked(typed, compiled, columns, request)
    broken = {r.name: r.violation or q(_flag(r)) for r in compiled}
    judged = (
        f"SELECT *, {_any(broken, compiled, ('error',))} AS __rejected,"
        f" {_any(broken, compiled, ('warn', 'info'))} AS __noted FROM {looked}"
    )
    with_ = f"WITH {', '.join(ctes)} " if ctes else ""
    kept = ", ".join(q(n) for n in [*(c.name for c in columns), *request.passthrough])
    return (
        f"{with_}SELECT {kept}, {_names(broken)} AS {BROKEN}, __rejected AS {REJECTED}"
        f" FROM ({judged}) AS judged"
    )


def _examine(
    place: Place, columns: tuple[Column, ...], rules: tuple[Rule, ...], request: Request
) -> None:
    names = [c.name.lower() for c in columns]
    taken = [*names, BROKEN, REJECTED]
    passed = [p.lower() for p in request.passthrough]
    clash = [p for p in request.passthrough if p.lower() in taken or passed.count(p.lower()) > 1]
    clash += [p for p in request.passthrough if p.startswith("__")]
    if clash:
        raise place.error(
            "A passthrough column would hide another.",
            expected="names that the contract does not use, each once",
            found=", ".join(clash),
            fix="Rename it in the relation, or leave it out: the contract gives that column.",
        )
    part = request.partition_column
    if part is not None and part.lower() not in [*names, *passed]:
        raise place.error(
            "The partition column is not known.",
            expected="a column of the contract or of passthrough",
            found=part,
            fix="Add it to passthrough.",
        )
    if request.reference_relation is None and any(r.kind == "reference" for r in rules):
        raise place.error(
            "The contract refers to other datasets, and nobody said where they are.",
            expected="reference_relation, a function from a dataset's name to a relation",
            found="None",
            fix="Pass reference_relation=.",
        )


def _typed(columns: tuple[Column, ...], request: Request) -> str:
    probes, values = [], []
    for n, column in enumerate(columns):
        text = q(text_column(column.name))
        probes.append(f"{q(column.source)} AS {text}")
        kind = request.source_types.get(column.source.lower(), TEXT)
        half = cast(q(column.source), column.type, column.format, kind)
        if half.probe == q(column.source):
            values.append(f"{text} AS {q(column.name)}")
            continue
        probes.append(f"{half.probe} AS __probe_{n}")
        value = cast(text, column.type, column.format, kind).value(f"__probe_{n}")
        values.append(f"{value} AS {q(column.name)}, {text}")
    passed = [q(p) for p in request.passthrough]
    probe = f"SELECT {', '.join(probes + passed)} FROM {request.relation}"
    return f"SELECT {', '.join(values + passed)} FROM ({probe}) AS probe"


def _flag(rule: Rule) -> str:
    return f"__{rule.name}"


def _uncast(rule: Rule, columns: tuple[Column, ...]) -> str:
    """Say, in SQL, that a cast failed among a rule's columns: then only that is reported."""
    failed = [
        f"(typed.{q(c.name)} IS NULL AND typed.{q(text_column(c.name))} IS NOT NULL)"
        for c in columns
        if c.name in rule.columns and c.type.python is not str
    ]
    return " OR ".join(failed)


def _duplicates(
    rule: Rule, keys: list[Column], columns: tuple[Column, ...], partition: str | None
) -> str:
    """Find the values held by several rows, or by several keys where there is a key.

    No window: a grouping spills, and gives the few duplicates to join instead of all rows.
    `typed` is materialized: casting 5M rows twice took 4.4 s, keeping them 2.6 s.
    """
    group = [q(n) for n in dict.fromkeys((*rule.columns, *([partition] if partition else [])))]
    if keys:
        key = ", ".join(q(k.name) for k in keys)
        key = f"row({key})" if len(keys) > 1 else key
        having = f"min({key}) <> max({key})"
    else:
        having = "count(*) > 1"
    uncast = _uncast(rule, columns)
    where = f" WHERE NOT ({uncast})" if uncast else ""
    listed = ", ".join(group)
    return f"SELECT {listed} FROM typed{where} GROUP BY {listed} HAVING {having}"


def _looked(typed: str, rules: list[Rule], columns: tuple[Column, ...], request: Request) -> str:
    """Add a flag for each reference and unique rule, or nothing where there is none."""
    relation = f"({typed}) AS typed" if typed != "typed" else "typed"
    flags, joins = [], []
    types = {c.name: c.sql_type for c in columns}
    for rule in (r for r in rules if r.kind == "reference"):
        assert rule.references is not None
        assert request.reference_relation is not None
        dataset, other = rule.references
        value = f"typed.{q(rule.columns[0])}"
        # As this column's type: a reference of another type must not stop the query.
        found = f"TRY_CAST({q(other)} AS {types[rule.columns[0]]})"
        source = request.reference_relation(dataset)
        flags.append(
            f"({value} IS NOT NULL AND {value} NOT IN (SELECT {found} FROM {source}"
            f" WHERE {found} IS NOT NULL)) AS {q(_flag(rule))}"
        )
    for n, rule in enumerate(r for r in rules if r.kind == "unique"):
        partition = [request.partition_column] if request.partition_column else []
        same = [
            f"typed.{q(name)} IS NOT DISTINCT FROM d{n}.{q(name)}"
            for name in dict.fromkeys((*rule.columns, *partition))
        ]
        uncast = _uncast(rule, columns)
        joins.append(
            f" LEFT JOIN (SELECT *, true AS __hit FROM duplicate_{n}) AS d{n} ON "
            + " AND ".join(same)
        )
        hit = f"coalesce(d{n}.__hit, false)"
        flags.append(f"{f'({hit} AND NOT ({uncast}))' if uncast else hit} AS {q(_flag(rule))}")
    if not flags:
        return relation
    return f"(SELECT typed.*, {', '.join(flags)} FROM {relation}{''.join(joins)}) AS looked"


def _any(broken: dict[str, str], rules: list[Rule], severities: Sequence[str]) -> str:
    chosen = [broken[r.name] for r in rules if r.severity in severities]
    return f"coalesce({' OR '.join(chosen)}, false)" if chosen else "false"


def _names(broken: dict[str, str]) -> str:
    if not broken:
        return "CAST(NULL AS VARCHAR[])"
    cases = ", ".join(f"CASE WHEN {sql} THEN {quote_literal(n)} END" for n, sql in broken.items())
    return (
        "CASE WHEN __rejected OR __noted"
        f" THEN list_filter([{cases}], lambda name: name IS NOT NULL) END"
    )
