"""CSV files as a source: which files a partition has, and what tells that one has changed."""

from __future__ import annotations

import os
from pathlib import Path

import duckdb
import pytest

from platform_assets.errors import ContractError, SourceError
from platform_assets.sources.base import Access
from platform_assets.sources.files import CsvFiles
from platform_assets_tests.support import D1, D2, HEADER, Site, row, text, things


def _access(**connections: object) -> Access:
    return Access(duckdb.connect(), connections)


@pytest.mark.parametrize("path", ["*/{partition}.csv", "{partition}/{partition}.csv"])
def test_a_path_has_to_tell_the_partition(path: str) -> None:
    with pytest.raises(ContractError, match="which partition a file belongs to") as caught:
        CsvFiles(path)
    assert path in caught.value.where
    assert "orders/{partition}" in caught.value.fix


def test_the_connection_has_to_be_a_folder(tmp_path: Path) -> None:
    source = CsvFiles("things/{partition}.csv", connection="share")
    with pytest.raises(SourceError, match="not configured") as caught:
        source.inputs(_access(), [D1])
    assert "'share'" in caught.value.where
    assert "FolderResource" in caught.value.fix
    with pytest.raises(SourceError, match="folder of a source does not exist") as caught:
        source.inputs(_access(share=tmp_path), [D1])
    assert str(tmp_path / "things") in caught.value.expected
    (tmp_path / "things").write_text("a file")
    with pytest.raises(SourceError) as caught:
        source.inputs(_access(share=tmp_path), [D1])
    assert caught.value.found == "something that is no folder"


def test_a_day_without_a_file_is_empty_and_a_changed_file_is_seen(site: Site) -> None:
    source = things().source
    path = site.deliver(D1, text(row()))
    first, second = source.inputs(Access(site.lake, site.connections), [D1, D2])
    assert (first.items, first.bytes) == ((str(path),), path.stat().st_size)
    assert (second.items, second.bytes) == ((), 0)
    assert source.inputs(Access(site.lake, site.connections), [D1])[0] == first
    stat = path.stat()
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    assert (
        source.inputs(Access(site.lake, site.connections), [D1])[0].fingerprint != first.fingerprint
    )


def test_a_star_takes_several_files_and_each_row_tells_which(site: Site) -> None:
    dataset = things(source=CsvFiles("things/{partition}/*.csv"))
    folder = site.folder / "things" / D1
    folder.mkdir(parents=True)
    (folder / "b.csv").write_text(text(row("t2"), row("t3", quantity=-1)))
    (folder / "a.csv").write_text(text(row("t1")))
    (folder / "folder.csv").mkdir()
    loaded, cleaned = site.run(dataset, [D1, D2])
    assert loaded.entries[D1].extracted == 3
    assert cleaned.entries[D1].stopped_by == "quantity__ge"  # a third of the rows is bad
    assert site.raw(columns="thing_id, _source_file") == [
        ("t1", f"things/{D1}/a.csv"),
        ("t2", f"things/{D1}/b.csv"),
        ("t3", f"things/{D1}/b.csv"),
    ]
    assert site.quarantine(columns="source_file, row_number") == [(f"things/{D1}/b.csv", 2)]


def test_one_bad_file_of_several_stops_its_partition_only(site: Site) -> None:
    dataset = things(source=CsvFiles("things/{partition}/*.csv"))
    for day, name, content in [
        (D1, "a", text(row("t1"))),
        (D1, "b", text(row("t2").rsplit(",", 1)[0])),
        (D2, "a", text(row("t3"))),
    ]:
        (site.folder / "things" / day).mkdir(parents=True, exist_ok=True)
        (site.folder / "things" / day / f"{name}.csv").write_text(content)
    loaded, _ = site.run(dataset, [D1, D2])
    assert set(loaded.failed) == {D1}
    assert f"{D1}/b.csv, line 2" in loaded.failed[D1].message
    assert site.raw(columns="thing_id") == [("t3",)]


def test_another_quote_and_delimiter(site: Site) -> None:
    dataset = things(source=CsvFiles("things/{partition}.csv", delimiter="\t", quote="'"))
    content = text(row("t1", note="'it''s\ta \"note\"'"), row("t2"))
    site.deliver(D1, content.replace(",", "\t"))
    site.run(dataset, [D1])
    assert site.cleaned(columns="thing_id, note") == [("t1", 'it\'s\ta "note"'), ("t2", None)]


def test_a_file_that_goes_away_while_it_is_read_fails_its_partition(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.deliver(D1, text(row("t1")))
    gone = site.deliver(D2, text(row("t2")))
    inspect = CsvFiles.inspect

    def and_then_it_is_gone(*args: object) -> object:
        found = inspect(*args)  # type: ignore[arg-type]
        gone.unlink(missing_ok=True)
        return found

    monkeypatch.setattr(CsvFiles, "inspect", and_then_it_is_gone)
    loaded, _ = site.run(things(), [D1, D2])
    assert set(loaded.failed) == {D2}
    assert str(gone) in loaded.failed[D2].message
    assert site.ids(D1) == ["t1"]


def test_names_that_differ_by_case_only_are_one_column_in_raw(site: Site) -> None:
    header = HEADER
    site.deliver(D1, text(row("t1") + ",red", header=header + ",Colour"))
    site.deliver(D2, text(row("t2") + ",blue", header=header + ",colour"))
    loaded, _ = site.run(things(), [D1, D2])
    assert not loaded.failed
    assert site.raw(columns="thing_id, colour") == [("t1", "red"), ("t2", "blue")]
    site.deliver(D2, text(row("t2") + ",green", header=header + ",COLOUR"))
    assert not site.run(things(), [D2])[0].failed
    assert site.raw(columns="colour") == [("green",), ("red",)]
