"""The rows of the departments that the demo shop's files do not have.

Belongs here: user events, tickets, marketing spend and accounts of every day, as tables of the
source's engine. Does not belong here: orders, customers and products, which the demo shop's
generator makes, and where rows are delivered to (``source``).
"""

from __future__ import annotations

from collections.abc import Sequence

from platform_assets.demo.volume import WEEKDAY_PERCENT
from platform_assets.drill.editing import Engine

COUNTRY_SHARES = (
    ("GB", 40), ("DE", 12), ("FR", 10), ("US", 9), ("ES", 7), ("IT", 6),
    ("NL", 5), ("PL", 4), ("SE", 3), ("IE", 2), ("DK", 1), ("GR", 1),
)  # fmt: skip
_ACTION_SHARES = (
    ("view", 58), ("search", 17), ("add_to_cart", 12), ("checkout", 6), ("purchase", 5),
    ("share", 2),
)  # fmt: skip
_CAMPAIGNS = ("direct", "newsletter", "spring", "brand", "retarget", "partner")


def counts(per_day: float, shares: Sequence[float]) -> list[int]:
    """The rows of each day: a mean, a weekday, and the share that the weather leaves.

    Args:
        per_day: The largest mean over whole weeks.
        shares: Of each day, the first of which is a Monday.
    """
    week = len(WEEKDAY_PERCENT)
    return [
        round(per_day * WEEKDAY_PERCENT[day % week] / 100 * share)
        for day, share in enumerate(shares)
    ]


def make_user_events(engine: Engine, days: Sequence[str], rows: Sequence[int]) -> None:
    """Make the table ``user_events``.

    Args:
        engine: The source's engine.
        days: The days.
        rows: Rows of each of them.
    """
    _numbered(engine, "E", days, rows)
    engine.execute(
        f"""
        CREATE TABLE user_events AS SELECT day, id AS event_id,
            CASE WHEN roll(id, 'known') < 0.4
                 THEN 'C' || lpad(CAST(1 + CAST(floor(roll(id, 'who') * 3000) AS INTEGER)
                      AS VARCHAR), 7, '0') END AS customer_id,
            {_chosen("action", _ACTION_SHARES)} AS action,
            '/' || {_chosen("page", _even("home", "kitchen", "home-deco", "toys", "books"))}
                AS page,
            {_chosen("device", (("mobile", 55), ("desktop", 37), ("tablet", 8)))} AS device,
            {_chosen("country", COUNTRY_SHARES)} AS country,
            CASE WHEN roll(id, 'untold') >= 0.01
                 THEN {_chosen("campaign", _even(*_CAMPAIGNS))} END AS campaign,
            CAST(exp(9 + 0.7 * bell(id, 'duration')) AS INTEGER) AS duration_ms,
            {_moment("T")} AS occurred_at
        FROM numbered ORDER BY day, roll(id, 'second')
        """
    )


def make_tickets(engine: Engine, days: Sequence[str], rows: Sequence[int]) -> None:
    """Make the table ``tickets``.

    Args:
        engine: The source's engine.
        days: The days.
        rows: Rows of each of them.
    """
    _numbered(engine, "T", days, rows)
    topics = (("delivery", 45), ("returns", 20), ("payment", 15), ("product", 12), ("account", 8))
    statuses = (("open", 10), ("pending", 15), ("solved", 40), ("closed", 35))
    engine.execute(
        f"""
        CREATE TABLE tickets AS SELECT day, id AS ticket_id,
            {_chosen("topic", topics)} AS topic,
            {_chosen("priority", (("low", 25), ("normal", 60), ("high", 15)))} AS priority,
            {_chosen("status", statuses)} AS status,
            CAST(exp(4 + 0.8 * bell(id, 'reply')) AS INTEGER) AS first_reply_minutes,
            {_moment("T")} || 'Z' AS opened_at
        FROM numbered ORDER BY day, roll(id, 'second')
        """
    )


