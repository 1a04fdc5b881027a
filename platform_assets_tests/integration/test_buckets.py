"""Files in S3-compatible storage, on a real server that checks who asks."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterator
from dataclasses import replace

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from platform_assets.sources.base import Access
from platform_assets.sources.deliveries import CompletionFlag
from platform_assets.sources.excel import ExcelFiles
from platform_assets.sources.files import CsvFiles
from platform_assets.sources.ndjson import NdjsonFiles
from platform_assets.sources.parquet import ParquetFiles
from platform_assets_tests.buckets import NAME, Storage, bucket_server
from platform_assets_tests.support import D1, D2, D3, HEADER, Site, row, text, things


@pytest.fixture(scope="module")
def storage() -> Iterator[Storage]:
    with bucket_server() as found:
        yield found


@pytest.fixture
def s3(site: Site, storage: Storage) -> Site:
    site.connections = {"files": storage.bucket}
    return site


def test_files_of_a_bucket_are_loaded_as_those_of_a_folder(s3: Site, storage: Storage) -> None:
    storage.put(f"csv/{D1}/b[1].csv", text(row("b", note='"x\ny"'), row("c", quantity=-1)))
    storage.put(f"csv/{D1}/a.csv.gz", gzip.compress(text(row("a")).encode()))
    storage.put(f"csv/{D1}/deep/no.csv", "not one of them")
    source = CsvFiles("csv/{partition}/*.csv*")
    loaded, _ = s3.run(things("csv", source=source, max_bad_share=0.9), [D1, D2])
    assert not loaded.failed
    assert s3.raw("csv", "thing_id, _partition, _source_file") == [
        ("a", D1, f"csv/{D1}/a.csv.gz"),
        ("b", D1, f"csv/{D1}/b[1].csv"),
        ("c", D1, f"csv/{D1}/b[1].csv"),
    ]
    assert s3.quarantine("csv", "source_file, row_number") == [(f"csv/{D1}/b[1].csv", 2)]


def test_every_format_and_what_needs_a_copy(s3: Site, storage: Storage) -> None:
    values = dict(zip(HEADER.split(","), row("a").split(","), strict=True))
    storage.put(f"json/{D1}.ndjson", json.dumps(values))
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({name: [value] for name, value in values.items()}), sink)
    storage.put(f"parquet/{D1}.parquet", bytes(sink.getvalue()))
    book, workbook = openpyxl.Workbook(), io.BytesIO()
    book.worksheets[0].append(list(values))
    book.worksheets[0].append(list(values.values()))
    book.save(workbook)
    storage.put(f"excel/{D1}.xlsx", workbook.getvalue())
    storage.put(f"utf16/{D1}.csv", text(row("a")).encode("utf-16"))
    for name, source in (
        ("json", NdjsonFiles("json/{partition}.ndjson")),
        ("parquet", ParquetFiles("parquet/{partition}.parquet")),
        ("excel", ExcelFiles("excel/{partition}.xlsx")),
        ("utf16", CsvFiles("utf16/{partition}.csv", encoding="utf-16")),
    ):
        loaded, _ = s3.run(things(name, source=source), [D1])
        assert not loaded.failed
        assert s3.raw(name, "thing_id, price") == [("a", "1.00")]


def test_a_changed_file_is_seen_and_a_bad_one_is_refused(s3: Site, storage: Storage) -> None:
    source = CsvFiles("bad/{partition}.csv", complete=CompletionFlag("bad/{partition}.done"))
    access = Access(s3.lake, s3.connections)
    storage.put(f"bad/{D1}.csv", text(row("a"), row("b", note='"x"y')))
    before = source.inputs(access, [D1])[0].fingerprint
    storage.put(f"bad/{D2}.csv", text(row("a")))
    storage.put(f"bad/{D3}.csv", text(row("a")))
    for day in (D1, D2):
        storage.put(f"bad/{day}.done", "")
    loaded, _ = s3.run(things("bad", source=source), [D1, D2, D3])
    assert set(loaded.failed) == {D1, D3}
    assert f"s3://{NAME}/in/bad/{D1}.csv, line 3" in loaded.failed[D1].message
    assert f"the flag s3://{NAME}/in/bad/{D3}.done" in loaded.failed[D3].message
    storage.put(f"bad/{D1}.csv", text(row("a"), row("b", note='"xyz"')))
    assert source.inputs(access, [D1])[0].fingerprint != before
    assert not s3.run(things("bad", source=source), [D1])[0].failed


@pytest.mark.parametrize(
    ("wrong", "found", "fix"),
    [
        ({"bucket": "nobodys-bucket"}, "no such bucket", "create it"),
        ({"secret": "not-the-secret"}, "access denied", "correct the key"),
        ({"key_id": "AKIANOBODY"}, "access denied", "correct the key"),
        ({"endpoint": "127.0.0.1:1"}, "network connection", "correct the endpoint"),
    ],
)
def test_a_bucket_that_cannot_be_read(
    s3: Site, storage: Storage, wrong: dict[str, str], found: str, fix: str
) -> None:
    bucket = replace(storage.bucket, **wrong)
    s3.connections = {"files": bucket}
    loaded, _ = s3.run(things("denied", source=CsvFiles("csv/{partition}.csv")), [D1, D2])
    assert set(loaded.failed) == {D1, D2}
    message = loaded.failed[D1].message
    assert "A bucket cannot be read" in message
    assert f"connection 'files', bucket {bucket.bucket!r}" in message
    assert f"found: {found}" in message
    assert fix in message
    assert bucket.secret not in message + repr(bucket)
