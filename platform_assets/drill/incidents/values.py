"""Incidents of numbers and of what is missing: rows that can be read, and say what is not so.

Belongs here: declarations and their injectors. Does not belong here: words (``vocabulary``), times
(``times``) and keys (``keys``).
"""

from __future__ import annotations

from platform_assets.drill.incident import Expect, Incident, Injector, Scene, learnt

_MEAN, _SPREAD, _RULES = "mean", "distribution", "rules"
_DRIFT_A_DAY = 1.02


def changed(column: str, value: str, share: float = 1.0, key: str = "order_id") -> Injector:
    """An injector that gives a column another value, in all rows or a share of them.

    Args:
        column: The column.
        value: SQL of the new value.
        share: The share of rows, at random by their key.
        key: The rows' key.
    """

    def inject(scene: Scene) -> None:
        scene.rewrite(
            f"SELECT * REPLACE (CASE WHEN {scene.chance(share, key)} THEN {value} "
            f"ELSE {column} END AS {column}) FROM file"
        )

    return inject


def times(factor: str, *columns: str, where: str = "true") -> Injector:
    """An injector that multiplies amounts."""
    replaced = ", ".join(
        f"CASE WHEN {where} THEN CAST(CAST(CAST({column} AS DECIMAL(18, 2)) * {factor} "
        f"AS DECIMAL(18, 2)) AS VARCHAR) ELSE {column} END AS {column}"
        for column in columns
    )

    def inject(scene: Scene) -> None:
        scene.rewrite(f"SELECT * REPLACE ({replaced}) FROM file")

    return inject


def creeping(scene: Scene) -> None:
    """Prices creep up by 2 % a day."""
    factor = str(_DRIFT_A_DAY ** (scene.number + 1))
    times(f"CAST({factor} AS DECIMAL(9, 6))", "unit_price", "total_amount")(scene)


def swapped(scene: Scene) -> None:
    """Two columns of the same type are swapped."""
    scene.rewrite(
        "SELECT * REPLACE (total_amount AS unit_price, unit_price AS total_amount) FROM file"
    )


def one_outlier(scene: Scene) -> None:
    """One order is of ten million."""
    scene.rewrite(
        "SELECT * REPLACE (CASE WHEN order_id = (SELECT max(order_id) FROM file) "
        "THEN '9999999.00' ELSE total_amount END AS total_amount) FROM file"
    )


def test_data(scene: Scene) -> None:
    """Somebody tried the shop out: 10 % more orders, all alike."""
    scene.rewrite(
        "SELECT * FROM file UNION ALL BY NAME SELECT * REPLACE ('O7' || substr(order_id, 3) AS "
        "order_id, '999' AS quantity, '1.00' AS unit_price, '999.00' AS total_amount) FROM file "
        f"WHERE {scene.chance(0.1, 'order_id')}"
    )


INCIDENTS = (
    learnt(
        "null share 1 to 6 %", "campaign is unknown in 6 % of the events, where it was 1 %.",
        "user_events", changed("campaign", "NULL", 0.05, "event_id"), "null_share",
    ),
    learnt(
        "a column all null", "campaign is null in every event.",
        "user_events", changed("campaign", "NULL", key="event_id"), "null_share",
    ),
    Incident(
        "a required column all null", "channel is empty in every order.",
        "orders", changed("channel", "NULL"), _RULES,
    ),
    Incident(
        "some nulls where none may be", "customer_id is empty in 3 % of the orders.",
        "orders", changed("customer_id", "NULL", 0.03), _RULES,
    ),
    learnt(
        "unit change: cents", "Amounts are in cents, not in whole units.",
        "orders", times("100", "unit_price", "total_amount"), _MEAN,
    ),
    learnt(
        "unit change: seconds", "duration_ms is in seconds.",
        "user_events", changed("duration_ms", "duration_ms // 1000", key="event_id"), _MEAN,
    ),
    learnt(
        "unit change in one country", "Amounts of orders from Germany are in cents.",
        "orders", times("100", "unit_price", "total_amount", where="country = 'DE'"), _MEAN,
    ),
    learnt(
        "columns swapped", "unit_price and total_amount, of the same type, are swapped.",
        "orders", swapped, _MEAN,
    ),
    Incident(
        "negative amounts", "5 % of the orders have a negative total: refunds were mixed in.",
        "orders", changed("total_amount", "'-' || total_amount", 0.05), _RULES,
    ),
    learnt(
        "outlier order", "One order is of ten million.",
        "orders", one_outlier, "outliers",
    ),
    learnt(
        "zero prices", "A fifth of the orders costs nothing.",
        "orders", changed("total_amount", "'0.00'", 0.2), _SPREAD,
    ),
    learnt(
        "constant column", "quantity is 1 in every order.",
        "orders", changed("quantity", "'1'"), _SPREAD,
    ),
    learnt(
        "sentinel for unknown", "duration_ms is 999999999 where it is not known, in 3 %.",
        "user_events", changed("duration_ms", "999999999", 0.03, "event_id"), "outliers",
    ),
    learnt(
        "zero for unknown", "duration_ms is 0 in a fifth of the events.",
        "user_events", changed("duration_ms", "0", 0.2, "event_id"), _SPREAD,
    ),
    learnt(
        "test data left in", "10 % more orders, each of 999 pieces at 1.00.",
        "orders", test_data, _SPREAD,
    ),
    learnt(
        "totals without the quantity", "total_amount is the price of one piece.",
        "orders", changed("total_amount", "unit_price"), _MEAN,
    ),
    learnt(
        "discount not booked", "Totals are 5 % too high.",
        "orders", times("1.05", "total_amount"), _MEAN, expect=Expect.PERHAPS,
    ),
    learnt(
        "cents cut off", "Totals are whole numbers: 12.95 is 12.00.",
        "orders",
        changed("total_amount", "regexp_replace(total_amount, '\\.[0-9]+$', '.00')"),
        _SPREAD, expect=Expect.PERHAPS,
    ),
    learnt(
        "gradual drift", "Prices creep up by 2 % a day.",
        # Each day looks like the one before it: nothing learnt from these days could tell.
        "orders", creeping, _MEAN, expect=Expect.PERHAPS, days=14, watch=14,
    ),
)  # fmt: skip
