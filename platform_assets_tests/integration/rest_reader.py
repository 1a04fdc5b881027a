"""What the tests of an API that misbehaves read it with.

Belongs here: an endpoint, a connection, a guard that does not wait. Does not belong here: an
assertion about any of them.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb

from platform_assets.batch_size import BatchSize
from platform_assets.sources.base import Access, SourceInput
from platform_assets.sources.connections import RestApi
from platform_assets.sources.rest_api import RestEndpoint
from platform_assets.sources.rest_pagination import Cursor
from platform_assets.sources.retrying import Guard, RetryPolicy
from platform_assets_tests.integration.rest_server import Api, order
from platform_assets_tests.support import D1, D2

ALL = [*(f"o{n}" for n in range(25)), "o100"]
EACH_PAGE = BatchSize(1, 1, 1.0)
CURSOR = Cursor("meta.next", "after")
AT_ONCE = RetryPolicy(wait_initial=0, wait_max=0, jitter=0)


@dataclass
class Reader:
    """What reads the API: a connection, an endpoint, a guard."""

    api: Api
    connection: RestApi
    guard: Guard
    endpoint: RestEndpoint

    def get(self, *days: str, **options: Any) -> list[SourceInput]:
        source = replace(self.endpoint, **options)
        with duckdb.connect() as engine:
            access = Access(engine, {"api": self.connection}, self.guard)
            return source.inputs(access, days or ["all"])

    def records(self, found: SourceInput) -> list[str]:
        text = b"".join(gzip.decompress(Path(item).read_bytes()) for item in found.items)
        return [json.loads(line)["id"] for line in text.decode().splitlines()]

    def failure(self, *days: str, **options: Any) -> str:
        (found,) = self.get(*days, **options)
        assert found.error is not None
        assert found.items == ()
        return str(found.error)


def delivered() -> dict[str, list[str]]:
    """The orders of two days: three pages."""
    return {D1: [order(n) for n in range(25)], D2: [order(100)]}


def reader_of(api: Api, folder: Path) -> Reader:
    """A reader that lands each page by itself."""
    return Reader(
        api,
        RestApi(api.url, folder / "landing", timeout=5),
        Guard(policy=AT_ONCE),
        RestEndpoint("cursor", "api", "items", CURSOR, batch=EACH_PAGE),
    )
