"""Landed records: however often a fetch is broken off, the same as if it had not been."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from platform_assets.batch_size import BatchSize
from platform_assets.sources.landing import KEPT_ATTEMPTS, Attempt, Landing, Writer, read_attempt

PAGES = st.lists(st.lists(st.integers(0, 999), max_size=4), max_size=8)


def land(
    attempt: Attempt, pages: list[list[int]], size: BatchSize, stop_after: int | None = None
) -> bool:
    """Land pages from where an attempt stands; False: broken off, as a kill would."""
    writer = Writer(attempt, size)
    while writer.page <= len(pages):
        if stop_after is not None and writer.page > stop_after:
            writer.close()
            return False
        page = pages[writer.page - 1]
        writer.add([json.dumps({"n": n}) for n in page], [f"page{writer.page}"])
        if writer.full:
            writer.commit({"value": writer.page}, {}, None, complete=False)
    writer.commit(None, {}, None, complete=True)
    return True


def records(attempt: Attempt) -> list[int]:
    text = b"".join(gzip.decompress(Path(path).read_bytes()) for path in attempt.paths)
    return [json.loads(line)["n"] for line in text.splitlines()]


@settings(deadline=None)
@given(PAGES, st.integers(1, 6), st.lists(st.integers(0, 8), max_size=4))
def test_broken_off_anywhere_and_gone_on_with(
    tmp_path_factory: pytest.TempPathFactory, pages: list[list[int]], size: int, stops: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("landing")
    batch = BatchSize(size, size, 1.0)
    whole = Landing(folder / "whole")
    broken = Landing(folder / "broken")
    with whole.alone(), broken.alone():
        undisturbed = whole.begin()
        assert land(undisturbed, pages, batch)
        attempt = broken.begin()
        done = False
        for stop in stops:
            landed = attempt.manifest.pages
            done = land(attempt, pages, batch, stop)
            found = broken.waiting(0)
            assert found is not None
            attempt = read_attempt(found.folder)
            assert attempt.manifest.pages >= landed
            if done:
                break
        if not done:
            assert not attempt.manifest.complete
            assert land(attempt, pages, batch)
    expected = [n for page in pages for n in page]
    assert records(attempt) == records(undisturbed) == expected
    assert attempt.fingerprint == undisturbed.fingerprint
    assert attempt.manifest.names == [
        f"page{n}" for n in sorted(map(str, range(1, len(pages) + 1)))
    ]
    assert read_attempt(attempt.folder) == attempt
    assert not list(attempt.folder.glob("*.part"))
    for file in attempt.manifest.files:
        data = gzip.decompress((attempt.folder / file.name).read_bytes())
        assert (file.bytes, file.records) == (len(data), data.count(b"\n"))
        assert file.sha256 == hashlib.sha256(data).hexdigest()


def test_the_fingerprint_is_of_the_records(tmp_path: Path) -> None:
    def fingerprint(name: str, pages: list[list[int]], size: int = 1) -> str:
        landing = Landing(tmp_path / name)
        with landing.alone():
            attempt = landing.begin()
            land(attempt, pages, BatchSize(size, size, 1.0))
        return attempt.fingerprint

    first = fingerprint("a", [[1, 2], [3]])
    assert fingerprint("b", [[1, 2], [3]], size=5) == first
    assert fingerprint("c", [[1, 2], [3], []]) == first
    assert len({first, fingerprint("d", [[1, 2], [4]]), fingerprint("e", [[1, 2]])}) == 3


def test_what_waits_what_is_kept_and_what_is_forgotten(tmp_path: Path) -> None:
    landing = Landing(tmp_path / "day")
    size = BatchSize(1, 1, 1.0)
    assert landing.attempts() == []
    assert landing.waiting(0) is None
    for _ in range(KEPT_ATTEMPTS + 2):
        with landing.alone():
            attempt = landing.begin()
            land(attempt, [[1]], size)
            found = landing.waiting(0)
            assert found is not None
            assert found.manifest.complete
            found.manifest.offered = True
            found.save()
            assert landing.waiting(0) is None
            landing.prune()
    assert [each.folder.name for each in landing.attempts()] == ["000003", "000004"]
    broken = landing.begin()
    land(broken, [[1], [2]], size, stop_after=1)
    assert landing.waiting(broken.manifest.started - 1) is not None
    assert landing.waiting(broken.manifest.started + 1) is None
    assert landing.begin().manifest.pages == 0
    assert not list(landing.folder.glob("000005/*.gz"))
    assert [each.folder.name for each in landing.attempts()] == ["000003", "000004", "000005"]
