"""Secrets, taken out of text that leaves the process.

Belongs here: what a secret looks like. Does not belong here: personal data, which no message holds
(``errors``), and where the text goes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

HIDDEN = "***"
# Shorter values are words that stand in any text.
SHORTEST = 8

_NAMES = re.compile(
    r"(PASSW(OR)?D|PASSPHRASE|SECRET|TOKEN|CREDENTIAL|API_?KEY|PRIVATE_?KEY|_KEY$|_HEADERS$|_DSN$)",
    re.IGNORECASE,
)
_KEY_NAMES = (
    r"(?:[\w-]*(?:password|passwd|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key"
    r"|credentials?|signature|authorization|x-amz-[\w-]+|sig|auth))"
)
_NAMED = rf"(?<![a-z0-9])(['\"]?{_KEY_NAMES}['\"]?\s*[=:]\s*)"
_FORMS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), replacement)
    for pattern, replacement in (
        (r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", HIDDEN),
        # scheme://user:password@host: neither the user nor the password.
        (r"\b([a-z][a-z0-9+.-]*://)[^\s/?#'\"]*@", rf"\1{HIDDEN}@"),
        # Addresses that are themselves the key.
        (r"(hooks\.slack\.com/(?:services|workflows|triggers)/)[^\s'\"<>)]+", rf"\1{HIDDEN}"),
        (r"(webhook\.office\.com/|logic\.azure\.com[^\s/]*/)[^\s'\"<>)]+", rf"\1{HIDDEN}"),
        (r"(discord(?:app)?\.com/api/webhooks/)[^\s'\"<>)]+", rf"\1{HIDDEN}"),
        (r"\b(bearer|basic)\s+[a-z0-9._~+/=-]{8,}", rf"\1 {HIDDEN}"),
        (rf"{_NAMED}(\"|')(?:(?!\2).)*\2", rf"\1\2{HIDDEN}\2"),
        (rf"{_NAMED}(?!\*\*\*|bearer |basic |[\"'])[^\s,;&'\"]+", rf"\1{HIDDEN}"),
        # Keys that say by their form that they are one.
        (r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b", HIDDEN),
        (r"\bxox[abeoprs]-[0-9a-z-]{10,}", HIDDEN),
        (r"\b(?:gh[opsur]|glpat|github_pat|sk|pk|rk)[-_](?:live_|test_)?[0-9a-z_-]{16,}", HIDDEN),
        (r"\beyJ[\w-]{8,}\.[\w-]{4,}(?:\.[\w-]*)?", HIDDEN),
    )
)
_PARAMETER = re.compile(rf"[?&]{_KEY_NAMES}=[^&\s]", re.IGNORECASE)


def names_a_secret(url: str) -> bool:
    """Whether a parameter of a URL is called like a secret and has a value.

    Args:
        url: The URL.
    """
    return _PARAMETER.search(url) is not None


def without_secrets(text: str) -> str:
    """A text without what has the form of a secret.

    Args:
        text: The text.
    """
    for pattern, replacement in _FORMS:
        text = pattern.sub(replacement, text)
    return text


@dataclass(frozen=True)
class Redaction:
    """What takes secrets out of text.

    Attributes:
        secrets: Values that are secrets wherever they stand.
    """

    secrets: tuple[str, ...] = ()

    @classmethod
    def of(cls, environment: Mapping[str, str], secrets: Iterable[str] = ()) -> Redaction:
        """With the values of all variables whose names say that they hold a secret.

        Args:
            environment: The variables.
            secrets: Further values.
        """
        named = (value for name, value in environment.items() if _NAMES.search(name))
        known = {value.strip() for value in (*named, *secrets)}
        # The longest first: one may be the beginning of another.
        found = sorted((v for v in known if len(v) >= SHORTEST), key=lambda v: (-len(v), v))
        return cls(tuple(found))

    def text(self, text: str) -> str:
        """A text without its secrets."""
        for secret in self.secrets:
            if secret in text:
                text = text.replace(secret, HIDDEN)
        return without_secrets(text)

    def value(self, value: object) -> object:
        """A value of a log line without its secrets, however deep they are."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.text(str(k)): self.value(v) for k, v in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.value(each) for each in value]
        if value is None or isinstance(value, (bool, int, float)):
            return value
        return self.text(str(value))
