"""A fetch that is killed, or whose place is forgotten: it goes on, or begins anew, and is right."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from werkzeug import Response

from platform_assets.sources.landing import read_attempt
from platform_assets.sources.rest_pagination import NextUrl, Offset, PageNumber
from platform_assets_tests.integration.rest_reader import ALL, CURSOR, Reader, delivered, reader_of
from platform_assets_tests.integration.rest_server import as_json, counted, serving


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    with serving(days=delivered()) as api:
        yield reader_of(api, tmp_path)


PROGRAM = """
import sys
from pathlib import Path
import duckdb
from platform_assets.batch_size import BatchSize
from platform_assets.sources.base import Access
from platform_assets.sources.connections import RestApi
from platform_assets.sources.rest_api import RestEndpoint
from platform_assets.sources.rest_pagination import *

url, landing, path, paginator = sys.argv[1:5]
source = RestEndpoint(path, "api", "items", eval(paginator), batch=BatchSize(1, 1, 1.0))
source.inputs(Access(duckdb.connect(), {"api": RestApi(url, Path(landing), timeout=60)}), ["all"])
"""


@pytest.mark.faults
@pytest.mark.parametrize(
    ("path", "paginator"),
    [
        ("cursor", CURSOR),
        ("numbered", PageNumber()),
        ("offset", Offset(10)),
        ("next", NextUrl()),
    ],
)
def test_a_killed_fetch_goes_on_behind_the_last_landed_page(
    reader: Reader, path: str, paginator: Any
) -> None:
    """SIGKILL while the third page is asked for."""
    process: list[subprocess.Popen[bytes]] = []

    def kill() -> Response:
        os.kill(process[0].pid, signal.SIGKILL)
        return as_json("{}", 500)

    reader.api.special = counted({3: kill})
    arguments = (reader.api.url, str(reader.connection.landing), path, repr(paginator))
    process.append(subprocess.Popen([sys.executable, "-c", PROGRAM, *arguments]))
    assert process[0].wait(timeout=60) == -signal.SIGKILL
    first = reader.api.pages(f"/v1/{path}")
    assert len(first) == 3
    (found,) = reader.get(path=path, paginator=paginator)
    assert reader.records(found) == ALL
    later = reader.api.pages(f"/v1/{path}")[3:]
    assert later[0] == first[2]
    assert not {*first[:2]} & {*later}
    # As an undisturbed fetch would have it.
    (again,) = reader.get(path=path, paginator=paginator)
    assert again.fingerprint == found.fingerprint


def test_what_was_fetched_and_never_loaded_is_not_fetched_again(reader: Reader) -> None:
    (found,) = reader.get()
    attempt = read_attempt(Path(found.items[0]).parent)
    attempt.manifest.offered = False  # as if the process had been killed before it returned
    attempt.save()
    asked = len(reader.api.asked)
    assert reader.get()[0].items == found.items
    assert len(reader.api.asked) == asked
    assert reader.get()[0].items != found.items
    assert len(reader.api.asked) == asked * 2


@pytest.mark.parametrize("forget", ["cursor", "age"])
def test_a_place_that_the_api_has_forgotten_is_begun_anew(reader: Reader, forget: str) -> None:
    reader.api.special = counted({3: lambda: as_json("{}", 404)})
    assert "page 3" in reader.failure()
    if forget == "cursor":
        reader.api.special = counted({1: lambda: as_json("{}", 410)})
    else:
        (manifest,) = reader.connection.landing.glob("*/*/*/*/manifest.json")
        attempt = read_attempt(manifest.parent)
        attempt.manifest.started -= 3601
        attempt.save()
    reader.api.asked.clear()
    (found,) = reader.get()
    assert reader.records(found) == ALL
    assert reader.api.asked[1 if forget == "cursor" else 0] == "/v1/cursor"
