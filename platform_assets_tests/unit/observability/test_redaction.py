"""Secrets are taken out of text, and what is no secret stays."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from platform_assets.observability.redaction import HIDDEN, SHORTEST, Redaction

ENVIRONMENT = {
    "SHOP_PASSWORD": "hunter2hunter2",
    "API_TOKEN": "tok-1234567890",
    "PLATFORM_ASSETS_PII_KEY": "a key for tests only",
    "OTEL_EXPORTER_OTLP_HEADERS": "x-honeycomb-team=abcdef012345",
    "HOME": "/home/somebody",
    "SHORT_TOKEN": "main",
}


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("https://user:pass@host/x", f"https://{HIDDEN}@host/x"),
        (
            "postgresql+psycopg2://u:p@ss@db:5432/shop",
            f"postgresql+psycopg2://{HIDDEN}@db:5432/shop",
        ),
        ("see https://token@example.org now", f"see https://{HIDDEN}@example.org now"),
        ("host=db password=secret1 user=me", f"host=db password={HIDDEN} user=me"),
        ('{"api_key": "0123", "a": 1}', f'{{"api_key": "{HIDDEN}", "a": 1}}'),
        ("GET /x?access_token=abc&day=1", f"GET /x?access_token={HIDDEN}&day=1"),
        ("Authorization: Bearer abcdefgh.ijk-l", f"Authorization: Bearer {HIDDEN}"),
        ("it said hunter2hunter2!", f"it said {HIDDEN}!"),
        ("x-honeycomb-team=abcdef012345", HIDDEN),
    ],
)
def test_a_secret_is_hidden(text: str, redacted: str) -> None:
    assert Redaction.of(ENVIRONMENT).text(text) == redacted


@pytest.mark.parametrize(
    "text",
    [
        "raw/orders: 148 rows in 3 partitions: 3 published",
        "mail somebody@example.org",
        "https://example.org/a@b?x=1",
        "the main branch of /home/somebody",
        "There is no key to hash personal data with",
        "the bearer of news",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert Redaction.of(ENVIRONMENT).text(text) == text


@given(
    secret=st.text(min_size=SHORTEST, max_size=30).filter(lambda s: len(s.strip()) >= SHORTEST),
    before=st.text(max_size=10),
    after=st.text(max_size=10),
)
def test_a_known_secret_is_in_no_text(secret: str, before: str, after: str) -> None:
    redaction = Redaction.of({"X_SECRET": secret})
    if secret.strip() not in HIDDEN + before + after:
        assert secret.strip() not in redaction.text(before + secret + after)


def test_it_reaches_into_what_a_line_holds() -> None:
    told = Redaction.of({}, ["a key for tests only"]).value(
        {"a": ["x a key for tests only", 1, None, True], "b": {"c": ("https://u:p@h",)}, "d": 1.5}
    )
    assert told == {
        "a": [f"x {HIDDEN}", 1, None, True],
        "b": {"c": [f"https://{HIDDEN}@h"]},
        "d": 1.5,
    }
