"""How a personal value leaves for the cleaned layer: hashed, masked or dropped.

Belongs here: the SQL of it, and the session variables that carry the key.
Does not belong here: where the key comes from (settings).

The hash is HMAC-SHA256 (RFC 2104) computed by the engine. The key enters through two session
variables, so that it is in no SQL text, and with that in no log, plan, profile or error.
"""

from __future__ import annotations

import hashlib

from platform_assets.contracts.columns import Column
from platform_assets.sql import quote_identifier, quote_literal

INNER = "pii_inner"
OUTER = "pii_outer"
_BLOCK = 64


def pii_session_variables(key: bytes) -> dict[str, bytes]:
    """Derive the two padded keys that `pii_sql` reads.

    Args:
        key: The secret.

    Returns:
        Value by name, for `SET VARIABLE <name> = $value` on every connection that publishes.

    Raises:
        ValueError: The key is empty.
    """
    if not key:
        raise ValueError("the key for personal data must not be empty")
    if len(key) > _BLOCK:
        key = hashlib.sha256(key).digest()
    padded = key.ljust(_BLOCK, b"\0")
    return {
        INNER: bytes(b ^ 0x36 for b in padded),
        OUTER: bytes(b ^ 0x5C for b in padded),
    }


def published_type(column: Column) -> str | None:
    """Say what type a column has in the cleaned table.

    Args:
        column: The column.

    Returns:
        The SQL type, or None where the column is dropped.
    """
    if column.pii == "drop":
        return None
    return "VARCHAR" if column.pii else column.sql_type


def pii_sql(column: Column, alias: str = "") -> str:
    """Write the cleaned value of a typed column.

    Args:
        column: The column; one that is not personal is given back as it is.
        alias: The relation's alias, where the name needs one.

    Returns:
        An SQL expression; NULL stays NULL.

    Raises:
        ValueError: The column is dropped and has no cleaned value.
    """
    if column.pii == "drop":
        raise ValueError(f"column {column.name} is dropped and has no cleaned value")
    name = (f"{quote_identifier(alias)}." if alias else "") + quote_identifier(column.name)
    if column.pii is None:
        return name
    text = f"CAST({name} AS VARCHAR)"
    return _hash(text) if column.pii == "hash" else _mask(text)


def _variable(name: str) -> str:
    # Without the key every hash would silently be NULL.
    missing = quote_literal(f"the session variable {name} is not set: personal data has no key")
    return f"coalesce(getvariable('{name}'), CAST(error({missing}) AS BLOB))"


def _hash(text: str) -> str:
    inner = f"sha256({_variable(INNER)} || encode({text}))"
    digest = f"sha256({_variable(OUTER)} || unhex({inner}))"
    return f"CASE WHEN {text} IS NOT NULL THEN {digest} END"


def _mask(text: str) -> str:
    domain = rf"regexp_extract({text}, '^[^@\s]+@([A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+)$', 1)"
    return (
        f"CASE WHEN {text} IS NULL THEN NULL WHEN {domain} <> '' THEN '***@' || {domain}"
        " ELSE '***' END"
    )
