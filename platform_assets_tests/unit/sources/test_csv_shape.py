"""The shape of a file, told from its bytes, against Python's own csv module."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from platform_assets.sources import csv_shape
from platform_assets.sources.csv_dialect import Dialect, HeaderError, Preparation, read_header
from platform_assets.sources.csv_shape import Fault, Shape

PLAIN = Dialect()


def look(content: str | bytes, dialect: Dialect = PLAIN, block: int = 4096, **asked: int) -> Shape:
    data = io.BytesIO(content.encode() if isinstance(content, str) else content)
    return csv_shape.shape(csv_shape.blocks_of(data, block), dialect, **asked)


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
def test_a_header_is_the_first_record(content: bytes, header: list[str]) -> None:
    assert read_header(io.BytesIO(content), PLAIN) == header


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"a,\xff\n", "bytes that are not UTF-8"), (b"a," + b"x" * 200_000, "too long")],
)
def test_a_first_record_that_is_no_header(content: bytes, message: str) -> None:
    with pytest.raises(HeaderError, match=message):
        read_header(io.BytesIO(content), PLAIN)


@pytest.mark.parametrize(
    ("content", "how", "header"),
    [
        ("a,b\n".encode("utf-16"), Preparation("utf-16"), ["a", "b"]),
        ("é,b\r\n".encode("latin-1"), Preparation("latin-1"), ["é", "b"]),
        (b"title\n\n# note\na,b\n", Preparation(skip=2, comment="#"), ["a", "b"]),
    ],
)
def test_a_header_of_a_file_that_needs_preparing(
    content: bytes, how: Preparation, header: list[str]
) -> None:
    assert read_header(io.BytesIO(content), PLAIN, how) == header


def test_a_header_of_another_encoding_is_refused() -> None:
    with pytest.raises(HeaderError, match="not UTF-16"):
        read_header(io.BytesIO(b"\xff\xfea\x00\x00\xd8b\x00"), PLAIN, Preparation("utf-16"))


@pytest.mark.parametrize("block", [1, 2, 3, 7, 4096])
@given(
    rows=st.lists(
        st.lists(st.text(st.sampled_from('ab ,"\n'), max_size=6), min_size=2, max_size=2),
        max_size=8,
    ),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    last=st.booleans(),
)
def test_records_are_counted_as_python_counts_them(
    block: int, rows: list[list[str]], end: str, last: bool
) -> None:
    out = io.StringIO(newline="")
    # Python quotes a line end only where it is its own.
    quoting = csv.QUOTE_ALL if end == "\r" else csv.QUOTE_MINIMAL
    csv.writer(out, lineterminator=end, quoting=quoting).writerows([["x", "y"], *rows])
    content = out.getvalue() if last else out.getvalue().removesuffix(end)
    found = look(content, block=block, fields=2)
    assert (found.records, found.delimiters) == (len(rows) + 1, len(rows) + 1)
    assert (found.fault, found.open_line, found.odd, found.ragged) == (None,) * 4
    assert found.end in ({"\n": "LF", "\r\n": "CRLF", "\r": "CR"}[end], "")
    counted = csv_shape.count(io.BytesIO(content.encode()), PLAIN)
    assert counted.lines == len(content.split("\n")) - (content[-1:] == "\n")
    assert counted.delimiters == content.count(",")
    assert counted.special == content.count('"') + content.count("\r")


@pytest.mark.parametrize("block", [1, 2, 5, 4096])
@given(content=st.text(st.sampled_from('a,"\r\n'), max_size=14))
def test_a_file_is_without_fault_exactly_where_a_strict_reader_takes_it(
    block: int, content: str
) -> None:
    found = look(content, block=block)
    try:
        rows = [row for row in csv.reader(io.StringIO(content, newline=""), strict=True) if row]
    except csv.Error:
        assert found.fault or found.open_line
        return
    if found.odd is None:
        assert (found.fault, found.open_line) == (None, None)
        assert (found.records, found.delimiters) == (len(rows), sum(len(r) - 1 for r in rows))


@pytest.mark.parametrize("block", [1, 2, 3, 4096])
@given(
    rows=st.lists(
        st.lists(st.text(st.sampled_from('ab,"\\\n'), max_size=6), min_size=2, max_size=2),
        max_size=8,
    )
)
def test_escaped_quotes_end_no_field(block: int, rows: list[list[str]]) -> None:
    quoted = [
        ",".join('"' + each.replace("\\", "\\\\").replace('"', '\\"') + '"' for each in row)
        for row in rows
    ]
    found = look("".join(f"{line}\n" for line in quoted), Dialect(escape="\\"), block, fields=2)
    assert (found.records, found.delimiters, found.fault) == (len(rows), len(rows), None)
    assert (found.ragged, found.open_line) == (None, None)


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
        ("\ufeff", 0, None),
    ],
)
def test_an_open_quote_is_found_with_its_line(
    block: int, content: str, count: int, line: int
) -> None:
    found = look(content, block=block)
    assert (found.records, found.open_line) == (count, line)


@pytest.mark.parametrize("block", [1, 2, 3, 4096])
@pytest.mark.parametrize(
    ("content", "end", "odd"),
    [
        ("", "", None),
        ("a", "", None),
        ("a\nb\n", "LF", None),
        ("a\r\nb\r\n", "CRLF", None),
        ("a\rb\r", "CR", None),
        ("a\r", "CR", None),
        ("a\nb\r\nc\n", "LF", Fault(2, "CRLF")),
        ("a\r\nb\r\nc\n", "CRLF", Fault(3, "LF")),
        ("a\nb\rc\n", "LF", Fault(2, "CR")),
        ("a\nb\r", "LF", Fault(2, "CR")),
        ('a\n"b\r\nc"\n', "LF", None),
    ],
)
def test_line_ends_and_where_they_change(
    block: int, content: str, end: str, odd: Fault | None
) -> None:
    found = look(content, block=block)
    assert (found.end, found.odd) == (end, odd)


@pytest.mark.parametrize("block", [1, 2, 4096])
@pytest.mark.parametrize(
    ("content", "escape", "fault"),
    [
        ('a\n"b"c\n', '"', Fault(2, "text after the quote that closes a field")),
        ('a\n"b" \n', '"', Fault(2, "text after the quote that closes a field")),
        ('a\n""b\n', '"', Fault(2, "text after the quote that closes a field")),
        ('5" pipe,"x"\n', '"', None),
        ('5 "pipe",x\n', '"', None),
        ('a\n1,  "b"\n', '"', Fault(2, "a blank before the quote that opens a field")),
        ('a\n "b"\n', '"', Fault(2, "a blank before the quote that opens a field")),
        ('a\n"b\\n"\n', "\\", Fault(2, "an escape before something that needs none")),
        ("a\n\\b\n", "\\", Fault(2, "an escape before something that needs none")),
        ("a\n\\\\b\n", "\\", Fault(2, "an escape outside of quotes")),
        ('a\n"b""c"\n', "\\", Fault(2, "text after the quote that closes a field")),
        ('a\n""\n', "\\", None),
    ],
)
def test_a_quote_that_does_not_keep_the_dialect(
    block: int, content: str, escape: str, fault: Fault | None
) -> None:
    assert look(content, Dialect(escape=escape), block).fault == fault


@pytest.mark.parametrize("block", [1, 2, 4096])
@pytest.mark.parametrize(
    ("content", "ragged"),
    [
        ("a,b\n1,2\n", None),
        ("a,b\n1,2,\n3,4\n", Fault(2, "3 fields")),
        ("a,b\n1,2\n\n3", Fault(4, "1 fields")),
        ('a,b\n"1,\n",2\n3,4,', Fault(4, "3 fields")),
    ],
)
def test_the_first_record_of_another_width(block: int, content: str, ragged: Fault | None) -> None:
    assert look(content, block=block, fields=2).ragged == ragged


def test_memory_stays_bounded_in_a_file_of_quotes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_shape, "BLOCK_BYTES", 10)
    pieces = csv_shape.whole(csv_shape.blocks_of(io.BytesIO(b'"' * 100)), PLAIN)
    assert max(len(piece) for piece in pieces) <= 20
