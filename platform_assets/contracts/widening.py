"""Which column type holds the values of two others exactly.

Belongs here: the lattice of whole numbers and decimals. Does not belong here: what is done where
no type holds both (``drift``), or the statements that change a table.
"""

from __future__ import annotations

import re

from platform_assets.contracts.types import MAX_PRECISION

# Of 64 bits at most: a table's files keep HUGEINT as DOUBLE, which rounds.
_SIGNED = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT")
_UNSIGNED = ("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT")
_ROUNDED = ("HUGEINT", "UHUGEINT")
_DECIMAL = re.compile(r"DECIMAL\((\d+),(\d+)\)")


def storable(sql_type: str) -> str:
    """The type in which a table can keep values of a type without rounding them."""
    return "VARCHAR" if sql_type in _ROUNDED else sql_type


def holding(held: str, found: str) -> str | None:
    """The narrowest type that has every value of both with the same text, or nearly.

    Only whole numbers and decimals have one: a date read as a timestamp, or a FLOAT as a DOUBLE,
    has another text, by which a contract could judge it otherwise.

    Args:
        held: A type.
        found: Another one.

    Returns:
        The type; None where only text holds both.
    """
    if held == found:
        return held
    decimals = [_DECIMAL.fullmatch(each) for each in (held, found)]
    if decimals[0] and decimals[1]:
        scales = [int(each[2]) for each in decimals if each]
        whole = max(int(each[1]) - int(each[2]) for each in decimals if each)
        precision = whole + max(scales)
        return f"DECIMAL({precision},{max(scales)})" if precision <= MAX_PRECISION else None
    for family in (_SIGNED, _UNSIGNED):
        if held in family and found in family:
            return max(held, found, key=family.index)
    both = {held, found}
    signed, unsigned = both & set(_SIGNED), both & set(_UNSIGNED)
    if signed and unsigned:
        # An unsigned type fits into every wider signed one.
        least = max(_SIGNED.index(signed.pop()), _UNSIGNED.index(unsigned.pop()) + 1)
        return _SIGNED[least] if least < len(_SIGNED) else None
    return None
