"""The clean year, made once: every day's rows as the sources will deliver them.

Belongs here: bringing the demo shop's files, the weather and the other departments together in a
folder. Does not belong here: delivering (``source``), and anything that goes wrong
(``incidents``).
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

from platform_assets.demo import DirtRates, generate
from platform_assets.drill import departments
from platform_assets.drill.editing import Engine, csv_rows, engine, write_rows
from platform_assets.drill.plan import Plan
from platform_assets.drill.weather import TYPICAL, Weather
from platform_assets.sql import quote_literal

CLEAN = replace(DirtRates.none(), late=0.002, in_file_update=0.005, cross_day_update=0.02)
"""No dirt; but rows that come late, and orders that come again in a newer version, are normal."""

SPEND = "marketing_spend"
SUFFIXES = {
    "orders": "csv",
    "customers": "csv",
    "user_events": "ndjson",
    "tickets": "ndjson",
    "accounts": "ndjson",
}
_EVENTS_PER_ORDER = 3.0
_TICKETS_PER_ORDER = 0.1
_SPEND_PER_ORDER = 0.4
_ACCOUNTS_PER_ORDER = 0.03
_UNKNOWN_PHONES = 0.01
_DONE = "_made"


def make(folder: Path, plan: Plan) -> Path:
    """Make the rows of every day, where they were not made before.

    Args:
        folder: Where to; rows of another plan are replaced.
        plan: The drill.

    Returns:
        The folder.
    """
    done = folder / _DONE
    told = repr((plan, CLEAN))
    if done.is_file() and done.read_text(encoding="utf-8") == told:
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    weather = Weather(plan.seed, len(plan.every))
    with engine(plan.seed) as connection:
        _files(connection, folder, plan, weather)
        _departments(connection, folder, plan, weather)
    done.write_text(told, encoding="utf-8")
    return folder


def stored(folder: Path, dataset: str, day: str) -> Path:
    """The file of a dataset's day as it is to be delivered."""
    if dataset == "products":
        return folder / "products.csv"
    return folder / dataset / f"{day}.{SUFFIXES[dataset]}"


def stored_spend(folder: Path) -> Path:
    """The rows of the database's table, of every day."""
    return folder / f"{SPEND}.parquet"


def _files(connection: Engine, folder: Path, plan: Plan, weather: Weather) -> None:
    """Orders, customers and products: of a shop that is too large, what the weather leaves."""
    days = plan.every
    large = folder / "large"
    generate(
        large,
        start=date.fromisoformat(days[0]),
        days=len(days),
        orders_per_day=math.ceil(plan.orders_per_day / TYPICAL),
        seed=plan.seed,
        rates=CLEAN,
    )
    shutil.move(large / "products" / "products.csv", folder / "products.csv")
    connection.execute(
        "CREATE TABLE kept AS SELECT unnest($days) AS day, unnest($orders) AS orders, "
        "unnest($customers) AS customers",
        {
            "days": days,
            "orders": weather.shares("orders"),
            "customers": weather.shares("customers"),
        },
    )
    of_file = "regexp_extract(filename, '[0-9-]{10}')"
    # Whoever signed up before the first day stays; so does everybody who orders, of those who do.
    connection.execute(
        f"""
        CREATE TABLE customers AS
        SELECT c.* REPLACE (CASE WHEN roll(customer_id, c.updated_at) >= {_UNKNOWN_PHONES}
                            THEN phone END AS phone)
        FROM (SELECT * EXCLUDE filename, {of_file} AS day
              FROM {_with_names(large / "customers")}) AS c
        LEFT JOIN kept AS since ON since.day = substr(c.signed_up_at, 1, 10)
        JOIN kept AS now ON now.day = c.day
        WHERE (since.day IS NULL OR roll(customer_id, 'kept') < since.customers)
          AND (since.day = c.day OR c.day = '{days[0]}'
               OR roll(customer_id, c.day) < now.customers)
        """
    )
    connection.execute(
        f"""
        CREATE TABLE orders AS
        SELECT o.* FROM (SELECT * EXCLUDE filename, {of_file} AS day
                         FROM {_with_names(large / "orders")}) AS o
        JOIN kept ON kept.day = substr(o.ordered_at, 1, 10)
        WHERE roll(order_id, 'kept') < kept.orders
          AND customer_id IN (SELECT customer_id FROM customers)
        """
    )
    for name in ("customers", "orders"):
        _write_days(connection, folder, name, days)
    shutil.rmtree(large)


def _departments(connection: Engine, folder: Path, plan: Plan, weather: Weather) -> None:
    makers = (
        ("user_events", departments.make_user_events, _EVENTS_PER_ORDER),
        ("tickets", departments.make_tickets, _TICKETS_PER_ORDER),
        (SPEND, departments.make_spend, _SPEND_PER_ORDER),
        ("accounts", departments.make_accounts, _ACCOUNTS_PER_ORDER),
    )
    for name, maker, per_order in makers:
        largest = plan.orders_per_day / TYPICAL * per_order
        maker(connection, plan.every, departments.counts(largest, weather.shares(name)))
        if name in SUFFIXES:
            _write_days(connection, folder, name, plan.every)
    target = quote_literal(str(stored_spend(folder)))
    connection.execute(f"COPY {SPEND} TO {target} (FORMAT parquet)")


def _with_names(folder: Path) -> str:
    return csv_rows(folder / "*.csv").removesuffix(")") + ", filename = true)"


def _write_days(connection: Engine, folder: Path, name: str, days: Sequence[str]) -> None:
    for day in days:
        select = f"SELECT * EXCLUDE day FROM {name} WHERE day = '{day}'"
        write_rows(connection, select, stored(folder, name, day))
