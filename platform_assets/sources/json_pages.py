"""A page of an API's answer, cut into its records exactly as they were written.

Belongs here: finding the records in a page's text, and refusing a page that is not what it should
be. Does not belong here: getting pages (``rest_client``), keeping them (``landing``).

This is Python, not the engine, because the engine's JSON functions write numbers anew; a page is
bounded, and the network is slower.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from platform_assets.errors import SourceError
from platform_assets.sources.json_records import MAX_RECORD_BYTES

_SPACE = " \t\n\r"


class _RefusedError(ValueError):
    """A page that is JSON only to the lenient."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise _RefusedError("an object with one name twice")
    return made


def _no_number(name: str) -> NoReturn:
    raise _RefusedError(f"{name}, which is no JSON")


def _refuse_halves(document: object) -> None:
    try:
        json.dumps(document, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise _RefusedError("a text with half of a character (a lone surrogate)") from None


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_number)


@dataclass(frozen=True)
class Page:
    """One page.

    Attributes:
        document: The whole answer, as Python reads it: for pagination and totals only.
        records: Each record's own text, on one line.
        names: The names that the records have at their top.
    """

    document: object
    records: tuple[str, ...]
    names: frozenset[str]


def value_at(document: object, path: str) -> object:
    """What is at a path of names with dots between them; None where there is nothing."""
    found = document
    for name in path.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return found


def split(body: bytes, path: str, where: str) -> Page:
    """Cut a page into its records.

    Args:
        body: The answer, unpacked.
        path: Names with dots between them that lead to the list of records; empty: the answer is
            that list.
        where: Connection, path and page, for the message.

    Raises:
        SourceError: It is not JSON, has no list there, or a record is not an object.
    """
    try:
        text = body.decode("utf-8-sig")
        document = _DECODER.decode(text)
        if "\\ud" in text or "\\uD" in text:
            _refuse_halves(document)
    except _RefusedError as error:
        raise _refused(where, str(error)) from None
    except UnicodeDecodeError:
        raise _refused(where, "bytes that are not UTF-8") from None
    except json.JSONDecodeError as error:
        found = (
            f"{len(body):,} bytes that are not JSON from line {error.lineno}, column {error.colno}"
        )
        raise _refused(where, found) from None
    except RecursionError:
        raise _refused(where, "JSON that is nested too deeply") from None
    records = value_at(document, path) if path else document
    if not isinstance(records, list):
        raise SourceError(
            "A page has no list of records where the dataset says",
            where=where,
            expected=f"a list at {path!r}" if path else "a list",
            found=_kind(records) + _names_of(document),
            fix="correct RestEndpoint(records=…)",
        )
    for number, record in enumerate(records, start=1):
        if not isinstance(record, dict):
            raise SourceError(
                "A record of a page is not an object",
                where=f"{where}, record {number}",
                expected="an object with names and values",
                found=_kind(record),
                fix="correct RestEndpoint(records=…), or have the API corrected",
            )
    texts = tuple(_texts(text, path, len(records)))
    longest = max((len(each) for each in texts), default=0)
    if longest * 4 > MAX_RECORD_BYTES and max(map(_bytes, texts)) > MAX_RECORD_BYTES:
        raise SourceError(
            "A record is too large",
            where=where,
            expected=f"at most {MAX_RECORD_BYTES:,} bytes",
            found=f"{max(map(_bytes, texts)):,} bytes",
            fix="ask the API for fewer fields with RestEndpoint(params=…)",
        )
    return Page(document, texts, frozenset().union(*records))


def _bytes(text: str) -> int:
    return len(text.encode())


def _texts(text: str, path: str, count: int) -> list[str]:
    """Each record's slice of a text that is known to be good JSON."""
    at = _skip(text, 0)
    for name in path.split(".") if path else ():
        at = _value_of(text, at, name)
    found = []
    at += 1
    for _ in range(count):
        start = _skip(text, at)
        _, end = _DECODER.raw_decode(text, start)
        # A line end in JSON is space between tokens; in a string it must be escaped.
        found.append(text[start:end].replace("\n", " ").replace("\r", " "))
        at = _skip(text, end) + 1
    return found


def _value_of(text: str, at: int, name: str) -> int:
    """Where the value of a name begins, in the object that begins at a place."""
    at = _skip(text, at + 1)
    while True:
        key, at = _DECODER.raw_decode(text, at)
        at = _skip(text, _skip(text, at) + 1)
        if key == name:
            return at
        _, at = _DECODER.raw_decode(text, at)
        at = _skip(text, _skip(text, at) + 1)


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in _SPACE:
        at += 1
    return at


def _kind(value: object) -> str:
    names: Sequence[tuple[type, str]] = (
        (dict, "an object"),
        (list, "a list"),
        (str, "a text"),
        (bool, "true or false"),
        (int, "a number"),
        (float, "a number"),
    )
    return next((text for kind, text in names if isinstance(value, kind)), "nothing")


def _names_of(document: object) -> str:
    if not isinstance(document, dict):
        return ""
    shown = ", ".join(repr(name) for name in sorted(document)[:12])
    return f"; the answer's own names are {shown}" if shown else "; the answer is an empty object"


def _refused(where: str, found: str) -> SourceError:
    return SourceError(
        "A page is not JSON",
        where=where,
        expected="a JSON document in UTF-8",
        found=found,
        fix="call the API by hand and look: a login page, an answer that was cut off?",
    )
