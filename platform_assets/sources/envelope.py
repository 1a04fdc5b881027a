"""Debezium's envelope: landed lines become events, each with what happened, where and when.

Belongs here: events, their columns and their positions. Does not belong here: the SQL that reads a
line (``envelope_parsing``), and where the lines come from (``change_log``, ``change_stream``).

A line is an envelope (``op``, ``before``, ``after``, ``source``, ``ts_ms``), bare or as ``payload``
beside its ``schema``, with or without its key (``{"key": …, "value": …}``); a value of null is a
tombstone, which says nothing that the delete before it has not said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

import duckdb

from platform_assets.errors import SourceError
from platform_assets.provenance import FILE_COLUMN, PARTITION_COLUMN, PLATFORM_COLUMNS
from platform_assets.sources.base import TEXT, SourceColumn
from platform_assets.sources.change_source import ChangeRequest, Control
from platform_assets.sources.envelope_parsing import ESCAPED_MARK, MARK, parsed, pointer
from platform_assets.sources.log_landing import MAX_LINE_BYTES, SEPARATOR, Landing
from platform_assets.sql import literal_list, quote_literal
from platform_assets.sql import quote_identifier as q

OnBadLine = Literal["refuse", "quarantine"]
Unit = Literal["days", "millis", "micros", "nanos"]

LINE_COLUMN = "_line"
"""Where a line that is no event is kept as it came."""
ORDER = "_position, _place"
"""The order of events, those at one position as they stand in the log."""

_EVENTS, _PIECES, _REJECTS, _SCANS = "_log_events", "_log_pieces", "_log_rejects", "_log_scans"
_SHOWN_LINES = 5
_MARKED_NUMBER = r'"\\u0001\\u0002([^"]*)"'
_TIMES: Mapping[Unit, str] = {
    "days": "DATE '1970-01-01' + CAST({} AS INTEGER)",
    "millis": "make_timestamp({} * 1000)",
    "micros": "make_timestamp({})",
    "nanos": "make_timestamp_ns({})",
}


@dataclass
class Envelopes:
    """Landed lines, read as events.

    Attributes:
        engine: The engine.
        landing: The lines.
        reader: Who reads, for messages.
        key: The columns that identify a row.
        position: Path of the position in an envelope, such as ``source.scn``; None: ``source.lsn``,
            or ``source.file`` and ``source.pos``.
        on_bad_line: What becomes of a line that is no event.
        units: Columns that hold a time as a number, and the number's unit.
    """

    engine: duckdb.DuckDBPyConnection
    landing: Landing
    reader: str
    key: tuple[str, ...] = ()
    position: str | None = None
    on_bad_line: OnBadLine = "refuse"
    units: Mapping[str, Unit] = field(default_factory=dict)

    def parse(self) -> None:
        """Lay out what the lines say.

        Raises:
            SourceError: A line is no event, and such lines are refused.
        """
        pieces = ", ".join(
            f"({number}, {quote_literal(str(piece.path))}, {quote_literal(piece.name)}, "
            f"{piece.first_line})"
            for number, piece in enumerate(self.landing.pieces)
        )
        self.engine.execute(
            f"CREATE OR REPLACE TEMP TABLE {_PIECES} AS FROM (VALUES "
            f"{pieces or '(0, NULL, NULL, 1)'}) AS t(number, path, name, first_line)"
        )
        self.engine.execute(
            f"CREATE OR REPLACE TEMP TABLE {_EVENTS} AS "
            + parsed(self._lines(), self.key, self.position)
        )
        self._refuse_unreadable()
        if self.on_bad_line == "refuse":
            self._refuse_bad()

    def drop(self) -> None:
        """Leave nothing in the engine."""
        for name in (_EVENTS, _PIECES, _REJECTS, _SCANS):
            self.engine.execute(f"DROP TABLE IF EXISTS {name}")

    def _lines(self) -> str:
        if not self.landing.pieces:
            return f"(SELECT CAST(NULL AS {TEXT}) AS line, '' AS filename WHERE false)"
        paths = ", ".join(quote_literal(str(piece.path)) for piece in self.landing.pieces)
        return (
            f"read_csv([{paths}], columns={{'line': '{TEXT}'}}, delim={quote_literal(SEPARATOR)}, "
            "quote='', escape='', comment='', header=false, auto_detect=false, filename=true, "
            f"parallel=false, strict_mode=false, max_line_size={MAX_LINE_BYTES}, "
            f"store_rejects=true, rejects_table='{_REJECTS}', rejects_scan='{_SCANS}')"
        )

    def _refuse_unreadable(self) -> None:
        """Raise where the engine could not take a line at all."""
        if not self.landing.pieces:
            return
        found = self.engine.execute(
            f"SELECT p.name, p.first_line + r.line - 1, CAST(r.error_type AS {TEXT}) "
            f"FROM {_REJECTS} AS r JOIN {_SCANS} AS s USING (scan_id, file_id) "
            f"JOIN {_PIECES} AS p ON p.path = s.file_path ORDER BY ALL LIMIT 1"
        ).fetchone()
        if found is not None:
            raise SourceError(
                "A line of a change log cannot be read",
                where=f"{self.reader}, {found[0]}, line {found[1]}",
                expected=f"UTF-8, at most {MAX_LINE_BYTES:,} bytes",
                found=str(found[2]).lower(),
                fix="have the log written again, or take the line out; nothing was loaded",
            )

    def _refuse_bad(self) -> None:
        """Raise where a line is no event."""
        found = self.engine.execute(
            f"SELECT p.name, p.first_line + e.rowid - f.first, e.problem, count(*) OVER () "
            f"FROM {_EVENTS} AS e JOIN {_PIECES} AS p ON p.path = e.piece "
            f"JOIN (SELECT piece, min(rowid) AS first FROM {_EVENTS} GROUP BY 1) AS f "
            f"ON f.piece = e.piece WHERE e.kind = 'bad' ORDER BY p.number, e.rowid "
            f"LIMIT {_SHOWN_LINES}"
        ).fetchall()
        if not found:
            return
        total = found[0][3]
        more = f"; and {total - len(found):,} more" if total > len(found) else ""
        raise SourceError(
            "A change log has a line that is no event",
            where=f"{self.reader}, {found[0][0]}, line {found[0][1]}",
            expected="an envelope: op, before or after with the key, and a position",
            found="; ".join(f"{name}, line {n}: {said}" for name, n, said, _ in found) + more,
            fix="have the line corrected; say position=… where it is another field; or set "
            'on_bad_line="quarantine", which keeps such lines. Nothing was loaded',
        )

    def fields(self, first: Sequence[str] = ()) -> tuple[SourceColumn, ...]:
        """The columns that the events have, those of the contract first, also where none has one.

        Args:
            first: Names to begin with.

        Raises:
            SourceError: A field's name cannot be a column's.
        """
        rows = self.engine.execute(
            f"SELECT DISTINCT unnest(json_keys(row_)) FROM {_EVENTS} WHERE kind = 'event' "
            f"AND row_ IS NOT NULL UNION SELECT DISTINCT unnest(json_keys(key_)) FROM {_EVENTS} "
            "WHERE kind = 'event' AND row_ IS NULL"
        ).fetchall()
        found = sorted({str(name) for (name,) in rows})
        lowered = [name.lower() for name in found]
        reserved = {*PLATFORM_COLUMNS, LINE_COLUMN, "_place"}
        odd = [
            name
            for name in found
            if not name or "\0" in name or name in reserved or lowered.count(name.lower()) > 1
        ]
        if odd:
            raise SourceError(
                "A field of a change log cannot be a column",
                where=self.reader,
                expected="names that differ in more than case, and none of the platform's own",
                found=", ".join(map(repr, odd)),
                fix="rename it in the connector (transforms)",
            )
        spelled = {name.lower(): name for name in found}
        named = [spelled.pop(name.lower(), name) for name in first]
        columns = [SourceColumn(name) for name in [*named, *sorted(spelled.values())]]
        return tuple([*columns, SourceColumn(LINE_COLUMN)] if self._count("bad") else columns)

    def select(self, request: ChangeRequest, columns: Sequence[SourceColumn]) -> str:
        """The events, as a change source gives them.

        Args:
            request: What was asked.
            columns: What ``fields`` told.
        """
        own = [column.name for column in columns if column.name != LINE_COLUMN]
        kept = len(own) < len(columns)
        pointers = "[" + ", ".join(quote_literal(pointer(name)) for name in own) + "]"
        keys = {name.lower() for name in self.key}
        marked = self.engine.execute(f"SELECT bool_or(marked) FROM {_EVENTS}").fetchone() == (True,)
        values = [
            f"{self._value(number, name, marked=marked, key=name.lower() in keys)} AS {q(name)}"
            for number, name in enumerate(own, start=1)
        ]
        now = f"TIMESTAMP '{datetime.now(UTC).replace(tzinfo=None)}'"
        line = [f"CAST(NULL AS {TEXT}) AS {LINE_COLUMN}"] if kept else []
        events = (
            f"SELECT {', '.join([*values, *line])}, e.op AS _op, e.position AS _position, "
            f"coalesce(e.changed, {now}) AS _changed_at, p.name AS {FILE_COLUMN}, _place "
            f"FROM (SELECT *, rowid AS _place, "
            f"json_extract_string(coalesce(row_, key_), {pointers}) AS x "
            f"FROM {_EVENTS} WHERE kind = 'event') AS e "
            f"JOIN {_PIECES} AS p ON p.path = e.piece"
        )
        partition = request.partition_sql({}, "_changed_at")
        listed = ", ".join(q(column.name) for column in columns)
        told = f"{FILE_COLUMN}, _op, _position, _changed_at, _place"
        placed = f"SELECT {listed}, {partition} AS {PARTITION_COLUMN}, {told} FROM ({events})"
        if not kept:
            return placed
        nothing = ", ".join([f"CAST(NULL AS {TEXT})"] * len(own))
        place = quote_literal(max(request.requested))
        return (
            f"{placed} UNION ALL SELECT {nothing + ', ' if own else ''}e.line, {place}, p.name, "
            f"'r', NULL, {now}, e.rowid FROM {_EVENTS} AS e JOIN {_PIECES} AS p "
            "ON p.path = e.piece WHERE e.kind = 'bad'"
        )

    def _value(self, number: int, name: str, *, marked: bool, key: bool) -> str:
        """SQL of a column's text."""
        value = f"x[{number}]"
        if key:
            value = f"coalesce({value}, json_extract_string(key_, {quote_literal(pointer(name))}))"
        if marked:
            mark = quote_literal(MARK)
            value = (
                f"CASE WHEN starts_with({value}, {mark}) THEN substr({value}, {len(MARK) + 1}) "
                f"WHEN contains({value}, {quote_literal(ESCAPED_MARK)}) THEN regexp_replace("
                f"{value}, {quote_literal(_MARKED_NUMBER)}, '\\1', 'g') ELSE {value} END"
            )
        unit = {each.lower(): unit for each, unit in self.units.items()}.get(name.lower())
        if unit is not None:
            made = _TIMES[unit].format(f"TRY_CAST({value} AS BIGINT)")
            return f"coalesce(CAST(TRY({made}) AS {TEXT}), {value})"
        return value

    def controls(self, staged: str) -> tuple[Control, ...]:
        """Lines as the bytes tell, and what became of them.

        Args:
            staged: The staged rows, as a relation.
        """
        row = self.engine.execute(f"SELECT count(*) FROM {staged}").fetchone()
        assert row is not None  # a count has one row
        arrived = int(row[0]) + self._count("tombstone", "held")
        return (Control("lines", str(self.landing.lines), str(arrived)),)

    def newest_positions(self) -> tuple[int, ...]:
        """The two highest positions of events, the highest first; fewer where there are fewer."""
        rows = self.engine.execute(
            f"SELECT DISTINCT position FROM {_EVENTS} WHERE position IS NOT NULL "
            "ORDER BY position DESC LIMIT 2"
        ).fetchall()
        return tuple(int(position) for (position,) in rows)

    def count_after(self, position: int | None) -> int:
        """Events of higher positions.

        Args:
            position: The position; None: all events count.
        """
        beyond = "true" if position is None else f"position > {position}"
        row = self.engine.execute(
            f"SELECT count(*) FROM {_EVENTS} WHERE kind = 'event' AND {beyond}"
        ).fetchone()
        return int(row[0]) if row else 0

    def unread(self, after: int | None, held: int) -> tuple[int, datetime | None]:
        """How many events there are that are not kept yet, and when the oldest was made (UTC).

        Args:
            after: The position up to which all are kept; None: there is none.
            held: How many of those after it are kept, from the first on.
        """
        beyond = "true" if after is None else f"position > {after}"
        # Who does not know the key cannot read of which row a delete is that tells only its key.
        row = self.engine.execute(
            f"SELECT count(*), min(changed) FROM (SELECT changed FROM {_EVENTS} "
            f"WHERE kind = 'event' AND {beyond} OR kind = 'bad' AND op = 'd' "
            f"ORDER BY rowid OFFSET {held})"
        ).fetchone()
        assert row is not None  # a count has one row
        return int(row[0]), row[1] and row[1].replace(tzinfo=UTC)

    def leave_out_held(self, request: ChangeRequest, after: int) -> None:
        """Leave out events that were given again.

        Args:
            request: What was asked, with what is held.
            after: The position after which events may have been given before.
        """
        if request.held is None:
            return
        keys = ", ".join(f"CAST({q(name)} AS {TEXT})" for name in request.key)
        self.engine.execute(
            f"UPDATE {_EVENTS} SET kind = 'held' WHERE kind = 'event' AND position > {after} "
            f"AND (position, op, keys) IN (SELECT (_position, _op, [{keys}]) "
            f"FROM {request.held.table} WHERE _position > {after})"
        )

    def _count(self, *kinds: str) -> int:
        row = self.engine.execute(
            f"SELECT count(*) FROM {_EVENTS} WHERE kind IN {literal_list(kinds)}"
        ).fetchone()
        return int(row[0]) if row else 0
