"""A translated pattern means exactly what Python means by it, or there is no translation."""

from __future__ import annotations

import re

import duckdb
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from platform_assets.contracts.regex import translate

PROFILE = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

ALPHABET = "abAB019_-. \n\r\t\x0b\x1c\x85\xa0éß\u017fK٣²Ⅷ中😀\u2028"
atoms = st.sampled_from(
    [
        "a",
        "b",
        "B",
        "0",
        "9",
        "_",
        r"\.",
        ".",
        r"\d",
        r"\D",
        r"\w",
        r"\W",
        r"\s",
        r"\S",
        "é",
        "😀",
        r"[a-c]",
        r"[^a]",
        r"[^\n]",
        r"[\d_]",
        r"[^\w-]",
        r"[\s٣]",
        "-",
        r"\n",
        "K",
        "[é-中]",
    ]
)
anchors = st.sampled_from(["^", "$", r"\A", r"\Z"])


def _grow(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    group = inner.map(lambda p: f"({p})")
    repeat = st.sampled_from(["*", "+", "?", "*?", "+?", "??", "{2}", "{1,3}", "{,2}", "{2,}?"])
    return (
        st.lists(inner, min_size=1, max_size=3).map("".join)
        | st.lists(inner, min_size=2, max_size=3).map("|".join)
        | st.tuples(group, repeat).map("".join)
        | inner.map(lambda p: f"(?:{p})")
    )


patterns = st.recursive(atoms | anchors, _grow, max_leaves=8)
texts = st.lists(st.text(ALPHABET, max_size=6), min_size=10, max_size=40)


@PROFILE
@given(patterns, texts, st.booleans())
def test_same_meaning(
    engine: duckdb.DuckDBPyConnection, pattern: str, texts: list[str], anchored: bool
) -> None:
    translated = translate(pattern, anchored=anchored)
    assume(translated is not None)
    judged = engine.execute(
        "SELECT regexp_matches(t, $p) FROM (SELECT unnest($texts::VARCHAR[]) AS t)",
        {"p": translated, "texts": texts},
    ).fetchall()
    find = re.compile(pattern).match if anchored else re.compile(pattern).search
    wrong = [t for t, (ours,) in zip(texts, judged, strict=True) if ours != bool(find(t))]
    assert not wrong, (pattern, translated[:200] if translated else "", wrong[:3])


@pytest.mark.parametrize(
    "pattern",
    [r"^\w+-\d+$", r"^[\w.+-]+@[\w-]+\.[\w.-]+$", "a|b$", r"(?:C?\d{6})\Z", "^$", r"[A-Z]{3}\d*"],
)
def test_common_patterns_run_in_the_engine(pattern: str) -> None:
    assert translate(pattern, anchored=True) is not None


@pytest.mark.parametrize(
    "pattern",
    [
        r"\bword\b",
        r"(a)\1",
        "a(?=b)",
        "(?<!a)b",
        "(?i)a",
        "(?i:a)",
        "a$b",
        "$a",
        "(?>a)b",
        "a++",
        "(?s).",
        "(?a)\\w",
        r"(a)(?(1)b|c)",
        "a{2000}",
        "(?m)^a",
    ],
)
def test_what_cannot_be_said_exactly_is_not_translated(pattern: str) -> None:
    assert translate(pattern, anchored=False) is None


def test_compiled_patterns() -> None:
    assert translate(re.compile("ab"), anchored=False) is not None
    assert translate(re.compile("ab", re.IGNORECASE), anchored=False) is None


def test_every_code_point_of_the_classes(engine: duckdb.DuckDBPyConnection) -> None:
    points = [chr(p) for p in range(1, 0x110000) if not 0xD800 <= p <= 0xDFFF]
    for pattern in (r"\d", r"\s", r"\w"):
        translated = translate(pattern, anchored=True)
        found = engine.execute(
            "SELECT t FROM (SELECT unnest($t::VARCHAR[]) AS t) WHERE regexp_matches(t, $p)",
            {"t": points[:0x3000] + points[0xF000:0x20000:7], "p": translated},
        ).fetchall()
        expected = [c for c in points[:0x3000] + points[0xF000:0x20000:7] if re.match(pattern, c)]
        assert [c for (c,) in found] == expected
