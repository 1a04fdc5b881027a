"""strptime formats: which are exact in the engine, and the texts that they accept.

Belongs here: the directives. Does not belong here: the cast that uses them (`casts.py`).

A number may leave out its leading zeros (`1/2/2024` for `%m/%d/%Y`), except where another digit
follows directly (`%Y%m%d`): there it has its full width, so that there is one way to read it.
"""

from __future__ import annotations

import re

_DIRECTIVES = {
    "Y": ("[0-9]{4}", "[0-9]{4}"),
    "y": ("[0-9]{2}", "[0-9]{2}"),
    "m": ("(?:1[0-2]|0?[1-9])", "(?:1[0-2]|0[1-9])"),
    "d": ("(?:3[01]|[12][0-9]|0?[1-9])", "(?:3[01]|[12][0-9]|0[1-9])"),
    "H": ("(?:2[0-3]|1[0-9]|0?[0-9])", "(?:2[0-3]|1[0-9]|0[0-9])"),
    "I": ("(?:1[0-2]|0?[1-9])", "(?:1[0-2]|0[1-9])"),
    "M": ("(?:[1-5][0-9]|0?[0-9])", "[0-5][0-9]"),
    "S": ("(?:[1-5][0-9]|0?[0-9])", "[0-5][0-9]"),
    "f": ("[0-9]{1,6}", "[0-9]{6}"),
    "p": ("(?i:am|pm)",) * 2,
    "b": ("(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)",) * 2,
    "B": (
        "(?i:january|february|march|april|may|june|july|august|september|october|november"
        "|december)",
    )
    * 2,
    "%": ("%",) * 2,
}
_NUMERIC = set("YymdHIMSf")
_TOKEN = re.compile(r"%(.?)|([^%]+)", re.DOTALL)


def _tokens(format: str) -> list[tuple[str, str]]:
    return [(m[1] if m[2] is None else "", m[2] or "") for m in _TOKEN.finditer(format)]


def problem(format: str, *, with_time: bool) -> str | None:
    """Say why a format cannot be read exactly.

    Args:
        format: A strptime format.
        with_time: Whether the column holds a time of day.

    Returns:
        What is wrong, or None.
    """
    used = [d for d, text in _tokens(format) if not text]
    unknown = [f"%{d}" for d in used if d not in _DIRECTIVES]
    if unknown:
        return f"the directive {unknown[0]}"
    if any(used.count(d) > 1 for d in used if d != "%"):
        return "a directive that is repeated"
    for what, choice in (("year", "Yy"), ("month", "mbB"), ("day", "d")):
        if sum(d in choice for d in used) != 1:
            return f"no {what}, or more than one"
    if ("I" in used) != ("p" in used) or ("I" in used and "H" in used):
        return "a 12 hour clock (%I) without %p, or the reverse"
    if not with_time and set(used) & set("HIMSfp"):
        return "a time of day in a date"
    return None


def grammar(format: str) -> str:
    """Write the texts that a format accepts as an RE2 pattern.

    Args:
        format: A strptime format without a `problem`.

    Returns:
        The pattern, not anchored.
    """
    tokens = _tokens(format)
    parts = []
    for (directive, text), (follower, following) in zip(
        tokens, [*tokens[1:], ("", "")], strict=True
    ):
        digit_next = follower in _NUMERIC if not following else following[0].isdigit()
        if text:
            parts.append("".join(f"\\x{{{ord(c):x}}}" for c in text))
        else:
            parts.append(_DIRECTIVES[directive][digit_next])
    return "".join(parts)
