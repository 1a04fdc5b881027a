"""Which columns hold personal data: by their names, and by what their values look like.

Belongs here: names, patterns and check digits. Does not belong here: what is done with a personal
value (``contracts.pii``).

A guess errs on the safe side: to take ``pii=`` out is one word, to take back what was published
is not possible.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from platform_assets.contracts.fields import Pii
from platform_assets.scaffold.sample import Sample
from platform_assets.sources.base import SourceColumn
from platform_assets.sql import quote_identifier, quote_literal


@dataclass(frozen=True)
class Personal:
    """That a column is personal, and why.

    Attributes:
        pii: How its values should leave.
        evidence: Why, in a sentence.
        named: Whether the name says so, and not the values alone.
        pattern: A pattern that all values match; empty: none does.
    """

    pii: Pii
    evidence: str
    named: bool = False
    pattern: str = ""


@dataclass(frozen=True)
class _Sort:
    """One sort of personal data.

    Attributes:
        what: It, in words.
        pii: How it should leave.
        name: Pattern of names that say so.
        types: Types whose columns may be it by name.
        value: SQL of ``text`` that is true for a value of it; empty: only the name tells.
        enough: Share of values that must look like it, where the name says nothing.
    """

    what: str
    pii: Pii
    name: str
    types: tuple[str, ...] = ("str", "int")
    value: str = ""
    enough: float = 0.5


def _whole(pattern: str) -> str:
    return f"regexp_full_match(trim(text), {quote_literal(pattern)})"


_EMAIL = r"[^@\s]+@[^@\s]+\.[^@\s]+"
_OCTET = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_V6 = "([0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}"
_DIGITS = "regexp_replace(trim(text), '[ -]', '', 'g')"
# Luhn: from the right, every second digit doubled, the digits of the results summed.
_LUHN = f"""
CASE WHEN regexp_full_match({_DIGITS}, '[0-9]{{13,19}}') THEN list_sum(list_transform(
    string_split(reverse({_DIGITS}), ''),
    lambda digit, place: CASE WHEN place % 2 = 0
        THEN (2 * CAST(digit AS INTEGER)) // 10 + (2 * CAST(digit AS INTEGER)) % 10
        ELSE CAST(digit AS INTEGER) END)) % 10 = 0 ELSE false END"""
_IBAN_TEXT = "upper(replace(trim(text), ' ', ''))"
# ISO 13616: the first four characters to the end, letters as two digits, modulo 97 is 1.
_IBAN = f"""
CASE WHEN regexp_full_match({_IBAN_TEXT}, '[A-Z]{{2}}[0-9]{{2}}[A-Z0-9]{{11,30}}') THEN list_reduce(
    list_transform(
        string_split(substr({_IBAN_TEXT}, 5) || substr({_IBAN_TEXT}, 1, 4), ''),
        lambda c: CASE WHEN c >= 'A' THEN ord(c) - 55 ELSE ord(c) - 48 END),
    lambda rest, n: (CASE WHEN n > 9 THEN rest * 100 + n ELSE rest * 10 + n END) % 97,
    0) = 1 ELSE false END"""
_PHONE = (
    "text[1] IN ('+', '0', '(', ' ') AND "
    + _whole(r"([+]|00|0|[(])[0-9 ()./-]{6,20}")
    + (
        f" AND length(regexp_replace(text, '[^0-9]', '', 'g')) BETWEEN 8 AND 15"
        f" AND NOT {_whole('[0-9]{1,4}[-./][0-9]{1,2}[-./][0-9]{1,4}.*')}"
    )
)
_PEOPLE = re.compile(
    r"(customer|client|user|person|people|employee|contact|member|patient|lead)s?$"
)

_SORTS = (
    _Sort("an e-mail address", "hash", r"(^|_)e?_?mail(_?address)?($|_)", value=_whole(_EMAIL)),
    _Sort(
        "an IP address",
        "hash",
        r"(^|_)(ip|ipv4|ipv6|ip_?address|remote_addr)($|_)",
        value=f"({_whole(rf'({_OCTET}[.]){{3}}{_OCTET}')} OR ({_whole(_V6)} AND "
        "(contains(text, '::') OR length(text) - length(replace(text, ':', '')) = 7)))",
    ),
    _Sort("an IBAN", "hash", r"(^|_)(iban|bank_account|account_(no|number))($|_)", value=_IBAN),
    _Sort(
        "a payment card's number",
        "drop",
        r"(^|_)(card_?(no|number)|credit_?card|cc_?number|pan)($|_)",
        value=_LUHN,
        enough=0.8,  # a tenth of all numbers has such a last digit
    ),
    _Sort(
        "a telephone number",
        "mask",
        r"(^|_)(tele)?(phone|mobile|cell|fax|tel|msisdn)(_?(no|number))?($|_)",
        value=_PHONE,
    ),
    _Sort(
        "a person's name",
        "drop",
        r"(^|_)(first|last|full|middle|maiden|family|given|sur|fore|nick|contact|person|customer"
        r"|client|user|employee|holder|recipient|buyer|owner)_?name($|_)",
        ("str",),
    ),
    _Sort(
        "a postal address",
        "drop",
        r"(^|_)(address|addr|street|postcode|post_code|postal_?code|zip|zip_?code)(_?[0-9]|_line.*)?$",
    ),
    _Sort(
        "a date of birth",
        "drop",
        r"(^|_)(birth|birthday|birth_?date|dob|date_of_birth)($|_)",
        ("str", "date", "datetime"),
    ),
    _Sort(
        "a national identity number",
        "hash",
        r"(^|_)(ssn|social_security.*|national_id|passport(_?(no|number))?|tax_id|nino)($|_)",
    ),
    _Sort("a secret", "drop", r"(^|_)(password|passwd|secret|api_?key|access_?token)($|_)"),
)


def guess_personal(
    sample: Sample, column: SourceColumn, dataset: str, type_name: str
) -> Personal | None:
    """Whether a column is personal.

    Args:
        sample: The sample.
        column: One of its columns.
        dataset: The dataset's name: in one of persons, ``name`` is theirs.
        type_name: The contract's type of the column.
    """
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+", "_", column.name).lower().strip("_")
    counts = _counts(sample, column) if type_name in ("str", "int") else {}
    filled = counts.get("", 0)
    for sort in _SORTS:
        called = type_name in sort.types and re.search(sort.name, name) is not None
        if sort.what == "a person's name" and name == "name" and _PEOPLE.search(dataset):
            called = type_name == "str"
        looking = counts.get(sort.what, 0)
        if not called and not (sort.value and filled and looking >= sort.enough * filled):
            continue
        reasons = [f"called like {sort.what}"] if called else []
        if looking:
            reasons.append(f"{looking:,} of {filled:,} values look like {sort.what}")
        pattern = f"{_EMAIL}$" if sort.what == "an e-mail address" and filled else ""
        return Personal(
            sort.pii,
            "personal: " + "; ".join(reasons),
            called,
            pattern if looking == filled and type_name == "str" else "",
        )
    return None


def _counts(sample: Sample, column: SourceColumn) -> dict[str, int]:
    """Values that look like each sort; under the empty name, all values."""
    sorts = [sort for sort in _SORTS if sort.value]
    flags = ", ".join(f"count(*) FILTER (WHERE {sort.value})" for sort in sorts)
    row = sample.engine.execute(
        f"SELECT count(text), {flags} FROM "
        f"(SELECT CAST({quote_identifier(column.name)} AS VARCHAR) AS text FROM {sample.table}) "
        "WHERE text IS NOT NULL"
    ).fetchone()
    assert row is not None
    return dict(zip(["", *(sort.what for sort in sorts)], row, strict=True))
