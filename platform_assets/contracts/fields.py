"""What a user writes about one column: `Field`, `Key`, `EventTime`.

Belongs here: the platform's own options and how they ride along in pandera's field.
Does not belong here: whether they make sense together; only a whole contract can tell, and
only there is a name to put into the error (see `columns.py`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Literal

import pandera.pandas as pandera
from pandera.errors import SchemaInitError

Severity = Literal["error", "warn", "info"]
Pii = Literal["hash", "mask", "drop"]

OPTIONS_KEY = "platform_assets"


@dataclass(frozen=True)
class FieldOptions:
    """The platform's options of one column, as they were written and not yet examined."""

    source: str | tuple[str, ...] | None = None
    severity: str = "error"
    pii: str | None = None
    references: str | None = None
    decimal: tuple[int, int] | None = None
    format: str | None = None
    key: bool = False
    event_time: bool = False
    cursor: bool = False
    pandera: dict[str, Any] = field(default_factory=dict)
    problem: str | None = None


def Field(
    *,
    source: str | tuple[str, ...] | None = None,
    severity: Severity = "error",
    pii: Pii | None = None,
    references: str | None = None,
    decimal: tuple[int, int] | None = None,
    format: str | None = None,
    key: bool = False,
    event_time: bool = False,
    cursor: bool = False,
    **pandera_field: Any,
) -> Any:
    """Describe one column of a contract.

    Args:
        source: The column's name in the source, where it is not the contract's. Of several, the
            first is the present name and the others are former ones, by which a delivery may
            still call it; the raw table has the present one.
        severity: What a broken rule of this column does: "error" sends the row to quarantine,
            "warn" publishes it and says so, "info" publishes it and only counts it. It covers
            every rule of the column; `Dataset(rules=...)` gives a single rule another.
        pii: How a personal value leaves for the cleaned layer: "hash" (keyed), "mask" or "drop".
        references: "dataset.column" in which every value must be found.
        decimal: Precision and scale of a `Decimal` column.
        format: strptime format of a `date` or `datetime` column, where it is not ISO 8601.
        key: The column is (part of) the row's identity.
        event_time: The column says when what the row tells of happened.
        cursor: Of two rows with one key, the one that has more here is the newer.
        **pandera_field: What `pandera.Field` takes: `ge`, `isin`, `nullable`, `unique`,
            `description` and so on.

    Returns:
        pandera's field, with the platform's options in its metadata.
    """
    metadata = dict(pandera_field.pop("metadata", None) or {})
    problem = None
    try:
        pandera.Field(**pandera_field)
    except (SchemaInitError, TypeError, ValueError, re.error) as error:
        # Told later, by the contract, which knows the column's name.
        problem, kept = str(error), {}
    else:
        kept = pandera_field
    options = FieldOptions(
        source=source,
        severity=severity,
        pii=pii,
        references=references,
        decimal=decimal,
        format=format,
        key=key,
        event_time=event_time,
        cursor=cursor,
        pandera=dict(pandera_field),
        problem=problem,
    )
    return pandera.Field(**kept, metadata={**metadata, OPTIONS_KEY: options})


def Key(**options: Any) -> Any:
    """Describe a column that is (part of) the row's identity; it is never null.

    Args:
        **options: As for `Field`.

    Returns:
        The field.
    """
    return Field(key=True, **options)


def EventTime(**options: Any) -> Any:
    """Describe the column that says when what the row tells of happened.

    Args:
        **options: As for `Field`.

    Returns:
        The field.
    """
    return Field(event_time=True, **options)
