"""Incidents of identity: which row is which, and which row another one means.

Belongs here: declarations and their injectors. Does not belong here: how many rows there are
(``volume``).
"""

from __future__ import annotations

from platform_assets.drill.incident import Incident, Scene, learnt
from platform_assets.drill.incidents.values import changed

_UNIQUE, _REFERENCES = "uniqueness", "references"


def reused(scene: Scene) -> None:
    """A third of the new orders has the keys of orders of last week."""
    scene.rewrite(
        "SELECT * EXCLUDE (place, other) REPLACE (CASE WHEN "
        f"{scene.chance(0.33, 'order_id')} THEN coalesce(other, order_id) ELSE order_id END "
        "AS order_id) FROM (SELECT *, row_number() OVER () AS place FROM file) LEFT JOIN "
        "(SELECT order_id AS other, row_number() OVER () AS place "
        f"FROM {scene.clean_rows(7)}) USING (place) ORDER BY place"
    )


def shortened(scene: Scene) -> None:
    """Keys lose their last two digits: about a hundred orders share one."""
    scene.rewrite("SELECT * REPLACE (substr(order_id, 1, 8) AS order_id) FROM file")


INCIDENTS = (
    learnt(
        "key reused", "A third of the new orders has keys of orders of last week.",
        "orders", reused, _UNIQUE,
    ),
    learnt(
        "keys cut off", "order_id lost its last two digits: orders share a key.",
        "orders", shortened, "duplicates",
    ),
    Incident(
        "keys missing", "2 % of the orders have no order_id.",
        "orders", changed("order_id", "NULL", 0.02), "rules",
    ),
    Incident(
        "orphans", "5 % of the orders are of customers that do not exist.",
        "orders", changed("customer_id", "'C0999000'", 0.05), _REFERENCES,
    ),
    Incident(
        "other form of a foreign key", "customer_id is written without its C.",
        "orders", changed("customer_id", "substr(customer_id, 2)"), _REFERENCES,
    ),
    learnt(
        "one customer for all", "Every order is of one customer: a join went wrong.",
        "orders", changed("customer_id", "(SELECT min(customer_id) FROM file)"), "distinct",
    ),
)  # fmt: skip
