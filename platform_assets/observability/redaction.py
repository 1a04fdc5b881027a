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
# ``https://user:password@host``, and a user alone, which may be a token.
_IN_URL = re.compile(r"(?P<scheme>\b[a-z][a-z0-9+.\-]*://)[^\s/?#]+@", re.IGNORECASE)
# ``password=…``, ``"token": "…"``, ``?api_key=…&``
_NAMED = re.compile(
    r"""(?P<name>\b[\w\-]*(?:passw(?:or)?d|passphrase|secret|token|api[_-]?key|signature|credential)
        ["']?\s*[=:]\s*["']?)(?!\*\*\*)[^\s"'&,;)}\]]+""",
    re.IGNORECASE | re.VERBOSE,
)
_AUTHORIZATION = re.compile(r"(?P<kind>\b(?:bearer|basic)\s+)[\w.~+/\-]{8,}=*", re.IGNORECASE)


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
        text = _IN_URL.sub(rf"\g<scheme>{HIDDEN}@", text)
        text = _NAMED.sub(rf"\g<name>{HIDDEN}", text)
        return _AUTHORIZATION.sub(rf"\g<kind>{HIDDEN}", text)

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
