"""The column types that a contract knows: annotation, SQL type, pandas type.

Belongs here: the one table of types. Does not belong here: how text becomes such a value
(`casts.py`) or what may be said about it (`checks.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa
from pandas.api.extensions import ExtensionDtype

MAX_PRECISION = 38
"""Digits that DuckDB's and Arrow's 128 bit decimals hold."""


@dataclass(frozen=True)
class ColumnType:
    """One type in its three worlds."""

    python: type
    sql: str
    dtype: Any
    """What pandera checks a frame's column for."""
    series: Callable[[pa.ChunkedArray], pd.Series]
    """Arrow values as a pandas series of that type."""
    precision: int = 0
    scale: int = 0


def _extension(dtype: ExtensionDtype) -> Callable[[pa.ChunkedArray], pd.Series]:
    def convert(values: pa.ChunkedArray) -> pd.Series:
        return pd.Series(values.to_pandas(types_mapper=lambda _: dtype))

    return convert


def _timestamps(values: pa.ChunkedArray) -> pd.Series:
    return pd.Series(values.cast(pa.timestamp("us")).to_pandas().astype("datetime64[us]"))


# String storage is pinned: with pyarrow's, `.str.match` runs another regex engine than `re`.
_TEXT = pd.StringDtype("python")

# Arrow-backed, as decimals are: objects cannot be compared where one of them is None.
_DATE = pd.ArrowDtype(pa.date32())

_PLAIN = {
    t.python: t
    for t in (
        ColumnType(str, "VARCHAR", _TEXT, _extension(_TEXT)),
        ColumnType(int, "BIGINT", pd.Int64Dtype(), _extension(pd.Int64Dtype())),
        ColumnType(float, "DOUBLE", pd.Float64Dtype(), _extension(pd.Float64Dtype())),
        ColumnType(bool, "BOOLEAN", pd.BooleanDtype(), _extension(pd.BooleanDtype())),
        ColumnType(date, "DATE", _DATE, _extension(_DATE)),
        ColumnType(datetime, "TIMESTAMP", "datetime64[us]", _timestamps),
    )
}

NAMES = ", ".join(sorted({t.__name__ for t in (*_PLAIN, Decimal)}))


def column_type(annotation: object, decimal: tuple[int, int] | None) -> ColumnType | None:
    """Find the type that an annotation stands for.

    Args:
        annotation: What the user wrote behind the colon.
        decimal: Precision and scale, already examined; only for `Decimal`.

    Returns:
        The type, or None where a contract knows no such type.
    """
    if annotation is Decimal and decimal is not None:
        # Arrow's decimal and not pandera's own: that one counts the minus sign as a digit.
        dtype = pd.ArrowDtype(pa.decimal128(*decimal))
        sql = f"DECIMAL({decimal[0]},{decimal[1]})"
        return ColumnType(Decimal, sql, dtype, _extension(dtype), *decimal)
    return _PLAIN.get(annotation) if isinstance(annotation, type) else None
