"""Files in S3-compatible storage.

Belongs here: finding and opening them, and enabling the engine to read them. Does not belong here:
which partition a file belongs to (``deliveries``).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from typing import BinaryIO, TypeVar, cast

import duckdb
import pyarrow as pa
from pyarrow import fs

from platform_assets.errors import SourceError
from platform_assets.extensions import extension_file
from platform_assets.sources.connections import Bucket
from platform_assets.sources.failure import PermanentSourceError, TransientSourceError
from platform_assets.sources.retrying import Guard
from platform_assets.sources.stores import Found
from platform_assets.sql import quote_identifier, quote_literal

CONNECT_SECONDS, REQUEST_SECONDS = 5.0, 60.0
SIDE_BY_SIDE = 16
_FIXES = {
    "NO_SUCH_BUCKET": "correct the bucket's name, or create it",
    "ACCESS_DENIED": "correct the key, or allow it to list and read the bucket",
    "INVALID_ACCESS_KEY_ID": "correct the key's id",
    "SIGNATURE_DOES_NOT_MATCH": "correct the key's secret",
    "NETWORK_CONNECTION": "correct the endpoint, or see why it does not answer",
}
# What may pass by itself.
_PASSING = {
    "NETWORK_CONNECTION",
    "SLOW_DOWN",
    "THROTTLING",
    "INTERNAL_FAILURE",
    "SERVICE_UNAVAILABLE",
    "REQUEST_TIMEOUT",
    "TimeoutError",
}
T = TypeVar("T")


@dataclass(frozen=True)
class BucketStore:
    """Files below a bucket's prefix.

    Attributes:
        bucket: Where they are.
        connection: Name of the connection that leads there.
        guard: What asking goes through; reading a file's bytes does not.
    """

    bucket: Bucket
    connection: str
    guard: Guard = field(default_factory=Guard, compare=False, repr=False)

    @property
    def root(self) -> str:
        """What every file's url begins with."""
        return self.bucket.root

    @property
    def _system(self) -> fs.S3FileSystem:
        return _system(self.bucket)

    def find(self, pattern: str) -> list[Found]:
        """The files of a name or pattern, by size, time of change and ETag.

        Raises:
            SourceError: The bucket is not there, or may not be listed.
        """
        path = f"{self.root}/{pattern}".removeprefix("s3://")
        if "*" not in path:
            infos = self._ask(lambda: [self._system.get_file_info(path)])
        else:
            folder = path.partition("*")[0].rpartition("/")[0]
            chosen = re.compile("[^/]*".join(re.escape(part) for part in path.split("*")))
            selector = fs.FileSelector(folder, allow_not_found=True, recursive=True)
            infos = [
                info
                for info in self._ask(lambda: self._system.get_file_info(selector))
                if chosen.fullmatch(info.path)
            ]
        files = sorted(
            (info for info in infos if info.type is fs.FileType.File), key=lambda info: info.path
        )
        with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            tags = self._ask(lambda: list(pool.map(self._tag, (file.path for file in files))))
        return [
            Found(f"s3://{info.path}", info.size, f"{info.size} {info.mtime_ns} {tag}")
            for info, tag in zip(files, tags, strict=True)
        ]

    def _tag(self, path: str) -> str:
        with self._system.open_input_file(path) as file:
            told = {str(name).lower(): value for name, value in (file.metadata() or {}).items()}
        return str(told.get("etag", b""))

    def open(self, url: str) -> BinaryIO:
        """A file's bytes as they are stored, read as a stream."""
        return cast(BinaryIO, self._system.open_input_file(url.removeprefix("s3://")))

    def check(self) -> None:
        """Ask for the bucket itself: one that is not there looks like one that is empty.

        Raises:
            SourceError: The bucket is not there, or the key does not open it.
        """
        info = self._ask(lambda: self._system.get_file_info(self.bucket.bucket))
        if info.type is fs.FileType.NotFound:
            raise self._error("NO_SUCH_BUCKET")

    def prepare(self, engine: duckdb.DuckDBPyConnection) -> None:
        """Give an engine the key to this bucket's prefix, for as long as the engine lives."""
        each = self.bucket
        name = f"_bucket_{hashlib.sha256(self.root.encode()).hexdigest()[:16]}"
        options = {
            "KEY_ID": each.key_id,
            "SECRET": each.secret,
            "REGION": each.region,
            "URL_STYLE": "path" if each.path_style else "vhost",
            "SCOPE": self.root,
        }
        if each.endpoint:
            options["ENDPOINT"] = each.endpoint
        told = ", ".join(f"{key} {quote_literal(value)}" for key, value in options.items())
        engine.execute(f"LOAD {quote_literal(str(extension_file('httpfs')))}")
        try:
            engine.execute(
                f"CREATE OR REPLACE TEMPORARY SECRET {quote_identifier(name)} "
                f"(TYPE s3, {told}, USE_SSL {str(each.ssl).lower()})"
            )
        except duckdb.Error:
            # The engine quotes the statement, and with it the secret.
            raise self._error("the engine does not take the key") from None

    def _ask(self, work: Callable[[], T]) -> T:
        def ask() -> T:
            try:
                return work()
            except (OSError, pa.ArrowException) as error:
                code = re.search(r"AWS Error ([A-Z_]+)", str(error))
                raise self._error(code.group(1) if code else type(error).__name__) from None

        return self.guard(self.connection, ask)

    def _error(self, found: str) -> SourceError:
        each = self.bucket
        kind = TransientSourceError if found in _PASSING else PermanentSourceError
        return kind(
            "A bucket cannot be read",
            reason=found.lower().replace("_", " "),
            where=f"connection {self.connection!r}, bucket {each.bucket!r} at "
            f"{each.endpoint or 'Amazon S3'}, region {each.region}",
            expected="a bucket that the connection's key may list and read",
            fix=_FIXES.get(found, "correct the connection: bucket, endpoint, region and key"),
        )


@lru_cache(maxsize=16)
def _system(bucket: Bucket) -> fs.S3FileSystem:
    """The client of a bucket, which keeps its connections open."""
    return fs.S3FileSystem(
        access_key=bucket.key_id,
        secret_key=bucket.secret,
        region=bucket.region,
        endpoint_override=bucket.endpoint or None,
        scheme="https" if bucket.ssl else "http",
        force_virtual_addressing=bool(bucket.endpoint) and not bucket.path_style,
        connect_timeout=CONNECT_SECONDS,
        request_timeout=REQUEST_SECONDS,
    )
