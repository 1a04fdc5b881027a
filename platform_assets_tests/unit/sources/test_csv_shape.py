"""The shape of a file, told from its bytes, against Python's own csv module."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from platform_assets.sources import csv_shape
from platform_assets.sources.csv_shape import HeaderError, LineEnds


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "file.csv"


@pytest.mark.parametrize(
    ("content", "header"),
    [
        (b"a,b\n1,2\n", ["a", "b"]),
        (b"a,b", ["a", "b"]),
        (b"\xef\xbb\xbfa,b\r\n", ["a", "b"]),
        (b'"a","b ""x"""\n', ["a", 'b "x"']),
        (b'a,"b\nc"\n1,2\n', ["a", "b\nc"]),
        ("a,b\u2028c,d\n".encode(), ["a", "b\u2028c", "d"]),
        (b"", []),
        (b"\na,b\n", []),
        (b"a,b\n\xff\n", ["a", "b"]),
    ],
)
def test_a_header_is_the_first_record(file: Path, content: bytes, header: list[str]) -> None:
    file.write_bytes(content)
    assert csv_shape.read_header(file, ",", '"') == header


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"a,\xff\n", "bytes that are not UTF-8"), (b"a," + b"x" * 200_000, "too long")],
)
def test_a_first_record_that_is_no_header(file: Path, content: bytes, message: str) -> None:
    file.write_bytes(content)
    with pytest.raises(HeaderError, match=message):
        csv_shape.read_header(file, ",", '"')


@pytest.mark.parametrize("block", [1, 2, 3, 7, 4096])
@given(
    rows=st.lists(
        st.lists(st.text(st.sampled_from('ab ,"\n'), max_size=6), min_size=2, max_size=2),
        max_size=8,
    ),
    end=st.sampled_from(["\n", "\r\n"]),
    last=st.booleans(),
)
def test_records_are_counted_as_python_counts_them(
    tmp_path_factory: pytest.TempPathFactory,
    block: int,
    rows: list[list[str]],
    end: str,
    last: bool,
) -> None:
    file = tmp_path_factory.getbasetemp() / f"records-{block}.csv"
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator=end).writerows([["x", "y"], *rows])
    content = out.getvalue() if last else out.getvalue().removesuffix(end)
    file.write_text(content, encoding="utf-8", newline="")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_shape, "BLOCK_BYTES", block)
        patch.setattr(csv_shape, "COUNTED_BYTES", block)
        records = csv_shape.count_records(file, '"')
        assert (records.count, records.open_line) == (len(rows) + 1, None)
        assert csv_shape.count_lines(file) == len(content.split("\n")) - (content[-1:] == "\n")
        kinds = csv_shape.line_ends(file, '"')
        assert kinds.odd_line is None
        assert kinds.first in ({"\n": "LF", "\r\n": "CRLF"}[end], "")


@pytest.mark.parametrize("block", [1, 2, 5, 4096])
@pytest.mark.parametrize(
    ("content", "count", "line"),
    [
        ('a,b\n1,"x\n2,y\n', 2, 2),
        ('a,b\n1,x\n2,"y', 3, 3),
        ('a,b\n1,"x\ny"\n\n2,"z\n', 3, 5),
        ('"a', 1, 1),
        ("a,b\n\n\n1,2\n\n", 2, None),
        ("\n\n", 0, None),
        ("", 0, None),
    ],
)
def test_an_open_quote_is_found_with_its_line(
    file: Path, monkeypatch: pytest.MonkeyPatch, block: int, content: str, count: int, line: int
) -> None:
    monkeypatch.setattr(csv_shape, "BLOCK_BYTES", block)
    file.write_text(content, newline="")
    records = csv_shape.count_records(file, '"')
    assert (records.count, records.open_line) == (count, line)


@pytest.mark.parametrize("block", [1, 2, 3, 4096])
@pytest.mark.parametrize(
    ("content", "ends"),
    [
        ("", LineEnds("")),
        ("a", LineEnds("")),
        ("a\nb\n", LineEnds("LF")),
        ("a\r\nb\r\n", LineEnds("CRLF")),
        ("a\rb\r", LineEnds("CR")),
        ("a\r", LineEnds("CR")),
        ("a\nb\r\nc\n", LineEnds("LF", 2, "CRLF")),
        ("a\r\nb\r\nc\n", LineEnds("CRLF", 3, "LF")),
        ("a\nb\rc\n", LineEnds("LF", 2, "CR")),
        ("a\nb\r", LineEnds("LF", 2, "CR")),
        ('a\n"b\r\nc"\n', LineEnds("LF")),
    ],
)
def test_line_ends_and_where_they_change(
    file: Path, monkeypatch: pytest.MonkeyPatch, block: int, content: str, ends: LineEnds
) -> None:
    monkeypatch.setattr(csv_shape, "BLOCK_BYTES", block)
    file.write_text(content, newline="")
    assert csv_shape.line_ends(file, '"') == ends


def test_a_delimiter_is_guessed_among_the_common_ones(file: Path) -> None:
    file.write_text("a;b;c\n1;2;3\n")
    assert csv_shape.guess_delimiter(file, 3) == ";"
    assert csv_shape.guess_delimiter(file, 4) is None
