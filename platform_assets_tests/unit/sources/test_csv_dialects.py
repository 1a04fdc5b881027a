"""Pinned dialects: files that need one are read exactly, and what contradicts itself is refused."""

from __future__ import annotations

import gzip
from typing import Any

import pyarrow as pa
import pytest

from platform_assets.contracts import Contract, Field
from platform_assets.errors import ContractError
from platform_assets.pipeline import load_raw
from platform_assets.sources.files import CsvFiles
from platform_assets_tests.support import D1, D2, HEADER, Site, row, text, things

NAMES = tuple(HEADER.split(","))
NOTE = 'é "x", 5" \\'


def quoted(note: str, escape: str = '"') -> str:
    doubled = note if escape == '"' else note.replace(escape, escape * 2)
    return '"' + doubled.replace('"', escape + '"') + '"'


GOOD: dict[str, tuple[bytes, dict[str, Any]]] = {
    "utf16": (text(row(note=quoted(NOTE))).encode("utf-16"), {"encoding": "utf-16"}),
    "latin1": (text(row(note=quoted(NOTE))).encode("latin-1"), {"encoding": "latin-1"}),
    "escaped": (text(row(note=quoted(NOTE, "\\"))).encode(), {"escape": "\\"}),
    "no_header": (f"{row(note=quoted(NOTE))}\n".encode(), {"columns": NAMES}),
    "mark_no_header": (
        f"\ufeff{row(chr(34) + 't1' + chr(34), note=quoted(NOTE))}\n".encode(),
        {"columns": NAMES},
    ),
    "titled": (f'a "title\n\n{text(row(note=quoted(NOTE)))}'.encode(), {"skip": 2}),
    "comments": (
        f"# it's \"\n{text(row(note=quoted(NOTE)))}#,,\n".encode(),
        {"comment": "#"},
    ),
    "returns": (text(row(note=quoted(NOTE))).replace("\n", "\r").encode(), {}),
    "brackets[1]?": (text(row(note=quoted(NOTE))).encode(), {}),
}


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("end", [".csv", ".csv.gz", ".csv.zst"])
def test_a_file_of_a_pinned_dialect_is_read_exactly(shared_site: Site, name: str, end: str) -> None:
    content, options = GOOD[name]
    pack = {
        ".csv": bytes,
        ".csv.gz": gzip.compress,
        ".csv.zst": lambda data: pa.compress(data, codec="zstd", asbytes=True),
    }[end]
    dataset_name = f"{name.split('[', maxsplit=1)[0]}{end.replace('.', '_')}"
    folder = shared_site.folder / dataset_name
    folder.mkdir()
    (folder / f"{name}{D1}{end}").write_bytes(pack(content))
    days = [D1]
    if end != ".csv":
        (folder / f"{name}{D2}{end}").write_bytes(pack(content)[:-12])
        days.append(D2)
    source = CsvFiles(f"{dataset_name}/{name}{{partition}}{end}", **options)
    loaded = load_raw(shared_site.step(things(dataset_name, source=source)), days)
    assert D1 not in loaded.failed
    found = shared_site.raw(dataset_name, "thing_id, note, _source_file")
    assert found[0] == ("t1", NOTE, f"{dataset_name}/{name}{D1}{end}")
    if end != ".csv":
        assert set(loaded.failed) == {D2}  # a file that is cut off is never taken for whole
        assert (
            "a whole file" in loaded.failed[D2].message or "text file" in loaded.failed[D2].message
        )


BAD: dict[str, tuple[bytes, dict[str, Any], str, str]] = {
    "not_the_encoding": (
        text(*(row(f"t{n}") for n in range(100_000))).encode("utf-16")[:-1],
        {"encoding": "utf-16"},
        "cannot be read",
        "line 100001",
    ),
    "blank_before_quote": (text(row(note=' "x"')).encode(), {}, "line 2", "a blank before"),
    "blank_after_quote": (text(row(note='"x" ')).encode(), {}, "line 2", "text after the quote"),
    "trailing_delimiter": (text(row() + ",").encode(), {}, "line 2", "6 fields"),
    "doubtful_comment": (
        text(row(note='"a\n# b"')).encode(),
        {"comment": "#"},
        "line 3",
        "between two quotes",
    ),
    "odd_after_skip": (
        ("title\n" + text(row(), row(note='"x"y'))).encode(),
        {"skip": 1},
        "line 4",
        "",
    ),
    "escape_of_nothing": (text(row(note='"a\\b"')).encode(), {"escape": "\\"}, "line 2", "escape"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_keep_its_dialect_is_refused_with_its_line(
    shared_site: Site, name: str
) -> None:
    content, options, *told = BAD[name]
    shared_site.deliver(D1, content, name)
    source = CsvFiles(f"{name}/{{partition}}.csv", **options)
    loaded = load_raw(shared_site.step(things(name, source=source)), [D1])
    for each in told:
        assert each in loaded.failed[D1].message
    assert shared_site.path(name, D1).name in loaded.failed[D1].message


def test_a_blank_line_in_a_file_of_one_column_is_refused(shared_site: Site) -> None:
    class Word(Contract):
        """A word."""

        word: str = Field(nullable=True)

    shared_site.deliver(D1, "word\na\n\nb\n", "words")
    shared_site.deliver(D2, 'word\na\n""\nb\n', "words")
    loaded = load_raw(shared_site.step(things("words", contract=Word)), [D1, D2])
    assert set(loaded.failed) == {D1}
    assert "line 3" in loaded.failed[D1].message
    assert shared_site.raw("words", "word") == [("a",), ("b",), (None,)]


@pytest.mark.parametrize(
    "options",
    [
        {"delimiter": ""},
        {"delimiter": "§"},
        {"delimiter": "||"},
        {"delimiter": '"'},
        {"quote": "", "escape": "\\"},
        {"comment": "//"},
        {"skip": -1},
        {"encoding": "utf-99"},
        {"columns": ("a", "A")},
    ],
)
def test_a_dialect_that_contradicts_itself_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ContractError, match="contradicts itself") as caught:
        CsvFiles("x/{partition}.csv", **options)
    assert "x/{partition}.csv" in caught.value.where
