"""Bad input: each kind stops its own partition with an error that says what to do.

Every case is delivered between two good days of one batch. The good days are published, the bad
day keeps what it had, and the error names the dataset, the file and the line.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pytest

from platform_assets.pipeline import BatchReport, clean
from platform_assets.warehouse.ledger import Status
from platform_assets_tests.support import D1, D2, D3, HEADER, Site, row, rows_named, text, things

GOOD = text(*rows_named("a", "b", "c"))


@dataclass(frozen=True)
class Case:
    """A bad file, and what its error has to say."""

    content: bytes | None
    what: str
    line: int | None
    expected: str
    found: str
    fix: str
    stopped_by: str = "source"


def lines(*rows: str) -> bytes:
    return text(*rows).encode()


BAD = {
    "missing_column": Case(
        text("a,1,2025-01-01", header="thing_id,quantity,changed_at").encode(),
        "lacks columns: price, note",
        None,
        HEADER.replace(",", ", "),
        "3 columns: thing_id, quantity, changed_at",
        "Field(source=…)",
        stopped_by="schema",
    ),
    "no_header": Case(
        lines(*rows_named("a", "b")).split(b"\n", 1)[1],
        "lacks columns",
        1,
        "a header with the columns thing_id",
        "5 fields, none of them such a column",
        "delivered with it",
    ),
    "directory": Case(None, "cannot be read", 1, "UTF-8 text file", "Is a directory", "rights"),
    "not_utf8": Case(
        lines(row("a"), row("b")).replace(b"b,1", b"\xff\xfe,1"),
        "not a record (invalid encoding)",
        3,
        "well-formed CSV record in UTF-8",
        "invalid encoding",
        "correct the line",
    ),
    "header_not_utf8": Case(
        lines(row("a")).replace(b"note", b"not\xe9"),
        "cannot be read",
        1,
        "UTF-8",
        "bytes that are not UTF-8",
        "encoding",
    ),
    "utf16": Case(GOOD.encode("utf-16"), "cannot be read", 1, "UTF-8", "not UTF-8", "encoding"),
    "truncated_row": Case(
        lines(row("a"), "b,1,1.0", row("c")),
        "not a record (missing columns)",
        3,
        "5",
        "3 columns",
        "correct the line",
    ),
    "truncated_file": Case(
        lines(row("a"), row("b"))[:-25],
        "not a record (missing columns)",
        3,
        "5",
        "columns",
        "delivered again",
    ),
    "too_many_fields": Case(
        lines(row("a"), row("b") + ",more"),
        "not a record (too many columns)",
        3,
        "5",
        "6 columns",
        "correct the line",
    ),
    "other_delimiter": Case(
        GOOD.replace(",", ";").encode(),
        "another delimiter",
        1,
        "','",
        "';'",
        "CsvFiles(delimiter=';')",
    ),
    "open_quote": Case(
        lines(row("a"), row("b", note='"open'), row("c"), row("d")),
        "a quote that is never closed",
        3,
        "as many closing quotes",
        "begins in this line",
        "without its partner",
    ),
    "open_quote_in_the_last_line": Case(
        lines(row("a"), row("b", note='"open')),
        "a quote that is never closed",
        3,
        "as many closing quotes",
        "begins in this line",
        "without its partner",
    ),
    "text_after_a_quote": Case(
        lines(row("a"), row("b", note='"x"y')),
        "not a record (unquoted value)",
        3,
        "well-formed CSV record",
        "unquoted value",
        "correct the line",
    ),
    "mixed_line_ends": Case(
        lines(row("a"), row("b"), row("c")).replace(b"\n", b"\r\n").replace(b"\r\nc", b"\nc"),
        "lines end in different ways",
        3,
        "CRLF",
        "LF",
        "one kind of line end",
    ),
    "empty_file": Case(b"", "empty", 1, "a header", "0 bytes", "only its header"),
    "blank_first_line": Case(
        b"\n" + GOOD.encode(), "blank line", 1, "a header", "a blank line", "deliver the file again"
    ),
    "long_line": Case(
        lines(row("a"), row("b", note="x" * 3_000_000), row("c")),
        "not a record (line size over maximum)",
        3,
        "at most 2,000,000 bytes",
        "line size over maximum",
        "correct the line",
    ),
    "repeated_name": Case(
        text(row("a") + ",x", header=HEADER + ",note").encode(),
        "cannot be told apart",
        1,
        "each name once",
        "'note'",
        "renamed at the source",
    ),
    "repeated_name_by_case": Case(
        text(row("a") + ",x", header=HEADER + ",Note").encode(),
        "cannot be told apart",
        1,
        "in whatever case",
        "'Note', 'note'",
        "renamed at the source",
    ),
    "reserved_name": Case(
        text(row("a") + ",x", header=HEADER + ",_partition").encode(),
        "cannot be told apart",
        1,
        "underscore",
        "'_partition'",
        "renamed at the source",
    ),
    "empty_name": Case(
        text(row("a") + ",x", header=HEADER + ",").encode(),
        "cannot be told apart",
        1,
        "none empty",
        "''",
        "renamed at the source",
    ),
    "nul_in_a_name": Case(
        text(row("a") + ",x", header=HEADER + ",colo\0r").encode(),
        "cannot be told apart",
        1,
        "each name once",
        "'colo\\x00r'",
        "renamed at the source",
    ),
    "endless_name": Case(
        text(row("a") + ",x", header=HEADER + "," + "x" * 200_000).encode(),
        "cannot be read",
        1,
        "UTF-8 text file",
        "too long for a column's name",
        "correct the file",
    ),
}


ODD_BUT_GOOD = {
    "header_only": (HEADER.encode() + b"\n", []),
    "header_without_line_end": (HEADER.encode(), []),
    "byte_order_mark": (b"\xef\xbb\xbf" + GOOD.encode(), ["a", "b", "c"]),
    "bare_returns": (GOOD.replace("\n", "\r").encode(), ["a", "b", "c"]),
    "crlf": (GOOD.replace("\n", "\r\n").encode(), ["a", "b", "c"]),
    "no_last_line_end": (GOOD.removesuffix("\n").encode(), ["a", "b", "c"]),
    "blank_lines": (lines(row("a"), "", "", row("b"), ""), ["a", "b"]),
    "blank_lines_crlf": (lines(row("a"), "", row("b")).replace(b"\n", b"\r\n"), ["a", "b"]),
    "quoted_lines": (lines(row("a", note='"x\ny, ""z"""'), row("b", note='"\r\n"')), ["a", "b"]),
    "inch_marks": (lines(row("a", note='5" pipe'), row("b")), ["a", "b"]),
    "nul": (lines(row("a", note="x\0y"), row("b")), ["a", "b"]),
    "quoted_header": (
        text(row("a"), header='"' + HEADER.replace(",", '","') + '"').encode(),
        ["a"],
    ),
    "reordered": (
        text("2025-01-01,n,1.00,1,a", header=",".join(reversed(HEADER.split(",")))).encode(),
        ["a"],
    ),
    "unicode_names": (text(row("a") + ",x", header=HEADER + ",größe\u2028").encode(), ["a"]),
}


