"""Columns of a query against lineage that was written by hand; what cannot be known is not said."""

from __future__ import annotations

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from platform_assets.observability.column_lineage import TableLineage
from platform_assets.observability.sql_lineage import lineage_of

SCHEMAS = {"m": {"t": ["a", "b", "c"], "u": ["a", "b", "c"]}}


def told(table: TableLineage) -> dict[str, str | None]:
    """Lineage as short text: ``t.a t.b~`` with a mark for how; ``~`` is what is no identity."""
    marks = {"identity": "", "transformation": "~", "aggregation": "+"}

    def short(inputs: frozenset[object] | None) -> str | None:
        if inputs is None:
            return None
        return " ".join(
            f"{each.source.asset[2:]}.{each.source.column}{marks.get(each.how, f':{each.how}')}"
            for each in sorted(inputs)  # type: ignore[type-var]  # inputs are ordered
        )

    rows = short(table.rows)  # type: ignore[arg-type]  # a set of inputs
    columns = {name: short(inputs) for name, inputs in table.columns.items()}  # type: ignore[arg-type]
    return {**columns, "*": rows if table.is_known else f"{rows} ?"}


CASES = {
    # Values.
    "select a, a as k, a + b as s from lake.m.t": {
        "a": "t.a", "k": "t.a", "s": "t.a~ t.b~", "*": "",
    },
    "select A, (\"B\") as b2 from lake.m.T": {"a": "t.a", "b2": "t.b", "*": ""},
    "select current_date as d, 1 as one from lake.m.t": {"d": "", "one": "", "*": ""},
    "select cast(a as date) as d from lake.m.t": {"d": "t.a~", "*": ""},
    "select case when a > 1 then b else c end as x from lake.m.t": {
        "x": "t.a:conditional t.b~ t.c~", "*": "",
    },
    "select {'x': a}.x as y, t as row from lake.m.t": {
        "y": "t.a~", "row": "t.a~ t.b~ t.c~", "*": "",
    },
    "select list_transform([a], q -> q + c) as l from lake.m.t": {"l": "t.a~ t.c~", "*": ""},
    # Stars.
    "select * exclude (b), a + 1 as d from lake.m.t": {
        "a": "t.a", "c": "t.c", "d": "t.a~", "*": "",
    },
    "select * replace (a || b as a) from lake.m.t": {
        "a": "t.a~ t.b~", "b": "t.b", "c": "t.c", "*": "",
    },
    "select x.*, y.c as other from lake.m.t x join lake.m.u y on x.a = y.b": {
        "a": "t.a", "b": "t.b", "c": "t.c", "other": "u.c", "*": "t.a:join u.b:join",
    },
    "from lake.m.t": {"a": "t.a", "b": "t.b", "c": "t.c", "*": ""},
    # Rows.
    "select a from lake.m.t where b > 1 order by c": {"a": "t.a", "*": "t.b:filter"},
    "select a from lake.m.t order by c limit 1": {"a": "t.a", "*": "t.c:sort"},
    "select distinct a, b from lake.m.t": {
        "a": "t.a", "b": "t.b", "*": "t.a:group_by t.b:group_by",
    },
    "select distinct on (a) b from lake.m.t order by c": {
        "b": "t.b", "*": "t.a:group_by t.c:sort",
    },
    "select a, count(*) as n, sum(b) filter (c > 1) as s from lake.m.t group by a "
    "having max(b) > 1": {
        "a": "t.a", "n": "", "s": "t.b+ t.c:filter", "*": "t.a:group_by t.b:filter",
    },
    "select a, max_by(b, (c, a)) as m from lake.m.t group by all": {
        "a": "t.a", "m": "t.a+ t.b+ t.c+", "*": "t.a:group_by",
    },
    "select a from lake.m.t qualify row_number() over (partition by b order by c desc) = 1": {
        "a": "t.a", "*": "t.b:filter t.c:filter",
    },
    "select sum(a) over (partition by b order by c) as s from lake.m.t": {
        "s": "t.a+ t.b:window t.c:window", "*": "",
    },
    "select a from lake.m.t anti join lake.m.u using (a, b)": {
        "a": "t.a", "*": "t.a:join t.b:join u.a:join u.b:join",
    },
    "select t.a from lake.m.t, lake.m.u where t.a = u.b": {
        "a": "t.a", "*": "t.a:filter u.b:filter",
    },
    "select a from lake.m.t where b in (select c from lake.m.u where a > 1)": {
        "a": "t.a", "*": "t.b:filter u.a:filter u.c:filter",
    },
    # Queries in queries.
    "with x as (select a + 1 as k, b from lake.m.t where c = 1), "
    "y as (select sum(k) as s, b from x group by b) "
    "select y.s * 2 as d, x.k from y left join x using (b)": {
        "d": "t.a+", "k": "t.a~", "*": "t.b:group_by t.b:join t.c:filter",
    },
    "select q.n from (select a, b from lake.m.t) as q(n, o)": {"n": "t.a", "*": ""},
    "select a, (select max(c) from lake.m.u where u.a = t.a) as m from lake.m.t": {
        "a": "t.a", "m": "t.a:filter u.a:filter u.c+", "*": "",
    },
    "select t.a, x.v from lake.m.t, lateral (select max(c) as v from lake.m.u where u.a = t.a) x": {
        "a": "t.a", "v": "t.a:filter u.a:filter u.c+", "*": "t.a:filter u.a:filter",
    },
    "select v from lake.m.t as x, unnest([x.b, x.c]) as q(v)": {"v": "t.b~ t.c~", "*": ""},
    "select a, b from lake.m.t union all select c, b from lake.m.u": {
        "a": "t.a u.c", "b": "t.b u.b", "*": "",
    },
    "select a, b from lake.m.t union all by name select b, c from lake.m.u": {
        "a": "t.a", "b": "t.b u.b", "c": "u.c", "*": "",
    },
    "select a from lake.m.t except select b from lake.m.u": {
        "a": "t.a", "*": "t.a:filter u.b:filter",
    },
    "with recursive r as (select a, 1 as n from lake.m.t union all "
    "select a, n + 1 from r where n < 3) select * from r": {"a": "t.a", "n": "", "*": ""},
    # An incremental model's own table: it is not made from itself.
    "select * from lake.m.t union all by name select * from lake.m.me where b > 1": {
        "a": "t.a", "b": "t.b", "c": "t.c", "*": "",
    },
    # A temporary table that nobody describes.
    "select * from (select * from lake.m.t where not false) anti join gone using (a)": {
        "a": "t.a", "b": "t.b", "c": "t.c", "*": "t.a:join ?",
    },
    "select t.a, gone.x from lake.m.t join gone on t.a = gone.a": {
        "a": "t.a", "x": None, "*": "t.a:join ?",
    },
    "select nowhere from lake.m.t": {"nowhere": None, "*": ""},
}  # fmt: skip


