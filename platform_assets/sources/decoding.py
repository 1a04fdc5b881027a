"""What Postgres's ``test_decoding`` writes: lines of changes become rows of a table.

Belongs here: its grammar, and what follows from a line within the lines that came with it. Does not
belong here: reading the slot (``postgres_log``).

The plugin comes with every Postgres and writes each value as the database itself prints it, so that
nothing is rounded and the engine can take a line apart by its grammar. (``pgoutput`` is binary, and
would have to pass through Python.) A value that is too large for its row is left out of a line
where it did not change; it is taken from the version before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from platform_assets.errors import SourceError
from platform_assets.provenance import DELETED
from platform_assets.sources.base import TEXT
from platform_assets.sources.change_source import Held
from platform_assets.sql import quote_identifier as q
from platform_assets.sql import quote_literal

CHANGES = "_log_changes"
"""``(place, lsn, data, moment)``: the table's lines in the order of their transactions."""
ROWS = "_log_rows"
"""``(_place, _position, _op, _changed_at, _key, _was, _gaps)`` and the table's columns as text."""
_TOKENS, _FILL, _SEEN = "_log_tokens", "_log_fill", "_log_seen"
TEMPORARY = (CHANGES, ROWS, _TOKENS, _FILL, _SEEN)

_IDENTIFIER = r'(?:"(?:[^"]|"")+"|[^"\[\] ,:.]+)'
_TYPE = r'\[(?:"(?:[^"]|"")*"|\[\]|[^"\]])+\]'
_VALUE = r"(?:B?'(?:[^']|'')*'|[^' ]+)"
_TOKEN = rf" (?:old-key:|new-tuple:|\(no-tuple-data\)|{_IDENTIFIER}{_TYPE}:{_VALUE})"
_UNCHANGED = "unchanged-toast-datum"


