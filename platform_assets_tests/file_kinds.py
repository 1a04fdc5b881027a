"""Files in folders and buckets, and an API's days, as kinds of source.

Belongs here: their adapters. Does not belong here: the other kinds, or an assertion.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq

from platform_assets.sources.change_source import AnySource
from platform_assets.sources.connections import Bearer, RestApi
from platform_assets.sources.excel import ExcelFiles
from platform_assets.sources.files import CsvFiles
from platform_assets.sources.json_files import JsonFiles
from platform_assets.sources.ndjson import NdjsonFiles
from platform_assets.sources.parquet import ParquetFiles
from platform_assets.sources.rest_api import RestEndpoint
from platform_assets.sources.rest_pagination import Cursor
from platform_assets.sources.rest_window import Window
from platform_assets_tests.buckets import Storage
from platform_assets_tests.integration.rest_server import Api, serving
from platform_assets_tests.source_kinds import (
    TOKEN,
    FolderGone,
    Make,
    Servers,
    SourceKind,
    in_a_folder,
    refusing,
)
from platform_assets_tests.source_tables import Row


class DeliveredFiles(FolderGone):
    """A file a day, each delivered anew when a row of its day changes."""

    end: ClassVar[str]

    def __post_init__(self) -> None:
        (self.place / "sales").mkdir(parents=True)

    @abstractmethod
    def content(self, rows: list[Row]) -> bytes:
        """A file of rows."""

    def deliver(self, name: str, content: bytes) -> None:
        path = self.place / "sales" / name
        before = path.stat().st_mtime_ns if path.exists() else 0
        path.write_bytes(content)
        # The clock of a file system may not move between two writes of a test.
        after = max(path.stat().st_mtime_ns, before + 1_000_000)
        os.utime(path, ns=(after, after))

    def written(self, rows: Mapping[int, Row]) -> None:
        before = {self.rows[key].day for key in rows if key in self.rows}
        self.rows.update(rows)
        self._deliver({*before, *(each.day for each in rows.values())})

    def removed(self, row: Row) -> None:
        del self.rows[row.sale_id]
        self._deliver({row.day})

    def _deliver(self, days: set[str]) -> None:
        for day in sorted(days):
            rows = [each for each in self.rows.values() if each.day == day]
            self.deliver(f"{day}.{self.end}", self.content(rows))


class Csv(DeliveredFiles):
    end = "csv"

    @property
    def source(self) -> AnySource:
        return CsvFiles("sales/{partition}.csv")

    def content(self, rows: list[Row]) -> bytes:
        out = io.StringIO()
        writer = csv.DictWriter(out, self.names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(map(self.texts, rows))
        return out.getvalue().encode()


class Ndjson(DeliveredFiles):
    end = "ndjson.gz"
    absent_is_null = True

    @property
    def source(self) -> AnySource:
        return NdjsonFiles("sales/{partition}.ndjson.gz")

    def content(self, rows: list[Row]) -> bytes:
        return gzip.compress("".join(f"{self.json(each)}\n" for each in rows).encode())

    def json(self, row: Row) -> str:
        """An object, its amount written as a number."""
        amount = json.dumps(str(row.amount))
        return json.dumps(self.texts(row)).replace(f'"amount": {amount}', f'"amount": {row.amount}')


class Json(Ndjson):
    end = "json"

    @property
    def source(self) -> AnySource:
        return JsonFiles("sales/{partition}.json", records="data.items")

    def content(self, rows: list[Row]) -> bytes:
        return f'{{"data": {{"items": [{", ".join(map(self.json, rows))}]}}}}'.encode()


class Parquet(DeliveredFiles):
    end = "parquet"
    types: ClassVar[dict[str, pa.DataType]] = {
        "sale_id": pa.int64(),
        "amount": pa.decimal128(10, 2),
        "sold_at": pa.timestamp("us"),
        "updated_at": pa.timestamp("us"),
    }

    @property
    def source(self) -> AnySource:
        return ParquetFiles("sales/{partition}.parquet")

    @property
    def amount_type(self) -> str:
        return "DECIMAL(10,2)"

    def content(self, rows: list[Row]) -> bytes:
        schema = pa.schema([(name, self.types.get(name, pa.string())) for name in self.names])
        sink = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_pylist([self.record(each) for each in rows], schema), sink)
        return bytes(sink.getvalue())


class Excel(DeliveredFiles):
    end = "xlsx"

    @property
    def source(self) -> AnySource:
        return ExcelFiles("sales/{partition}.xlsx")

    def content(self, rows: list[Row]) -> bytes:
        book = openpyxl.Workbook(write_only=True)
        sheet = book.create_sheet("sales")
        sheet.append(list(self.names))
        for each in rows:
            sheet.append(list(self.record(each).values()))
        sink = io.BytesIO()
        book.save(sink)
        return sink.getvalue()


@dataclass
class BucketCsv(Csv):
    """CSV files in a bucket.

    Attributes:
        storage: The bucket, with a prefix of its own.
    """

    storage: Storage = field(kw_only=True)
    _down: bool = False

    @property
    def connections(self) -> dict[str, object]:
        bucket = self.storage.bucket
        return {"files": replace(bucket, endpoint=refusing()) if self._down else bucket}

    @property
    def secrets(self) -> tuple[str, ...]:
        return (self.storage.bucket.secret,)

    def deliver(self, name: str, content: bytes) -> None:
        self.storage.put(f"sales/{name}", content)

    def go_down(self) -> None:
        self._down = True

    def come_up(self) -> None:
        self._down = False


@dataclass
class Rest(Ndjson):
    """An endpoint that gives a day in pages.

    Attributes:
        api: The server.
    """

    lands_anew = True
    api: Api = field(kw_only=True)

    @property
    def source(self) -> AnySource:
        return RestEndpoint(
            "cursor", "api", records="items", paginator=Cursor("meta.next", "after"),
            total="total", window=Window(),
        )  # fmt: skip

    @property
    def connections(self) -> dict[str, object]:
        return {"api": RestApi(self.api.url, self.folder / "landing", auth=Bearer(TOKEN))}

    @property
    def secrets(self) -> tuple[str, ...]:
        return (TOKEN,)

    def _deliver(self, days: set[str]) -> None:
        for day in days:
            rows = [each for each in self.rows.values() if each.day == day]
            self.api.days[day] = [self.json(each) for each in rows]

    def add_column(self) -> None:
        super().add_column()
        self._deliver({each.day for each in self.rows.values()})

    def go_down(self) -> None:
        self.api.server.stop()

    def come_up(self) -> None:
        self.api.server.start()


@contextmanager
def bucket(folder: Path, servers: Servers) -> Iterator[SourceKind]:
    """CSV files below a prefix of their own."""
    found = servers.bucket
    yield BucketCsv(
        folder, storage=replace(found, bucket=replace(found.bucket, prefix=folder.name))
    )


@contextmanager
def rest(folder: Path, servers: Servers) -> Iterator[SourceKind]:
    """An endpoint of a server of its own, which is signed in to by a token."""
    del servers
    with serving(check=lambda r: r.headers.get("Authorization") == f"Bearer {TOKEN}") as api:
        yield Rest(folder, api=api)


KINDS: dict[str, Make] = {
    "csv": in_a_folder(Csv),
    "ndjson": in_a_folder(Ndjson),
    "json": in_a_folder(Json),
    "parquet": in_a_folder(Parquet),
    "excel": in_a_folder(Excel),
    "bucket": bucket,
    "rest": rest,
}
"""The kinds of this module."""
