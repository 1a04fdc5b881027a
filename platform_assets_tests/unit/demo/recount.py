"""Counts a demo shop from its files alone, in SQL: the other side of every figure.

Belongs here: an independent reading of the files, which shares nothing with the generator but
the names of columns and rules. Does not belong here: assertions.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

_SETUP = """
create macro stamp(t) as try_strptime(t, '%Y-%m-%d %H:%M:%S');

create table products as
select 'all' as day, *, (unit_price::decimal(18, 2) < 0)::int as unit_price__ge,
    (name is null)::int as name__not_null
from read_csv('{root}/products/products.csv', all_varchar = true, header = true, quote = '"',
    escape = '"', delim = ',');

create table customers as
select parse_filename(filename, true) as day, * exclude filename,
    (customer_id is null)::int as customer_id__not_null,
    (email is null or not regexp_full_match(email, '[^@\\s]+@[^@\\s]+\\.[^@\\s]+'))::int
        as email__str_matches
from read_csv('{root}/customers/*.csv', all_varchar = true, header = true, quote = '"',
    escape = '"', delim = ',', filename = true);

create table orders as
select parse_filename(filename, true) as day, * exclude filename,
    (order_id is null)::int as order_id__not_null,
    (customer_id is null)::int as customer_id__not_null,
    (not regexp_full_match(quantity, '[0-9]+'))::int as quantity__castable,
    (stamp(ordered_at) is null)::int as ordered_at__castable,
    (total_amount::decimal(18, 2) < 0)::int as total_amount__ge,
    (status not in ('placed', 'paid', 'shipped', 'delivered', 'returned', 'cancelled'))::int
        as status__isin,
    (customer_id is not null and not exists (
        select 1 from customers c
        where c.customer_id = o.customer_id and c.day <= parse_filename(o.filename, true)
        and c.customer_id__not_null + c.email__str_matches = 0
    ))::int as customer_id__references_customers
from read_csv('{root}/orders/*.csv', all_varchar = true, header = true, quote = '"',
    escape = '"', delim = ',', filename = true) o;
"""

ORDER_RULES = (
    "order_id__not_null",
    "customer_id__not_null",
    "quantity__castable",
    "ordered_at__castable",
    "total_amount__ge",
    "status__isin",
    "customer_id__references_customers",
)
_BROKEN = " + ".join(ORDER_RULES)

_ORDER_KINDS = """
with judged as (
    select *, {broken} as broken from orders
), clean as (
    select * from judged where broken = 0
), versions as (
    select day, order_id, count(*) as copies, count(distinct updated_at) as versions,
        min(updated_at) as oldest, min(stamp(ordered_at)) as placed
    from clean group by all
), known as (
    select *, min(day) over (partition by order_id) < day as before from versions
)
select day,
    sum(copies - versions)::bigint as duplicates,
    sum(versions - 1)::bigint as in_file_updates,
    sum(before::int)::bigint as cross_day_updates,
    sum((not before and placed::date < day::date)::int)::bigint as late
from known group by day
"""

_NEWEST = """
create table newest as
select * exclude (position) from (
    select *, row_number() over (
        partition by order_id order by stamp(updated_at) desc
    ) as position
    from orders where {broken} = 0 and not list_contains($spoiled, day)
) where position = 1
"""


@dataclass(frozen=True)
class Part:
    """The figures of a file, as counted."""

    rows: int
    bytes: int
    cleaned: int
    quarantined: int
    deduplicated: int
    by_rule: dict[str, int]


RULES = {
    "orders": ORDER_RULES,
    "customers": ("customer_id__not_null", "email__str_matches"),
    "products": ("unit_price__ge", "name__not_null"),
}
KEYS = {"orders": "order_id", "customers": "customer_id", "products": "product_id"}


class Recount:
    """A shop's files in an engine.

    Args:
        root: The folder of the shop.
        spoiled: The partition keys that are no part of the business.
    """

    def __init__(self, root: Path, spoiled: Collection[str] = ()) -> None:
        """Load the files."""
        self.root = root
        self._engine = duckdb.connect(config={"threads": 1})
        self._engine.execute(_SETUP.format(root=root))
        self._engine.execute(_NEWEST.format(broken=_BROKEN), {"spoiled": list(spoiled)})

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        return self._engine.execute(sql).fetchall()

    def value(self, sql: str) -> Any:
        """The one value of a query."""
        return self.rows(sql)[0][0]

    def parts(self, dataset: str) -> dict[str, Part]:
        """The figures of each file with rows; of the clean rows of a key one is kept."""
        rules = RULES[dataset]
        broken = " + ".join(rules)
        sums = ", ".join(f"sum({rule})::bigint" for rule in rules)
        counted = self.rows(
            f"select day, count(*), count(*) filter ({broken} > 0), "
            f"count(distinct {KEYS[dataset]}) filter ({broken} = 0), {sums} "
            f"from {dataset} group by day"
        )
        return {
            day: Part(
                rows=rows,
                bytes=self.file(dataset, day).stat().st_size,
                cleaned=cleaned,
                quarantined=quarantined,
                deduplicated=rows - quarantined - cleaned,
                by_rule={rule: n for rule, n in zip(rules, by_rule, strict=True) if n},
            )
            for day, rows, quarantined, cleaned, *by_rule in counted
        }

    def file(self, dataset: str, key: str) -> Path:
        """The file of a partition."""
        return self.root / dataset / f"{'products' if dataset == 'products' else key}.csv"

    def most_rules_of_a_row(self, dataset: str) -> int:
        """The number of rules that the worst row breaks."""
        worst = self.value(f"select max({' + '.join(RULES[dataset])}) from {dataset}")
        return int(worst or 0)

    def order_kinds(self) -> dict[str, tuple[int, ...]]:
        """By day: duplicates, in-file updates, cross-day updates, late rows."""
        counted = self.rows(_ORDER_KINDS.format(broken=_BROKEN))
        return {day: tuple(kinds) for day, *kinds in counted}

    def sales(self) -> dict[tuple[str, str], tuple[int, int, Decimal]]:
        """By day of `ordered_at` and currency: orders, cancelled orders, amount."""
        counted = self.rows(
            "select stamp(ordered_at)::date::varchar, currency, "
            "count(*) filter (status <> 'cancelled'), count(*) filter (status = 'cancelled'), "
            "coalesce(sum(total_amount::decimal(18, 2)) filter (status <> 'cancelled'), 0) "
            "from newest group by all"
        )
        return {(day, currency): tuple(figures) for day, currency, *figures in counted}
