"""NDJSON and JSON files: each value as it was written, and each fault with file and record."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from platform_assets.contracts import Contract, Field, Key
from platform_assets.dataset import Dataset
from platform_assets.partitions import Daily
from platform_assets.sources import json_reading
from platform_assets.sources.json_files import JsonFiles
from platform_assets.sources.ndjson import NdjsonFiles
from platform_assets.sources.nested import path_of
from platform_assets.sql import quote_literal
from platform_assets_tests.support import D1, D2, D3, START, Site


class Offer(Contract):
    """An offer: a key, a nested amount, a list."""

    offer_id: str = Field()
    amount: str = Field(source="price.amount", nullable=True)
    tags: str = Field(nullable=True)


def offers(name: str = "offers", **options: Any) -> Dataset:
    source = options.pop("source", None) or NdjsonFiles(f"{name}/{{partition}}.ndjson")
    return Dataset(name=name, contract=Offer, source=source, partitions=Daily(START), **options)


def put(site: Site, name: str, content: str | bytes, day: str = D1, end: str = ".ndjson") -> Path:
    path = site.folder / name / f"{day}{end}"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def line(offer_id: str = '"o1"', amount: str = "1.10", rest: str = "") -> str:
    return f'{{"offer_id": {offer_id}, "price": {{"amount": {amount}}}{rest}}}\n'


NUMBERS = ["1.10", "-0", "1E+05", "12345678901234567890.123456789", "123456789012345678901", "0"]


def test_numbers_and_texts_arrive_as_they_were_written(shared_site: Site) -> None:
    site = shared_site
    lines = [line(str(n), number) for n, number in enumerate(NUMBERS)]
    texts = ["1.10", 'say "1"', "a\n2", "é 5", "\\", ""]
    lines += [line(json.dumps(f"t{n}"), json.dumps(text)) for n, text in enumerate(texts)]
    lines += [line('"x1"', "true"), line('"x2"', "null"), '{"offer_id": "x3"}\n', "\n"]
    lines += [line('"x4"', '{"b": 1.10, "c": [1e5, "1"]}', ', "tags": [1.50, 2], "more": 7.0')]
    put(site, "offers", "".join(lines))
    loaded, _ = site.run(offers(), [D1])
    assert not loaded.failed
    found = {row[0]: row[1:] for row in site.raw("offers", 'offer_id, "price.amount", tags, more')}
    assert [found[str(n)][0] for n in range(len(NUMBERS))] == NUMBERS
    assert [found[f"t{n}"][0] for n in range(len(texts))] == texts
    assert [found[f"x{n}"][0] for n in (1, 2, 3)] == ["true", None, None]
    assert found["x4"] == ('{"b":1.10,"c":[1e5,"1"]}', "[1.50,2]", "7.0")
    assert len(found) == loaded.entries[D1].extracted == len(lines) - 1


NUMBER = r"-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?"


class _Number(str):
    """A number as it was written."""


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    value=st.recursive(
        st.none()
        | st.booleans()
        | st.text(st.characters(codec="utf-8", exclude_characters="\x00\x01"), max_size=8)
        | st.from_regex(
            r"-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?", fullmatch=True
        ).map(_Number),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
        ),
        max_leaves=6,
    )
)
def test_whatever_a_value_is_no_digit_is_lost(shared_site: Site, value: object) -> None:
    def write(each: object) -> str:
        if isinstance(each, _Number):
            return str(each)
        if isinstance(each, list):
            return "[" + ", ".join(write(one) for one in each) + "]"
        if isinstance(each, dict):
            return "{" + ",".join(f'"{k}" : {write(one)}' for k, one in each.items()) + "}"
        return json.dumps(each)

    def read(text: str) -> object:
        return json.loads(text, parse_int=_Number, parse_float=_Number)

    document = f'{{"v": {write(value)}, "w": 1}}'
    text = json_reading.marked(quote_literal(document))
    row = shared_site.lake.execute(
        f"SELECT {json_reading.value(path_of('v'))} FROM (SELECT {text} AS {json_reading.TEXT})"
    ).fetchone()
    assert row is not None
    if isinstance(value, list | dict):
        assert read(row[0]) == value
    elif isinstance(value, bool):
        assert row[0] == json.dumps(value)
    else:
        assert row[0] == value


BAD = {
    "broken": (line() + '{"offer_id": \n' + line(), "record 2", "no JSON"),
    "no_object": (line() + "[1]\n", "record 2", "no object"),
    "twice": (line() + line(rest=', "offer_id": "o2"'), "record 2", "a key twice"),
    "twice_inside": (
        '{"offer_id": "a", "price": {"amount": 1, "amount": 2}}\n',
        "record 1",
        "twice",
    ),
    "dotted": (line(rest=', "price.amount": 3'), "record 1", "a key with a dot"),
    "marked": (line('"\\u0001"'), "record 1", "U+0001"),
    "by_case": (line(rest=', "Tags": 3'), "", "'Tags'"),
    "reserved": (line(rest=', "_partition": 3'), "", "'_partition'"),
    "not_utf8": (line().encode() + b'{"offer_id": "\xff"}\n', "line 2", "invalid encoding"),
    "cut_off": (line() + line()[:-10], "record 2", "no JSON"),
    "mixed_ends": (line() + line().replace("\n", "\r\n") + line(), "line 2", "CRLF"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_line_stops_its_day_only(shared_site: Site, name: str) -> None:
    content, place, found = BAD[name]
    path = put(shared_site, name, content, D1)
    put(shared_site, name, line(), D2)
    loaded, _ = shared_site.run(offers(name), [D1, D2, D3])
    assert set(loaded.failed) == {D1}
    message = loaded.failed[D1].message
    assert f"file {path}" in message
    assert place in message
    assert found in message
    assert shared_site.raw(name, "_partition") == [(D2,)]


def test_compressed_files_and_one_that_is_cut_off(shared_site: Site) -> None:
    content = "".join(line(f'"o{n}"') for n in range(2000)).encode()
    packed = {
        ".gz": gzip.compress(content),
        ".zst": pa.compress(content, codec="zstd", asbytes=True),
    }
    for end, data in packed.items():
        name = f"packed_{end[1:]}"
        put(shared_site, name, data, D1, f".ndjson{end}")
        put(shared_site, name, data[:-9], D2, f".ndjson{end}")
        source = NdjsonFiles(f"{name}/{{partition}}.ndjson{end}")
        loaded, _ = shared_site.run(offers(name, source=source), [D1, D2])
        assert set(loaded.failed) == {D2}
        assert loaded.entries[D1].extracted == 2000
        assert "a whole file" in loaded.failed[D2].message


def test_documents(shared_site: Site) -> None:
    rows = ",\n".join(line(f'"o{n}"', f"{n}.10").strip() for n in range(50))
    for name, records, text in (
        ("arrays", "", f"[{rows}]"),
        ("pages", "data.items", f'{{"n": 1.0, "data": {{"items": [{rows}]}}}}'),
    ):
        put(shared_site, name, text, D1, ".json")
        put(shared_site, name, text[:-3], D2, ".json")
        put(shared_site, name, '{"other": []}', D3, ".json")
        source = JsonFiles(f"{name}/{{partition}}.json", records=records)
        loaded, _ = shared_site.run(offers(name, source=source), [D1, D2, D3])
        assert set(loaded.failed) == {D2, D3}
        assert "line 50" in loaded.failed[D2].message
        assert "JSON array of objects" in loaded.failed[D3].message
        amounts = shared_site.raw(name, '"price.amount", offer_id')
        assert sorted(amounts) == sorted((f"{n}.10", f"o{n}") for n in range(50))


class Line(Contract):
    """An offer with the first of its tags."""

    offer_id: str = Key()
    first: str = Field(nullable=True, source="tags[0]")


def test_one_of_a_list_is_a_column(shared_site: Site) -> None:
    site = shared_site
    listed = '{"offer_id": "a", "tags": ["x", "y"]}\n{"offer_id": "b"}\n'
    put(site, "listed", listed)
    dataset = Dataset(
        name="listed",
        contract=Line,
        source=NdjsonFiles("listed/{partition}.ndjson"),
        partitions=Daily(START),
    )
    loaded, cleaned = site.run(dataset, [D1])
    assert not loaded.failed
    assert not cleaned.failed
    assert site.cleaned("listed", "offer_id, first") == [("a", "x"), ("b", None)]