def make_spend(engine: Engine, days: Sequence[str], rows: Sequence[int]) -> None:
    """Make the table ``marketing_spend``.

    Args:
        engine: The source's engine.
        days: The days.
        rows: Rows of each of them.
    """
    _numbered(engine, "S", days, rows)
    channels = (("email", 15), ("push", 10), ("social", 30), ("search", 35), ("display", 10))
    engine.execute(
        f"""
        CREATE TABLE marketing_spend AS SELECT day, id AS spend_id,
            {_chosen("campaign", _even(*_CAMPAIGNS[1:]))} AS campaign,
            {_chosen("channel", channels)} AS channel,
            1 + CAST(floor(exp(2.5 + 0.6 * bell(id, 'clicks'))) AS INTEGER) AS clicks,
            CAST(CAST(exp(3 + 0.6 * bell(id, 'cost')) AS DECIMAL(18, 2)) AS VARCHAR) AS cost,
            {_moment(" ")} AS booked_at, {_moment(" ")} AS updated_at
        FROM numbered ORDER BY day, roll(id, 'second')
        """
    )


def make_accounts(engine: Engine, days: Sequence[str], rows: Sequence[int]) -> None:
    """Make the table ``accounts``: one line of the change log a row, in the log's order.

    Args:
        engine: The source's engine.
        days: The days.
        rows: New accounts of each of them; each is changed on up to three later days.
    """
    _numbered(engine, "A", days, rows)
    engine.execute(
        f"""
        CREATE TEMP TABLE changes AS
        SELECT id, step, CAST(CAST(day AS DATE) + CAST(step * (1 + floor(roll(id, 'pace') * 3))
            AS INTEGER) AS VARCHAR) AS day, {_moment(" ")} AS opened_at
        FROM numbered, unnest(range(0, 1 + CAST(floor(roll(id, 'changes') * 4) AS INTEGER)))
            AS steps(step)
        """
    )
    plans = _chosen("plan", (("free", 70), ("plus", 20), ("family", 10)))
    locales = _chosen("locale", (("en-GB", 60), ("de-DE", 20), ("fr-FR", 20)))
    engine.execute(
        f"""
        CREATE TABLE accounts AS SELECT day,
            {{account_id: id}} AS key,
            {{before: CAST(NULL AS VARCHAR),
              after: {{account_id: id, plan: {plans}, locale: {locales},
                       logins: CAST(step AS VARCHAR), opened_at: opened_at, updated_at: moment}},
              source: {{lsn: lsn, ts_ms: epoch_ms(CAST(moment AS TIMESTAMP))}},
              op: CASE WHEN step = 0 THEN 'c' ELSE 'u' END,
              ts_ms: epoch_ms(CAST(moment AS TIMESTAMP))}} AS value
        FROM (SELECT *, 1000 + row_number() OVER (ORDER BY moment, id, step) AS lsn
              FROM (SELECT *, day || substr(opened_at, 11) AS moment FROM changes))
        WHERE day <= '{days[-1]}'
        ORDER BY lsn
        """
    )
    engine.execute("DROP TABLE changes")


def _numbered(engine: Engine, letter: str, days: Sequence[str], rows: Sequence[int]) -> None:
    """Make the table ``numbered``: a row for each row to be made, with its key and day."""
    engine.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE numbered AS
        SELECT '{letter}' || lpad(CAST(row_number() OVER (ORDER BY day, n) AS VARCHAR), 9, '0')
            AS id, day
        FROM (SELECT unnest($days) AS day, unnest($rows) AS size),
             unnest(range(0, size)) AS numbers(n)
        """,
        {"days": list(days), "rows": list(rows)},
    )


def _moment(between: str) -> str:
    """SQL of a time of the row's day, more often in the afternoon."""
    second = "CAST(floor(86000 * (roll(id, 'second') + roll(id, 'minute')) / 2) AS INTEGER)"
    return f"strftime(CAST(day AS TIMESTAMP) + to_seconds({second}), '%Y-%m-%d{between}%H:%M:%S')"


def _chosen(word: str, shares: Sequence[tuple[str, int]]) -> str:
    """SQL of a choice by shares."""
    total = sum(share for _, share in shares)
    cases, upto = [], 0
    for value, share in shares:
        upto += share
        cases.append(f"WHEN roll(id, '{word}') < {upto / total} THEN '{value}'")
    return f"CASE {' '.join(cases)} ELSE '{shares[-1][0]}' END"


def _even(*values: str) -> tuple[tuple[str, int], ...]:
    return tuple((value, 1) for value in values)