DAYS = things().partitions.keys()
BAD_DAYS = {name: DAYS[2 * n + 1] for n, name in enumerate(BAD)}
GOOD_DAYS = [DAYS[2 * n] for n in range(len(BAD) + 1)]
ODD_DAYS = {name: DAYS[2 * len(BAD) + 1 + n] for n, name in enumerate(ODD_BUT_GOOD)}
ALL_DAYS = sorted([*BAD_DAYS.values(), *GOOD_DAYS, *ODD_DAYS.values()])


@dataclass(frozen=True)
class Story:
    """What three runs over all cases did: good files, then the cases, then good files again."""

    site: Site
    loaded: BatchReport
    ids: dict[str, list[str]]
    raw_rows: dict[str, int]
    repaired: BatchReport
    repaired_ids: dict[str, list[str]]


@pytest.fixture(scope="module")
def story(shared_site: Site) -> Story:
    """Every bad file between two good ones, all in one batch."""
    site, dataset = shared_site, things()

    def ids() -> dict[str, list[str]]:
        found: dict[str, list[str]] = {day: [] for day in ALL_DAYS}
        for day, key in site.cleaned(columns="_partition, thing_id"):
            found[day].append(key)
        return found

    for day in BAD_DAYS.values():
        site.deliver(day, text(row("before")))
    site.run(dataset, list(BAD_DAYS.values()))
    for name, day in BAD_DAYS.items():
        content = BAD[name].content
        if content is None:
            site.path("things", day).unlink()
            site.path("things", day).mkdir()
        else:
            site.deliver(day, content)
    for day in GOOD_DAYS:
        site.deliver(day, GOOD)
    for name, day in ODD_DAYS.items():
        site.deliver(day, ODD_BUT_GOOD[name][0])
    loaded, _ = site.run(dataset, ALL_DAYS)
    after, raw = ids(), Counter(day for (day,) in site.raw(columns="_partition"))
    for day in BAD_DAYS.values():
        if site.path("things", day).is_dir():
            site.path("things", day).rmdir()
        site.deliver(day, text(row("after")))
    repaired, _ = site.run(dataset, ALL_DAYS)
    return Story(site, loaded, after, dict(raw), repaired, ids())


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_stops_its_day_with_what_to_do(story: Story, name: str) -> None:
    case, day = BAD[name], BAD_DAYS[name]
    failed = story.loaded.failed[day]
    assert (failed.stopped_by, failed.extracted) == (case.stopped_by, 0)
    what, *rest = failed.message.splitlines()
    told = dict(part.strip().split(": ", 1) for part in rest)
    assert case.what in what
    path = story.site.path("things", day)
    place = f"partition {day}, {path}" if case.line is None else f"file {path}, line {case.line}"
    assert f"dataset things, {place}" in told["where"]
    assert case.expected in told["expected"]
    assert case.found in told["found"]
    assert case.fix in told["fix"]


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_leaves_what_was_there(story: Story, name: str) -> None:
    day = BAD_DAYS[name]
    assert story.ids[day] == ["before"]
    assert story.raw_rows[day] == 1
    assert story.repaired.entries[day].status is Status.PUBLISHED
    assert story.repaired_ids[day] == ["after"]


