"""Pages cut into records: exactly as written, or refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from platform_assets.errors import SourceError
from platform_assets.sources import json_pages
from platform_assets.sources.json_pages import split, value_at
from platform_assets.sources.json_records import MAX_RECORD_BYTES

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
RECORDS = st.lists(st.dictionaries(st.text(max_size=4), VALUES, max_size=4), max_size=5)


@given(RECORDS, st.sampled_from([None, 1, "\t"]), st.booleans(), VALUES)
def test_every_record_comes_out_once_and_on_one_line(
    records: list[dict[str, object]], indent: int | str | None, ascii_only: bool, other: object
) -> None:
    document = {"meta": other, "data": {"x": other, "items": records, "y": other}}
    text = json.dumps(document, indent=indent, ensure_ascii=ascii_only)
    page = split(text.encode("utf-8", "surrogatepass"), "data.items", "here")
    assert [json.loads(each) for each in page.records] == records
    assert not any("\n" in each or "\r" in each for each in page.records)
    assert page.names == {name for record in records for name in record}


def test_records_keep_their_text() -> None:
    body = b'\xef\xbb\xbf [ {"a": 1.10,\r\n "b":[1e5, "\\u00e9"]} ,\n{"a":12345678901234567.89}]\n'
    page = split(body, "", "here")
    assert page.records == (
        '{"a": 1.10,   "b":[1e5, "\\u00e9"]}',
        '{"a":12345678901234567.89}',
    )


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b"<html>sign in, hunter2</html>", "not JSON from line 1, column 1"),
        (b'{"items": [{"a": 1}, {"a', "not JSON from line 1"),
        (b"", "0 bytes that are not JSON"),
        (b'{"items": [{"a": 1, "a": 2}]}', "an object with one name twice"),
        (rb'{"items": [{"a": "\ud800"}]}', "half of a character"),
        (b'{"items": [{"a": NaN}]}', "NaN, which is no JSON"),
        (b'{"items": [{"a": "\xff"}]}', "bytes that are not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_not_json_is_refused(body: bytes, found: str) -> None:
    with pytest.raises(SourceError, match="A page is not JSON") as raised:
        split(body, "items", "GET /orders, page 3")
    assert found in raised.value.found
    assert "page 3" in raised.value.where
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b'{"data": {"rows": []}}', "nothing; the answer's own names are 'data'"),
        (b'{"items": {"a": 1}}', "an object"),
        (b'{"items": null}', "nothing"),
        (b'{"items": "hunter2"}', "a text"),
        (b"{}", "the answer is an empty object"),
        (b"[1]", "nothing"),
    ],
)
def test_a_page_without_the_list_is_refused(body: bytes, found: str) -> None:
    with pytest.raises(SourceError, match="no list of records") as raised:
        split(body, "items", "here")
    assert found in raised.value.found
    assert "hunter2" not in str(raised.value)


def test_an_object_where_the_answer_should_be_the_list() -> None:
    with pytest.raises(SourceError, match="no list of records") as raised:
        split(b'{"message": "hunter2"}', "", "here")
    assert raised.value.expected == "a list"
    assert "'message'" in raised.value.found
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    ("record", "kind"),
    [("1", "a number"), ("[]", "a list"), ("null", "nothing"), ("true", "true or false")],
)
def test_a_record_that_is_not_an_object_is_refused(record: str, kind: str) -> None:
    with pytest.raises(SourceError, match="is not an object") as raised:
        split(f'[{{"a": 1}}, {record}]'.encode(), "", "here")
    assert raised.value.where == "here, record 2"
    assert raised.value.found == kind


def test_a_record_beyond_the_engine_s_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_RECORD_BYTES == 16_000_000
    monkeypatch.setattr(json_pages, "MAX_RECORD_BYTES", 100)
    split(json.dumps([{"a": "x" * 80}]).encode(), "", "here")
    with pytest.raises(SourceError, match="too large") as raised:
        split(json.dumps([{"a": "é" * 60}], ensure_ascii=False).encode(), "", "here")
    assert "at most 100 bytes" in raised.value.expected


def test_a_value_at_a_path() -> None:
    assert value_at({"a": {"b": 1}}, "a.b") == 1
    assert value_at({"a": [1]}, "a.b") is None
    assert value_at([], "a") is None
