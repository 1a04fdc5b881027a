"""Change events as Debezium writes them.

Belongs here: the envelope, with and without its schema, and the tombstone. Does not belong here:
which changes there are (`tickets.py`).

A line is one message: its key and its value, which a message queue keeps apart.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

DATABASE = "support"
TABLE = "tickets"

_SERVER = "shop"
_SOURCE = (("db", "string"), ("table", "string"), ("lsn", "int64"), ("ts_ms", "int64"))
_LAG_MILLISECONDS = 250


@dataclass(frozen=True)
class Change:
    """A change of one row.

    Args:
        op: `c`, `u`, `d`, or `r` for a row that was there when the log began.
        before: The row before; None for `c` and `r`.
        after: The row after; None for `d`.
        lsn: Its position in the log of the database.
        at_ms: When it was made, in milliseconds since 1970.
    """

    op: str
    before: Mapping[str, str | None] | None
    after: Mapping[str, str | None] | None
    lsn: int
    at_ms: int


class Envelope:
    """Writes the changes of a table as lines.

    Args:
        key: The table's key.
        columns: The table's columns; all are texts.
        nullable: Those of them that may be null.
        with_schema: Whether key and value carry their schema.
    """

    def __init__(
        self, key: str, columns: Sequence[str], nullable: Sequence[str], *, with_schema: bool
    ) -> None:
        """Write down the schemas once."""
        self._key = key
        self._with_schema = with_schema
        name = f"{_SERVER}.public.{TABLE}"
        row = [_text(column, optional=column in nullable) for column in columns]
        self._key_schema = _struct(row[:1], name=f"{name}.Key", optional=False)
        self._value_schema = _struct(
            [
                _struct(row, name=f"{name}.Value", optional=True, field="before"),
                _struct(row, name=f"{name}.Value", optional=True, field="after"),
                _struct(
                    [{"type": kind, "optional": False, "field": field} for field, kind in _SOURCE],
                    name="io.debezium.connector.postgresql.Source",
                    optional=False,
                    field="source",
                ),
                {"type": "string", "optional": False, "field": "op"},
                {"type": "int64", "optional": True, "field": "ts_ms"},
            ],
            name=f"{name}.Envelope",
            optional=False,
        )

    def lines(self, change: Change) -> list[bytes]:
        """The lines of a change: one, and the tombstone after a delete.

        Args:
            change: The change.
        """
        row = change.after or change.before or {}
        key = self._wrapped(self._key_schema, {self._key: row[self._key]})
        source = {"db": DATABASE, "table": TABLE, "lsn": change.lsn, "ts_ms": change.at_ms}
        payload = {
            "before": change.before,
            "after": change.after,
            "source": source,
            "op": change.op,
            "ts_ms": change.at_ms + _LAG_MILLISECONDS,
        }
        lines = [_line(key, self._wrapped(self._value_schema, payload))]
        return [*lines, _line(key, None)] if change.op == "d" else lines

    def _wrapped(self, schema: Mapping[str, Any], payload: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"schema": schema, "payload": payload} if self._with_schema else payload


def _text(column: str, *, optional: bool) -> dict[str, Any]:
    return {"type": "string", "optional": optional, "field": column}


def _struct(
    fields: Sequence[Mapping[str, Any]], *, name: str, optional: bool, field: str = ""
) -> dict[str, Any]:
    named = {"field": field} if field else {}
    return {"type": "struct", "fields": list(fields), "optional": optional, "name": name, **named}


def _line(key: Mapping[str, Any], value: Mapping[str, Any] | None) -> bytes:
    return json.dumps({"key": key, "value": value}, ensure_ascii=False).encode() + b"\n"
