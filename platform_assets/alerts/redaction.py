"""The last look at a text before a person reads it: no key, no address, no number of a card.

Belongs here: what is personal by its form. Does not belong here: what a secret looks like
(``observability.redaction``), and knowing which columns are personal (``contracts``); a message is
made without a row's value in the first place.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from platform_assets.observability.redaction import HIDDEN, without_secrets

_SHORTEST = 6
"""No form is shorter: `a@b.de`."""
_PERSONAL: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), replacement)
    for pattern, replacement in (
        (r"\b[\w.+%-]+@((?:[a-z0-9-]+\.)+[a-z]{2,})\b", rf"{HIDDEN}@\1"),
        (r"(?<![\w.])\+\d[\d ()/.-]{7,18}\d(?![\w])", HIDDEN),
        (r"(?-i:\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,3})?\b)", HIDDEN),
    )
)
_CARD = re.compile(r"(?<![\w.-])\d(?:[ -]?\d){12,18}(?![\w.-])")


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
    text = without_secrets(text)
    for pattern, replacement in _PERSONAL:
        text = pattern.sub(replacement, text)
    return _CARD.sub(lambda found: HIDDEN if _is_card(found[0]) else found[0], text)


def _is_card(text: str) -> bool:
    """Whether a number's last digit is the check digit of a card (Luhn)."""
    digits = [int(each) for each in reversed(text) if each.isdigit()]
    doubled = (sum(divmod(2 * each, 10)) for each in digits[1::2])
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0