@pytest.mark.parametrize("sql", CASES)
def test_a_query_against_lineage_by_hand(sql: str) -> None:
    schemas = {"m": {**SCHEMAS["m"], "me": ["a", "b", "c"]}}
    found = lineage_of("m/me", sql, schemas)
    assert found is not None
    assert told(found) == CASES[sql]


@pytest.mark.parametrize(
    "sql",
    [
        "not sql at all ((",
        "select * from nowhere",
        "select columns('a|b') from lake.m.t",
        "pivot lake.m.t on b using sum(c)",
        "insert into lake.m.t select 1",
    ],
)
def test_what_cannot_be_read_is_unknown_and_not_guessed(sql: str) -> None:
    assert lineage_of("m/x", sql, SCHEMAS) is None


NUMBER = st.sampled_from(["a", "b", "c", "1"])
VALUE = st.recursive(
    NUMBER,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda two: f"({two[0]} * 7 + {two[1]})"),
        st.tuples(inner, inner, inner).map(
            lambda three: f"(CASE WHEN {three[0]} > 0 THEN {three[1]} ELSE {three[2]} END)"
        ),
    ),
    max_leaves=5,
)


@settings(max_examples=60)
@given(
    values=st.lists(VALUE, min_size=1, max_size=3),
    where=st.one_of(st.none(), NUMBER),
    wrap=st.sampled_from(["{}", "with q as ({}) select * from q", "select * from ({}) as z"]),
    row=st.tuples(*[st.integers(-3, 3)] * 3),
    changed=st.sampled_from("abc"),
)
def test_a_change_of_a_column_that_is_not_named_changes_nothing(
    values: list[str],
    where: str | None,
    wrap: str,
    row: tuple[int, int, int],
    changed: str,
) -> None:
    """The promise, asked of the engine: what lineage does not name does not matter."""
    inner = ", ".join(f"{value} as v{n}" for n, value in enumerate(values))
    condition = f" where {where} > 0" if where else ""
    sql = wrap.format(f"select {inner} from m.t{condition}")
    found = lineage_of("m/x", sql, SCHEMAS)
    assert found is not None
    assert found.is_known
    other = [
        10 + value if name == changed else value for name, value in zip("abc", row, strict=True)
    ]
    results = []
    with duckdb.connect() as engine:
        engine.execute("create schema m; create table m.t (a int, b int, c int)")
        for each in (list(row), other):
            engine.execute("delete from m.t")
            engine.execute("insert into m.t values (?, ?, ?)", each)
            results.append(engine.execute(sql).fetchall())
    assert list(found.columns) == [f"v{n}" for n in range(len(values))]
    if changed in {each.source.column for each in found.rows}:
        return
    assert len(results[0]) == len(results[1])
    for before, after in zip(*results, strict=True):
        for number, inputs in enumerate(found.columns.values()):
            if changed not in {each.source.column for each in inputs or ()}:
                assert before[number] == after[number]
