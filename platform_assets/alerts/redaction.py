"""The last look at a text before a person reads it: no key, no address, no number of a card.

Belongs here: what is taken out of free text, by its form. Does not belong here: knowing which
columns are personal (``contracts``); a message is made without a row's value in the first place.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

HIDDEN = "***"
_SHORTEST = 6
"""No form is shorter: `a@b.de`."""
_KEY_NAMES = (
    r"(?:[\w-]*(?:password|passwd|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key"
    r"|credentials?|signature|authorization|x-amz-[\w-]+|sig|auth))"
)
_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), replacement)
    for pattern, replacement in (
        (r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", HIDDEN),
        # scheme://user:password@host: neither the user nor the password.
        (r"\b([a-z][a-z0-9+.-]*://)[^\s/?#@'\"]*(?::[^\s/?#'\"]*)?@", rf"\1{HIDDEN}@"),
        # Addresses that are themselves the key.
        (r"(hooks\.slack\.com/(?:services|workflows|triggers)/)[^\s'\"<>)]+", rf"\1{HIDDEN}"),
        (r"(webhook\.office\.com/|logic\.azure\.com[^\s/]*/)[^\s'\"<>)]+", rf"\1{HIDDEN}"),
        (r"(discord(?:app)?\.com/api/webhooks/)[^\s'\"<>)]+", rf"\1{HIDDEN}"),
        (r"\b(bearer|basic)\s+[a-z0-9._~+/=-]{8,}", rf"\1 {HIDDEN}"),
        (
            rf"(?<![a-z0-9])(['\"]?{_KEY_NAMES}['\"]?\s*[=:]\s*)"
            r"(?:\"[^\"]*\"|'[^']*'|(?!\*\*\*|bearer |basic )[^\s,;&'\"]+)",
            rf"\1{HIDDEN}",
        ),
        # Keys that say by their form that they are one.
        (r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b", HIDDEN),
        (r"\bxox[abeoprs]-[0-9a-z-]{10,}", HIDDEN),
        (r"\b(?:gh[opsur]|glpat|github_pat|sk|pk|rk)[-_](?:live_|test_)?[0-9a-z_-]{16,}", HIDDEN),
        (r"\beyJ[\w-]{8,}\.[\w-]{4,}(?:\.[\w-]*)?", HIDDEN),
        (r"\b[\w.+%-]+@((?:[a-z0-9-]+\.)+[a-z]{2,})\b", rf"{HIDDEN}@\1"),
        (r"(?<![\w.])\+\d[\d ()/.-]{7,18}\d(?![\w])", HIDDEN),
        (r"(?-i:\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,3})?\b)", HIDDEN),
    )
)
_PARAMETER = re.compile(rf"[?&]{_KEY_NAMES}=[^&\s]", re.IGNORECASE)
_CARD = re.compile(r"(?<![\w.-])\d(?:[ -]?\d){12,18}(?![\w.-])")


def names_a_secret(url: str) -> bool:
    """Whether a parameter of a URL is called like a secret and has a value.

    Args:
        url: The URL.
    """
    return _PARAMETER.search(url) is not None


def redacted(text: str, secrets: Iterable[str] = ()) -> str:
    """A text without what must not be in it.

    Args:
        text: The text.
        secrets: Values that are known to be secret.
    """
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return _without_known_forms(text)


# In a storm the same names and errors come by the thousand.
@lru_cache(maxsize=4096)
def _without_known_forms(text: str) -> str:
    if len(text) < _SHORTEST:
        return text
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return _CARD.sub(lambda found: HIDDEN if _is_card(found[0]) else found[0], text)


def _is_card(text: str) -> bool:
    """Whether a number's last digit is the check digit of a card (Luhn)."""
    digits = [int(each) for each in reversed(text) if each.isdigit()]
    doubled = (sum(divmod(2 * each, 10)) for each in digits[1::2])
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0
