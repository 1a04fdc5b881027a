"""NDJSON files: one JSON object a line. What every source of JSON texts does with them.

Belongs here: judging objects before a row is used, and their columns. Does not belong here: the
SQL that takes a text apart (``json_reading``), and finding files (``deliveries``).

A column of the contract is a path into the object: ``Field(source="price.amount")``. A string
arrives as its text, a number, true and false exactly as they are written, an object or array as
JSON text. A key that an object lacks is null. Further keys of the objects are kept in raw.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from platform_assets.errors import SourceError
from platform_assets.provenance import FILE_COLUMN
from platform_assets.sources import json_reading
from platform_assets.sources.base import Access, Extract, Layouts, SourceColumn, SourceInput, Verify
from platform_assets.sources.csv_dialect import Dialect
from platform_assets.sources.csv_reading import CsvFile, Reading, misread
from platform_assets.sources.deliveries import SHOWN_LETTERS, Delivery, name_fault, not_read
from platform_assets.sources.json_reading import TEXT, marked
from platform_assets.sources.nested import HasPaths, outermost
from platform_assets.sources.stores import READ_ERRORS, FolderStore, is_local
from platform_assets.sql import quote_literal

# JSON cannot hold this character as it is, so each line is one field whatever is in it.
LINES = Dialect(delimiter="\x01", quote="", escape="")
AGAIN = "have the file delivered again; nothing of this partition was loaded"


@dataclass(frozen=True)
class Texts:
    """JSON texts of some files, ready to be read.

    Attributes:
        relation: A SELECT of ``_json`` and provenance, in the order of each file.
        verify: To be called after the relation was read to its end.
        files: The files, by name and in order, and the partition of each.
        is_marked: Whether the numbers of the texts are marked already.
    """

    relation: str
    verify: Verify
    files: Mapping[str, CsvFile]
    is_marked: bool = False


@dataclass(frozen=True)
class JsonDelivery(Delivery, HasPaths):
    """Files that hold JSON objects, whatever stands around them."""

    @abstractmethod
    def texts(
        self, access: Access, dataset: str, inputs: Sequence[SourceInput], *, look_only: bool
    ) -> Texts:
        """The objects of some inputs, as JSON texts.

        Args:
            access: What to read through.
            dataset: The dataset's name, for messages.
            inputs: What to read; at least one has items.
            look_only: Whether the rows are not kept, and need no verifying.
        """

    @abstractmethod
    def explain(self, dataset: str, each: SourceInput, error: Exception) -> SourceError:
        """Why an input could not be read, as every source tells it."""

    def schema(self, access: Access, inputs: Sequence[SourceInput]) -> tuple[SourceColumn, ...]:
        """The keys of the objects in the newest partition's last file.

        Args:
            access: What to read through.
            inputs: Inputs that passed ``inspect``.
        """
        url = self.newest(inputs)
        each = next(each for each in inputs if url in each.items)
        texts = self.texts(access, "", [SourceInput(each.partition, (url,), 0, "")], look_only=True)
        found = self._keys(access, texts)
        return tuple(SourceColumn(name) for name in sorted({key for _, key in found}))

    def layouts(self, access: Access, inputs: Sequence[SourceInput]) -> Layouts:
        """The keys of the objects of every file; none of a file without objects.

        Args:
            access: What to read through.
            inputs: Inputs that passed ``inspect``, with files.
        """
        texts = self.texts(access, "", inputs, look_only=True)
        keys: dict[str, list[SourceColumn]] = {name: [] for name in texts.files}
        for name, key in self._keys(access, texts):
            keys[name].append(SourceColumn(key))
        found: dict[str, dict[str, tuple[SourceColumn, ...]]] = {}
        for name, file in texts.files.items():
            found.setdefault(file.partition, {})[file.url] = tuple(keys[name])
        return found

    def judge(
        self, access: Access, dataset: str, inputs: Sequence[SourceInput], columns: Sequence[str]
    ) -> Mapping[str, SourceError]:
        """Judge every object before a row is used: errors by partition.

        Args:
            access: What to read through.
            dataset: The dataset's name, for messages.
            inputs: The partitions' files.
            columns: The columns that the contract names, paths into the objects.
        """
        with_files = [each for each in inputs if each.items]
        if not with_files:
            return {}
        try:
            return self._judge(access, dataset, with_files, columns)
        except (duckdb.Error, *READ_ERRORS) as error:
            if len(with_files) == 1:
                each = with_files[0]
                return {each.partition: self.explain(dataset, each, error)}
        # One file that cannot be read must not stand for the others.
        errors: dict[str, SourceError] = {}
        for each in with_files:
            errors.update(self.judge(access, dataset, [each], columns))
        return errors

    def _judge(
        self,
        access: Access,
        dataset: str,
        with_files: Sequence[SourceInput],
        columns: Sequence[str],
    ) -> dict[str, SourceError]:
        errors: dict[str, SourceError] = {}
        texts = self.texts(access, dataset, with_files, look_only=True)
        judged = json_reading.faults(columns, is_marked=texts.is_marked)
        found = access.engine.execute(
            f"SELECT {FILE_COLUMN}, min(fault) FROM (SELECT {FILE_COLUMN}, {judged} AS fault "
            f"FROM ({texts.relation})) WHERE fault IS NOT NULL GROUP BY 1 ORDER BY 1"
        ).fetchall()
        for name, _ in found:
            file = texts.files[str(name)]
            errors.setdefault(file.partition, self._fault(access, dataset, file, columns))
        for name, keys in self._names(access, texts, errors).items():
            file = texts.files[name]
            fault = _name_fault(keys, columns)
            if fault:
                errors.setdefault(
                    file.partition,
                    SourceError(
                        "A file's objects have keys that cannot be told apart from others",
                        where=f"dataset {dataset}, file {file.url}",
                        expected="each key in one spelling, as the contract's, none empty, none "
                        "that begins with an underscore",
                        found=fault,
                        fix="have the key renamed at the source, or name it as it is there with "
                        "Field(source=…)",
                    ),
                )
        return errors

    def _names(
        self, access: Access, texts: Texts, errors: Mapping[str, SourceError]
    ) -> dict[str, list[str]]:
        """The keys of the objects of each file that has no fault yet."""
        found: dict[str, list[str]] = {}
        sound = [n for n, file in texts.files.items() if file.partition not in errors]
        if sound:
            for name, key in self._keys(access, texts, sound):
                found.setdefault(name, []).append(key)
        return found

    def _keys(
        self, access: Access, texts: Texts, only: Sequence[str] | None = None
    ) -> list[tuple[str, str]]:
        where = (
            ""
            if only is None
            else f"WHERE {FILE_COLUMN} IN ({', '.join(quote_literal(name) for name in only)})"
        )
        rows = access.engine.execute(
            f"SELECT DISTINCT {FILE_COLUMN}, key FROM (SELECT {FILE_COLUMN}, "
            f"unnest(json_keys({TEXT})) AS key FROM ({texts.relation}) {where}) ORDER BY ALL"
        ).fetchall()
        return [(str(name), str(key)) for name, key in rows]

    def _fault(
        self, access: Access, dataset: str, file: CsvFile, columns: Sequence[str]
    ) -> SourceError:
        """The first object of a file that is not as it should be; only such a file is numbered."""
        texts = self.texts(
            access, dataset, [SourceInput(file.partition, (file.url,), 0, "")], look_only=True
        )
        judged = json_reading.faults(columns, is_marked=texts.is_marked)
        row = access.engine.execute(
            f"SELECT number, fault FROM (SELECT row_number() OVER () AS number, {judged} AS fault "
            f"FROM ({texts.relation})) WHERE fault IS NOT NULL ORDER BY number LIMIT 1"
        ).fetchone()
        assert row is not None  # a fault of this file was found before
        return SourceError(
            "A file holds a record that is not right",
            where=f"dataset {dataset}, file {file.url}, record {row[0]}",
            expected="a JSON object in UTF-8, each key once",
            found=str(row[1]),
            fix=AGAIN,
        )

    def extract(
        self, access: Access, dataset: str, inputs: Sequence[SourceInput], columns: Sequence[str]
    ) -> Extract:
        """The engine's relation over the objects, all columns as text.

        Args:
            access: What to read through.
            dataset: The dataset's name, for messages.
            inputs: Partitions that ``inspect`` found no fault in; at least one has a file.
            columns: The columns that the contract names; further keys are kept too.
        """
        texts = self.texts(access, dataset, inputs, look_only=True)
        known = {column.lower() for column in columns}
        spelled: dict[str, list[str]] = {}
        for key in sorted({key for _, key in self._keys(access, texts)}):
            if key.lower() not in known:
                spelled.setdefault(key.lower(), []).append(key)
        reading = self.texts(access, dataset, inputs, look_only=False)
        relation = (
            reading.relation
            if reading.is_marked
            else f"SELECT * REPLACE ({marked(TEXT)} AS {TEXT}) FROM ({reading.relation})"
        )
        further = {spellings[0]: spellings for spellings in spelled.values()}
        return Extract(
            relation=json_reading.select(columns, further, relation),
            columns=tuple(SourceColumn(name) for name in (*columns, *further)),
            verify=reading.verify,
        )


@dataclass(frozen=True)
class NdjsonFiles(JsonDelivery):
    """NDJSON files (UTF-8, one JSON object a line) in a folder or bucket.

    Attributes:
        path: As for every ``Delivery``.
        connection: As for every ``Delivery``.

    Raises:
        ContractError: The path does not tell the partition.
    """

    @property
    def kind(self) -> str:
        """What it reads."""
        return "ndjson"

    def texts(
        self, access: Access, dataset: str, inputs: Sequence[SourceInput], *, look_only: bool
    ) -> Texts:
        """The lines of the files; blank ones are none.

        Args:
            access: What to read through.
            dataset: The dataset's name, for messages.
            inputs: What to read; at least one has items.
            look_only: Whether the rows are not kept, and need no verifying.
        """
        store = self.store(access)
        store.prepare(access.engine)
        files = [
            CsvFile(url, each.partition, (TEXT,), store) for each in inputs for url in each.items
        ]
        reading = Reading(
            dataset=dataset,
            delivery=self,
            dialect=LINES,
            with_header=False,
            files=files,
            columns=(TEXT,),
            blank_is_none=True,
            look_only=look_only,
        )
        return Texts(
            f"SELECT * FROM ({reading.relation()}) WHERE {TEXT} IS NOT NULL",
            reading.verify,
            {file.name: file for file in files},
        )

    def explain(self, dataset: str, each: SourceInput, error: Exception) -> SourceError:
        """Why the engine could not read a partition's files.

        Args:
            dataset: The dataset's name, for messages.
            each: The partition's files.
            error: What the engine said; its text may quote a line, and is not repeated.
        """
        for url in each.items:
            if is_local(url):
                file = CsvFile(url, each.partition, (TEXT,), FolderStore(Path(url).parent))
                where = f"dataset {dataset}, file {url}"
                found = misread(where, file, LINES, None, blank_is_none=True)
                if found is not None:
                    return found
        return not_read(dataset, each, error, "NDJSON in UTF-8")


def _name_fault(keys: Sequence[str], columns: Sequence[str]) -> str:
    """Keys that would be lost or mixed up as columns; empty: none would."""
    spelled = {part.lower(): part for part in map(outermost, columns)}
    other = [key for key in keys if spelled.get(key.lower(), key) != key]
    return name_fault(keys) or ", ".join(repr(key[:SHOWN_LETTERS]) for key in other)