def test_the_neighbours_of_bad_files_are_published(story: Story) -> None:
    assert set(story.loaded.failed) == set(BAD_DAYS.values())
    assert {day: story.ids[day] for day in GOOD_DAYS} == {day: ["a", "b", "c"] for day in GOOD_DAYS}
    for day in GOOD_DAYS:
        assert story.loaded.entries[day].status is Status.PUBLISHED
        assert story.repaired.entries[day].status is Status.UNCHANGED


@pytest.mark.parametrize("name", ODD_BUT_GOOD)
def test_an_odd_file_that_is_right_is_read_right(story: Story, name: str) -> None:
    day, ids = ODD_DAYS[name], ODD_BUT_GOOD[name][1]
    assert story.loaded.entries[day].extracted == len(ids)
    assert story.ids[day] == ids


def test_what_is_inside_quotes_arrives_as_it_is(site: Site) -> None:
    dataset = things("quotes")
    notes = {"a": "x\ny", "b": 'say "hi"', "c": "1\r\n2", "d": " , ", "e": "x\0y"}
    site.deliver(
        D1,
        text(*(row(k, note='"' + v.replace('"', '""') + '"') for k, v in notes.items())),
        "quotes",
    )
    site.run(dataset, [D1])
    assert dict(site.cleaned("quotes", "thing_id, note")) == notes


def test_a_column_is_found_by_its_name_in_every_file_of_a_batch(site: Site) -> None:
    dataset = things("orders_of_columns")
    name = dataset.name
    site.deliver(D1, text(row("a", 7, "1.50", "n")), name)
    header = "price,extra,note,thing_id,changed_at,quantity"
    site.deliver(D2, text("2.50,red,m,b,2025-01-01,8", header=header), name)
    site.deliver(D3, text(row("c", 9, "3.50") + ",big", header=HEADER + ",size"), name)
    loaded, _ = site.run(dataset, [D1, D2, D3])
    assert not loaded.failed
    assert [(i, q, str(p)) for i, q, p in site.cleaned(name, "thing_id, quantity, price")] == [
        ("a", 7, "1.50"),
        ("b", 8, "2.50"),
        ("c", 9, "3.50"),
    ]
    # What the contract does not know is kept in raw, and in the whole row of the quarantine.
    assert site.raw(name, "thing_id, extra, size") == [
        ("a", None, None),
        ("b", "red", None),
        ("c", None, "big"),
    ]


def test_a_day_without_a_file_is_empty_and_published(site: Site) -> None:
    dataset = things("no_file")
    site.deliver(D1, GOOD, "no_file")
    loaded, cleaned = site.run(dataset, [D1, D2])
    assert cleaned.entries[D2].status is Status.PUBLISHED
    assert (loaded.entries[D2].extracted, cleaned.entries[D2].cleaned) == (0, 0)
    site.path("no_file", D1).unlink()
    site.run(dataset, [D1, D2])
    assert site.cleaned("no_file") == []


def test_a_partition_that_was_never_loaded_is_not_taken_for_empty(site: Site) -> None:
    dataset = things("never_loaded")
    report = clean(site.step(dataset), [D1])
    entry = report.failed[D1]
    assert entry.stopped_by == "raw_missing"
    assert f"dataset never_loaded, partition {D1}" in entry.message
    assert "materialize raw/never_loaded" in entry.message
