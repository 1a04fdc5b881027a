"""JSON files: one document a file, an array of objects or an object that has one.

Belongs here: getting the objects out of a document. Does not belong here: judging them and their
columns, which is the same for every file of JSON texts (``ndjson``).

A document is read whole, so its size is limited; larger deliveries are for NDJSON.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from platform_assets.errors import CountError, SourceError
from platform_assets.sources.base import Access, SourceInput, Verify
from platform_assets.sources.csv_reading import CsvFile
from platform_assets.sources.csv_shape import blocks_of
from platform_assets.sources.deliveries import not_read, unreadable
from platform_assets.sources.json_reading import MARK, TEXT, marked
from platform_assets.sources.ndjson import AGAIN, JsonDelivery, Texts
from platform_assets.sources.nested import path_of
from platform_assets.sources.stores import (
    READ_ERRORS,
    FolderStore,
    engine_path,
    is_local,
    open_plain,
)
from platform_assets.sql import quote_literal

MAX_DOCUMENT_BYTES = 64 * 1024 * 1024
_pass = itertools.count()


@dataclass(frozen=True)
class JsonFiles(JsonDelivery):
    """JSON files (UTF-8) in a folder or bucket, one document each.

    Attributes:
        path: As for every ``Delivery``.
        connection: As for every ``Delivery``.
        records: The path to the array of objects, such as ``data.items``; empty: the document
            is the array.

    Raises:
        ContractError: The path does not tell the partition.
    """

    records: str = ""

    @property
    def kind(self) -> str:
        """What it reads."""
        return "json"

    def texts(
        self, access: Access, dataset: str, inputs: Sequence[SourceInput], *, look_only: bool
    ) -> Texts:
        """The objects of the arrays.

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
        by_kind: dict[str, list[CsvFile]] = {}
        for file in files:
            by_kind.setdefault(file.compression or "uncompressed", []).append(file)
        array = quote_literal((path_of(self.records) if self.records else "$") + "[*]")
        provenance = self.provenance(store.root, files[0].partition)
        relation = " UNION ALL ".join(
            f"SELECT unnest(json_extract({marked('json')}, {array})) AS {TEXT}, {provenance} "
            f"FROM {_documents(some, kind)}"
            for kind, some in by_kind.items()
        )
        return Texts(
            f"SELECT * REPLACE (CAST({TEXT} AS VARCHAR) AS {TEXT}) FROM ({relation})",
            self._verify(dataset, files),
            {file.name: file for file in files},
            is_marked=True,
        )

    def _verify(self, dataset: str, files: Sequence[CsvFile]) -> Verify:
        """Each file is one whole document with an array in it, with as many objects as were read.

        The array's length is asked of the document as it stands, before its numbers are marked.
        """

        def verify(
            connection: duckdb.DuckDBPyConnection, rows: Mapping[str, int]
        ) -> Mapping[str, SourceError]:
            errors: dict[str, SourceError] = {}
            for file in files:
                error = self._judge_document(connection, dataset, file, rows.get(file.name, 0))
                if error is not None:
                    errors.setdefault(file.partition, error)
            return errors

        return verify

    def _judge_document(
        self, connection: duckdb.DuckDBPyConnection, dataset: str, file: CsvFile, read: int
    ) -> SourceError | None:
        where = f"dataset {dataset}, file {file.url}"
        try:
            with file.open() as stream:  # a compressed file that is cut off shows only here
                for _ in blocks_of(stream):
                    pass
        except READ_ERRORS as error:
            return unreadable(where, error, "a whole file")
        path = quote_literal(path_of(self.records) if self.records else "$")
        row = connection.execute(
            f"SELECT count(*), min(json_type(json, {path})), min(json_array_length(json, {path})), "
            f"bool_or(contains(json, {quote_literal(MARK)})) "
            f"FROM {_documents([file], file.compression or 'uncompressed')}"
        ).fetchone()
        assert row is not None  # an aggregate has one row
        documents, kind, length, taken = row
        expected = f"one JSON array of objects{' at ' + self.records if self.records else ''}"
        if documents != 1 or kind != "ARRAY":
            found = f"{documents} documents" if documents != 1 else (kind or "nothing there")
        elif taken:
            found = "the control character U+0001 in a string"
        elif length != read:
            expected, found = f"{length:,} objects, as the array is long", f"{read:,} objects read"
        else:
            return None
        kind_of_error = (
            CountError if documents == 1 and kind == "ARRAY" and not taken else SourceError
        )
        return kind_of_error(
            "A file is not the JSON document that its dataset says",
            where=where,
            expected=expected,
            found=str(found),
            fix="set JsonFiles(records=…) to where the array is, or " + AGAIN,
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
                found = _broken(f"dataset {dataset}, file {url}", url)
                if found is not None:
                    return found
        return not_read(dataset, each, error, "one JSON document in UTF-8 a file")


def _documents(files: Sequence[CsvFile], compression: str) -> str:
    paths = ", ".join(quote_literal(engine_path(file.url)) for file in files)
    return (
        f"read_json_objects([{paths}], format='unstructured', filename=true, "
        f"compression={quote_literal(compression)}, "
        f"maximum_object_size={MAX_DOCUMENT_BYTES})"
    )


def _broken(where: str, url: str) -> SourceError | None:
    """What is wrong with a document, as Python's own reader tells it."""
    try:
        with open_plain(FolderStore(Path(url).parent), url) as file:
            data = file.read(MAX_DOCUMENT_BYTES + 1)
        if len(data) <= MAX_DOCUMENT_BYTES:
            json.loads(data)
            return None
        line, found = 1, f"more than {MAX_DOCUMENT_BYTES // 2**20} MB; deliver it as NDJSON"
    except json.JSONDecodeError as error:
        line, found = error.lineno, f"no JSON: {error.msg.lower()}"
    except UnicodeDecodeError as error:
        line, found = data.count(b"\n", 0, error.start) + 1, "bytes that are not UTF-8"
    except READ_ERRORS as error:
        return unreadable(where, error, "a whole file")
    return SourceError(
        "A file is not a JSON document",
        where=f"{where}, line {line}",
        expected=f"one whole JSON document in UTF-8 of at most {MAX_DOCUMENT_BYTES // 2**20} MB",
        found=found,
        fix=AGAIN,
    )
