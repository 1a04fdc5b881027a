"""Incidents of words: categories, codes and names that are not what they were.

Belongs here: declarations and their injectors. Does not belong here: numbers (``values``).
"""

from __future__ import annotations

from platform_assets.drill.incident import Expect, Incident, learnt
from platform_assets.drill.incidents.values import changed

_CATEGORIES, _RULES = "categories", "rules"

INCIDENTS = (
    Incident(
        "new status value", "3 % of the orders have the status on_hold, which is new.",
        "orders", changed("status", "'on_hold'", 0.03), _RULES,
    ),
    Incident(
        "enum renamed", "delivered is called completed.",
        "orders", changed("status", "CASE status WHEN 'delivered' THEN 'completed' "
        "ELSE status END"), _RULES,
    ),
    learnt(
        "new free category", "4 % of the events have the action wishlist, which is new.",
        "user_events", changed("action", "'wishlist'", 0.04, "event_id"), _CATEGORIES,
    ),
    learnt(
        "free category renamed", "add_to_cart is called cart_add.",
        "user_events",
        changed("action", "CASE action WHEN 'add_to_cart' THEN 'cart_add' ELSE action END",
                key="event_id"),
        _CATEGORIES,
    ),
    learnt(
        "case of a category", "Country codes are in lower case.",
        "orders", changed("country", "lower(country)"), _CATEGORIES,
    ),
    learnt(
        "spaces in a category", "A third of the devices has a space behind it.",
        "user_events", changed("device", "device || ' '", 0.33, "event_id"), _CATEGORIES,
    ),
    Incident(
        "other country codes", "Countries are written with three letters.",
        "orders", changed("country", "country || 'X'"), _RULES,
    ),
    learnt(
        "constant category", "Every order is by the web.",
        "orders", changed("channel", "'web'"), _CATEGORIES,
    ),
    learnt(
        "one status for all", "Every order is placed: updates do not arrive.",
        "orders", changed("status", "'placed'"), _CATEGORIES,
    ),
    learnt(
        "currency flipped for one market", "Orders from Great Britain are told in EUR.",
        "orders", changed("currency", "CASE WHEN country = 'GB' THEN 'EUR' ELSE currency END"),
        _CATEGORIES,
    ),
    learnt(
        "currencies swapped", "GBP stands where EUR was, and EUR where GBP was.",
        "orders",
        changed("currency", "CASE currency WHEN 'GBP' THEN 'EUR' WHEN 'EUR' THEN 'GBP' "
                "ELSE currency END"),
        _CATEGORIES,
    ),
    Incident(
        "first and last name swapped", "Names are written 'last first'.",
        "customers",
        changed("full_name", "regexp_replace(full_name, '^(\\S+) (.+)$', '\\2 \\1')",
                key="customer_id"),
        "none: names are dropped", Expect.PERHAPS,
    ),
    Incident(
        "addresses overwritten", "Half of the e-mail addresses are n/a.",
        "customers", changed("email", "'n/a'", 0.5, "customer_id"), _RULES,
    ),
    learnt(
        "one address for all", "Every customer has the e-mail address of the shop.",
        "customers", changed("email", "'info@shop.example'", key="customer_id"), "distinct",
    ),
)  # fmt: skip