@dataclass
class Decoding:
    """Lines of one table.

    Attributes:
        engine: The engine; the lines are in ``CHANGES``.
        reader: Who reads, for messages.
        table: The table's name as the lines write it.
        columns: The table's columns in their order, each as it is and as the lines write it.
        key: The columns that identify a row.
        held: What is held of the table.
    """

    engine: duckdb.DuckDBPyConnection
    reader: str
    table: str
    columns: dict[str, str]
    key: tuple[str, ...]
    held: Held | None

    def decode(self) -> None:
        """Lay out the rows.

        Raises:
            SourceError: A line is not of the grammar, or does not tell enough.
        """
        self._take_apart()
        self._find_former_columns()
        self._lay_out()
        self._truncate()
        for column in self._gaps():
            self._fill(column)

    @property
    def extra_rows(self) -> int:
        """Rows beyond one a line: an update of a key is a delete too, a truncate many of them."""
        return self._count(ROWS) - self._count(CHANGES)

    def _count(self, relation: str) -> int:
        row = self.engine.execute(f"SELECT count(*) FROM {relation}").fetchone()
        assert row is not None  # a count has one row
        return int(row[0])

    def _take_apart(self) -> None:
        """Lines as lists of columns with their values, before and after the change."""
        prefix = len(f"table {self.table}: ")
        names = rf"{_IDENTIFIER}\.{_IDENTIFIER}"
        truncated = rf"^table ({names}(?:, {names})*): TRUNCATE: "
        self.engine.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE {_TOKENS} AS
            SELECT place, lsn, moment, what, split, tokens,
                   CASE WHEN split > 0 THEN tokens[2:split - 1]
                        WHEN what = 'DELETE' THEN tokens END AS old,
                   CASE WHEN split > 0 THEN tokens[split + 1:]
                        WHEN what <> 'DELETE' THEN tokens END AS new, readable
            FROM (SELECT *, CASE WHEN what = 'UPDATE' AND tokens[1] = ' old-key:'
                            THEN list_position(tokens, ' new-tuple:') ELSE 0 END AS split,
                         what = 'TRUNCATE' OR (what IN ('INSERT', 'UPDATE', 'DELETE')
                             AND strlen(array_to_string(tokens, '')) = strlen(body)) AS readable
            FROM (SELECT *, CASE WHEN what <> 'TRUNCATE'
                            THEN regexp_extract_all(body, {quote_literal(_TOKEN)}) END AS tokens
            FROM (SELECT place, lsn, moment,
                         CASE WHEN whole THEN 'TRUNCATE'
                              ELSE split_part(data[{prefix + 1}:], ':', 1) END AS what,
                         substr(data, instr(data[{prefix + 1}:], ':') + {prefix} + 1) AS body
            FROM (SELECT *, regexp_matches(data, {quote_literal(truncated)}) AS whole
                  FROM {CHANGES}))))
            ORDER BY place
            """
        )
        found = self.engine.execute(
            f"SELECT count(*) FILTER (NOT readable OR readable IS NULL), "
            f"count(*) FILTER (what = 'DELETE' AND tokens[1] = ' (no-tuple-data)') FROM {_TOKENS}"
        ).fetchone()
        assert found is not None  # an aggregate has one row
        if found[0]:
            raise SourceError(
                "A change of the log cannot be read",
                where=self.reader,
                expected="lines as test_decoding writes them",
                found=f"{found[0]:,} lines of another form",
                fix="make the slot with the plugin test_decoding; nothing was loaded",
            )
        if found[1]:
            raise SourceError(
                "The log tells of deletes, and not of what was deleted",
                where=self.reader,
                expected="a replica identity that holds the key",
                found=f"{found[1]:,} deletes without a key",
                fix=f"ALTER TABLE {self.table} REPLICA IDENTITY FULL, then have the source read "
                "anew with force",
            )

    def _find_former_columns(self) -> None:
        """Know of columns too that the table had when the change was made, and no longer has."""
        usual = " AND ".join(
            [f"len(new) = {len(self.columns)}"]
            + [
                f"starts_with(new[{number}], {quote_literal(f' {written}[')})"
                for number, written in enumerate(self.columns.values(), start=1)
            ]
        )
        name = f"^ ({_IDENTIFIER}){_TYPE}:"
        rows = self.engine.execute(
            f"SELECT DISTINCT regexp_extract(unnest(new), {quote_literal(name)}, 1) "
            f"FROM {_TOKENS} WHERE what IN ('INSERT', 'UPDATE') AND NOT ({usual})"
        ).fetchall()
        known = set(self.columns.values())
        for written in sorted({str(name) for (name,) in rows} - known):
            bare = written[1:-1].replace('""', '"') if written.startswith('"') else written
            self.columns[bare] = written

    def _raw(self, side: str, name: str) -> str:
        """SQL of a column's value as a line writes it; NULL where the line lacks the column."""
        written = quote_literal(f" {self.columns[name]}[")
        number = list(self.columns).index(name) + 1
        token = (
            f"CASE WHEN starts_with({side}[{number}], {written}) THEN {side}[{number}] "
            f"ELSE list_filter({side}, lambda t: starts_with(t, {written}))[1] END"
        )
        skipped = len(self.columns[name]) + 1
        # Behind the name, which may hold anything, comes the type.
        behind = f"substr({token}, {skipped + 1})"
        return f"substr({behind}, instr({behind}, ']:') + 2)"

    def _value(self, raw: str) -> str:
        """SQL of a value from what a line writes."""
        return (
            f"CASE WHEN {raw} IN ('null', '{_UNCHANGED}') THEN NULL "
            f"WHEN starts_with({raw}, '''') THEN replace({raw}[2:-2], '''''', '''') "
            f"WHEN starts_with({raw}, 'B''') THEN {raw}[3:-2] ELSE {raw} END"
        )

    def _lay_out(self) -> None:
        """A row a line; two where an update gives a row another key."""
        names = list(self.columns)
        raws = [f"{self._raw('new', n)} AS n{i}" for i, n in enumerate(names)]
        raws += [f"{self._raw('old', n)} AS o{i}" for i, n in enumerate(names)]
        keys = [names.index(name) for name in self.key]
        new = [
            # With REPLICA IDENTITY FULL the row before tells what the row after leaves out.
            f"CASE WHEN n{i} = '{_UNCHANGED}' THEN {self._value(f'o{i}')} "
            f"ELSE {self._value(f'n{i}')} END AS v{i}"
            for i in range(len(names))
        ]
        old = [f"{self._value(f'o{i}')} AS w{i}" for i in range(len(names))]
        gaps = ", ".join(
            f"CASE WHEN n{i} = '{_UNCHANGED}' AND coalesce(o{i}, '{_UNCHANGED}') = '{_UNCHANGED}' "
            f"THEN {quote_literal(n)} END"
            for i, n in enumerate(names)
        )
        key, was = (", ".join(f"{side}{i}" for i in keys) for side in "vw")
        after = ", ".join(f"v{i} AS {q(n)}" for i, n in enumerate(names))
        before = ", ".join(f"w{i} AS {q(n)}" for i, n in enumerate(names))
        told = "lsn AS _position, {op} AS _op, moment AS _changed_at, [{key}] AS _key"
        inserted = "CASE what WHEN 'INSERT' THEN 'c' ELSE 'u' END"
        # What an old key does not name is the same in the new tuple.
        moved = " OR ".join(f"(o{i} IS NOT NULL AND w{i} IS DISTINCT FROM v{i})" for i in keys)
        self.engine.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE {ROWS} AS
            WITH raws AS (SELECT place, lsn, moment, what, split, {", ".join(raws)} FROM {_TOKENS}
                          WHERE what <> 'TRUNCATE'),
            typed AS (SELECT *, {", ".join([*new, *old])},
                      list_filter([{gaps}], lambda g: g IS NOT NULL) AS gaps FROM raws),
            marked AS (SELECT *, split > 0 AND ({moved}) AS moved FROM typed)
            SELECT place * 2 AS _place, {told.format(op=f"'{DELETED}'", key=was)},
                   CAST(NULL AS {TEXT}[]) AS _was, CAST([] AS {TEXT}[]) AS _gaps, {before}
            FROM marked WHERE what = 'DELETE' OR moved
            UNION ALL
            SELECT place * 2 + 1, {told.format(op=inserted, key=key)},
                   CASE WHEN moved THEN [{was}] END, gaps, {after}
            FROM marked WHERE what <> 'DELETE'
            """
        )

    def _truncate(self) -> None:
        """A truncate is a delete of every row that was there."""
        keys = ", ".join(q(name) for name in self.key)
        given = f"SELECT {keys}, _place FROM {ROWS} WHERE _op <> '{DELETED}'"
        if self.held is not None:
            texts = ", ".join(f"CAST({q(name)} AS {TEXT})" for name in self.key)
            given += f" UNION ALL SELECT {texts}, -1 FROM ({self.held.current})"
        self.engine.execute(
            f"INSERT INTO {ROWS} BY NAME SELECT DISTINCT t.place * 2 AS _place, "
            f"t.lsn AS _position, '{DELETED}' AS _op, t.moment AS _changed_at, "
            f"[{keys}] AS _key, CAST([] AS {TEXT}[]) AS _gaps, {keys} FROM {_TOKENS} AS t "
            f"JOIN ({given}) AS g ON g._place < t.place * 2 WHERE t.what = 'TRUNCATE'"
        )

    def _gaps(self) -> list[str]:
        rows = self.engine.execute(f"SELECT DISTINCT unnest(_gaps) FROM {ROWS}").fetchall()
        return sorted(str(name) for (name,) in rows)

    def _fill(self, column: str) -> None:
        """Give a column the values that the log left out as they did not change.

        A value is that of the version before, under the key that the row had then; so an update of
        a key takes it from the delete of the old key, which stands right before it.
        """
        name, gap = q(column), f"list_contains(_gaps, {quote_literal(column)})"
        told = f"CASE WHEN _op = '{DELETED}' OR ({gap} AND _was IS NULL) THEN NULL "
        told += f"ELSE {{'value': {name}, 'open': {gap}}} END"
        relations = [f"SELECT _place, _key, _was, {told} AS told FROM {ROWS}"]
        if self.held is not None and column.lower() in {n.lower() for n in self.held.types}:
            keys = ", ".join(f"CAST({q(each)} AS {TEXT})" for each in self.key)
            relations.append(
                f"SELECT -1, [{keys}] AS k, NULL, {{'value': {name}, 'open': false}} "
                f"FROM ({self.held.current}) WHERE k IN (SELECT _key FROM {ROWS})"
            )
        self.engine.execute(
            f"CREATE OR REPLACE TEMP TABLE {_FILL} AS {' UNION ALL '.join(relations)}"
        )
        while True:
            self.engine.execute(
                f"CREATE OR REPLACE TEMP TABLE {_SEEN} AS SELECT _place, "
                "last_value(told IGNORE NULLS) OVER (PARTITION BY _key ORDER BY _place "
                f"ROWS UNBOUNDED PRECEDING) AS told FROM {_FILL}"
            )
            moved = self.engine.execute(
                f"UPDATE {_FILL} AS f SET told = s.told FROM {_SEEN} AS s WHERE f._was IS NOT NULL "
                "AND f.told.open AND s._place = f._place - 1 AND NOT s.told.open"
            ).fetchone()
            if moved is None or not moved[0]:
                break
        self.engine.execute(
            f"UPDATE {ROWS} AS r SET {name} = s.told.value, "
            f"_gaps = list_filter(_gaps, lambda g: g <> {quote_literal(column)}) FROM {_SEEN} AS s "
            f"WHERE s._place = r._place AND {gap} AND NOT s.told.open"
        )
        if column in self._gaps():
            raise SourceError(
                "The log leaves out a value that did not change, and no earlier version tells it",
                where=f"{self.reader}, column {column}",
                expected="the version before, among what is held or in the log",
                found="none",
                fix=f"ALTER TABLE {self.table} REPLICA IDENTITY FULL: from then on whole rows are "
                "written",
            )

    def select(self, columns: Sequence[str]) -> str:
        """The rows with their provenance, but for partition and file."""
        listed = ", ".join(q(name) for name in columns)
        return f"SELECT {listed}, _op, _position, _changed_at, _place FROM {ROWS}"

    def drop(self) -> None:
        """Leave nothing in the engine."""
        for name in TEMPORARY:
            self.engine.execute(f"DROP TABLE IF EXISTS {name}")
