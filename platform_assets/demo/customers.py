"""The shop's customers: who they are, and their daily files.

Belongs here: the people, their files, the dirt in them. Does not belong here: how many there
are (`volume.py`).

A person is a function of the seed and the customer number, so that an update years later knows
the name without anybody keeping it. Every thousandth number is never given to a customer: those
numbers are the orphans of the orders. Dirty rows stand beside the clean row of a customer and
never in place of it, so every customer number that was given out is a clean customer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from enum import IntEnum

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from platform_assets.demo import text
from platform_assets.demo.parameters import ShopParameters
from platform_assets.demo.streams import (
    Draws,
    Hashes,
    Int64s,
    Stream,
    UInt64s,
    field,
    shares,
)
from platform_assets.demo.volume import Volume, quotas

COLUMNS = (
    "customer_id",
    "email",
    "full_name",
    "phone",
    "country",
    "consent",
    "signed_up_at",
    "updated_at",
)

COUNTRIES = ("GB", "DE", "FR", "US", "ES", "IT", "NL", "PL", "SE", "IE", "DK", "GR")
DIALLING_CODES = ("44", "49", "33", "1", "34", "39", "31", "48", "46", "353", "45", "30")
_COUNTRY_SHARES = shares(40, 12, 10, 9, 7, 6, 5, 4, 3, 2, 1, 1)

DAY_SECONDS = 86_400
_LAST_SIGN_UP = 80_000
_RESERVED = 1_000

_FIRST = (
    "Amelia", "Oliver", "Zoë", "José", "Łukasz", "Søren", "Björn", "Ольга", "Μαρία", "李娜",
    "Chloé", "Jürgen", "Nuño", "Aoife", "Þóra", "Ahmed", "Priya", "Grace", "Noah", "Siobhán",
    "Mateusz", "Giulia", "Femke", "François", "Ingrid", "Tom", "Ada", "Kofi", "Yuki", "Renée",
)  # fmt: skip
_FIRST_ASCII = (
    "amelia", "oliver", "zoe", "jose", "lukasz", "soren", "bjorn", "olga", "maria", "lina",
    "chloe", "jurgen", "nuno", "aoife", "thora", "ahmed", "priya", "grace", "noah", "siobhan",
    "mateusz", "giulia", "femke", "francois", "ingrid", "tom", "ada", "kofi", "yuki", "renee",
)  # fmt: skip
_LAST = (
    "Smith", "O'Brien", "García Márquez", "Müller", "Nguyễn", "Kowalski", "D'Angelo", "Jönsson",
    "van der Berg", "Dubois", "Παπαδόπουλος", "Иванова", "Ó Súilleabháin", "Patel", "Okafor",
    "Rossi", "Brown", "Sørensen", "Muñoz", "Wright", "Smith-Jones", "Khan", "Lefèvre", "Novák",
)  # fmt: skip
_LAST_ASCII = (
    "smith", "obrien", "garcia", "muller", "nguyen", "kowalski", "dangelo", "jonsson",
    "vanderberg", "dubois", "papadopoulos", "ivanova", "osullivan", "patel", "okafor",
    "rossi", "brown", "sorensen", "munoz", "wright", "smithjones", "khan", "lefevre", "novak",
)  # fmt: skip
_NAME_FORMS = ("{0} {1}", "{1}, {0}", '{0} "Ace" {1}', "{0} {1}, Jr.")
_NAME_FORM_SHARES = shares(90, 5, 3, 2)
_DOMAINS = ("@example.com", "@example.org", "@example.net", "@shop.example")


class CustomerKind(IntEnum):
    """What a row of a customer file is; each has exactly one kind."""

    NEW = 0
    UPDATE = 1
    BAD_EMAIL = 2
    NULL_KEY = 3
    DUPLICATE = 4


RULES = {
    CustomerKind.BAD_EMAIL: "email__str_matches",
    CustomerKind.NULL_KEY: "customer_id__not_null",
}
"""The contract's rule that a row of each dirty kind breaks."""

DEDUPLICATED = (CustomerKind.DUPLICATE,)
"""The kinds of clean rows that a newer or equal row of the same file replaces."""


@dataclass(frozen=True)
class CustomerRows:
    """Rows of one day's customer file, as numbers.

    Args:
        number: The customer number.
        country: Index into `COUNTRIES`.
        phone: The eight digits after the dialling code.
        signed_up: Seconds since 1970.
        updated: Seconds since 1970.
        kind: A `CustomerKind`.
    """

    number: Int64s
    country: Int64s
    phone: Int64s
    signed_up: Int64s
    updated: Int64s
    kind: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.number)

    def __getitem__(self, index: npt.NDArray[np.bool_] | slice) -> CustomerRows:
        """The rows of a mask or a slice."""
        return CustomerRows(*(getattr(self, column.name)[index] for column in fields(self)))


def customer_numbers(ordinals: Int64s) -> Int64s:
    """The numbers of the first, second, … customer (from 0): every thousandth is left out."""
    return ordinals + ordinals // (_RESERVED - 1) + 1


def reserved_numbers(ordinals: Int64s) -> Int64s:
    """The numbers that no customer has, the first, second, … of them (from 0)."""
    return (ordinals + 1) * _RESERVED


def customer_ids(numbers: Int64s) -> pa.StringArray:
    """Customer numbers as they stand in the files."""
    return text.identifiers("C", numbers, 7)


class Customers:
    """The customers of one shop.

    Args:
        parameters: The shop: its seed, its first day and how dirty its files are.
        volume: How many customers there are by when.
    """

    def __init__(self, parameters: ShopParameters, volume: Volume) -> None:
        """Open the customer register."""
        self._seed = parameters.seed
        self._start = parameters.midnight
        self._rates = parameters.rates
        self._volume = volume
        self._identity = Hashes(parameters.seed, Stream.CUSTOMER_IDENTITY)
        self._habits = Hashes(parameters.seed, Stream.CUSTOMER_HABITS)
        # Of each day: the ordinal of its first new customer (the base came before day 0).
        self._first_of_day: list[int] = []

    def countries(self, numbers: Int64s) -> Int64s:
        """The country in which each customer signed up."""
        return _countries(self._habits.of(numbers))

    def sign_up_seconds(self, numbers: Int64s) -> Int64s:
        """The second of the day in which each customer signed up."""
        return field(self._habits.of(numbers), 32, _LAST_SIGN_UP)

    def rows(self, day: int) -> CustomerRows:
        """The rows of a day's file, in its order.

        Args:
            day: Days since the start of the shop.
        """
        volume = self._volume
        first = 0 if day == 0 else volume.customers_before(day)
        new = np.arange(first, volume.customers_before(day + 1), dtype=np.int64)
        earlier = self._earlier_customers(day)
        before = volume.customer_rows_before(day)
        after = volume.customer_rows_before(day + 1)
        rates = self._rates
        bad_email, null_key, duplicate = quotas(
            (rates.customer_bad_email, rates.customer_null_key, rates.customer_duplicate),
            before,
            after,
            len(new),
        )
        chosen = Draws(self._seed, Stream.CUSTOMER_DIRT, day).distinct(
            bad_email + null_key + duplicate, len(new)
        )
        groups = np.split(new[chosen], [bad_email, bad_email + null_key])
        ordinals = np.concatenate([new, earlier, *groups])
        sizes = [len(new), len(earlier), *(len(group) for group in groups)]
        kind = np.repeat(np.arange(len(CustomerKind), dtype=np.uint8), sizes)
        # A bad e-mail address comes before the row that corrects it, a copy comes right after.
        place = ordinals * len(_PLACES) + _PLACES[kind]
        order = np.argsort(place, kind="stable")
        return self._described(day, ordinals[order], kind[order])

    def _earlier_customers(self, day: int) -> Int64s:
        """The ordinals of the customers who change on a day, sorted, each once."""
        wanted = self._volume.customer_updates_on(day)
        if wanted == 0:
            return np.empty(0, dtype=np.int64)
        draws = Draws(self._seed, Stream.CUSTOMER_UPDATES, day)
        return np.unique(draws.below(wanted, self._volume.customers_before(day)))

    def _described(self, day: int, ordinals: Int64s, kind: npt.NDArray[np.uint8]) -> CustomerRows:
        numbers = customer_numbers(ordinals)
        numberless = kind == CustomerKind.NULL_KEY
        # People whose number got lost: each has one that nobody else has. The rows of the days
        # before are at least as many as such people, so no two days share a number.
        rank = self._volume.customer_rows_before(day) + np.arange(np.count_nonzero(numberless))
        numbers[numberless] = reserved_numbers(rank)
        habits = self._habits.of(numbers)
        signed_up = self._sign_up_days(day, ordinals) * DAY_SECONDS
        signed_up += self._start + field(habits, 32, _LAST_SIGN_UP)
        country, phone = _countries(habits), _phones(self._identity.of(numbers, 1))
        updated = signed_up + 60 + field(habits, 48, 3_600)
        updated = np.where(kind == CustomerKind.BAD_EMAIL, signed_up, updated)

        changed = kind == CustomerKind.UPDATE
        change = self._habits.of(numbers, day + 2)
        moved = changed & (field(change, 48, 5) == 0)
        return CustomerRows(
            number=numbers,
            country=np.where(moved, _countries(change), country),
            phone=np.where(changed, _phones(self._identity.of(numbers, day + 2)), phone),
            signed_up=signed_up,
            updated=np.where(
                changed,
                self._start + day * DAY_SECONDS + field(change, 16, 43_200) * 2,
                updated,
            ),
            kind=kind,
        )

    def _sign_up_days(self, day: int, ordinals: Int64s) -> Int64s:
        while len(self._first_of_day) <= day:
            self._first_of_day.append(self._volume.customers_before(len(self._first_of_day)))
        days = np.searchsorted(self._first_of_day, ordinals, side="right") - 1
        base_days = -1 - field(self._identity.of(ordinals, 1), 48, 365)
        return np.where(days < 0, base_days, days)

    def lines(self, rows: CustomerRows) -> Iterator[memoryview]:
        """The rows as the lines of their file, without its header."""
        for span in text.spans(len(rows)):
            yield self._lines(rows[span])

    def _lines(self, rows: CustomerRows) -> memoryview:
        bits = self._identity.of(rows.number)
        name = field(bits, 0, len(_FIRST) * len(_LAST))
        form = _NAME_FORM_SHARES[field(bits, 16, len(_NAME_FORM_SHARES))]
        ids = customer_ids(rows.number)
        ids = pc.replace_with_mask(ids, pa.array(rows.kind == CustomerKind.NULL_KEY), "")
        consent = field(bits, 48, 10) < 7  # noqa: PLR2004 -- seven in ten agree
        columns = (
            ids,
            _emails(rows, bits, name),
            text.pick_words(_NAMES, form.astype(np.int64) * len(_SLUGS) + name),
            text.joined(
                [text.pick_words(_PHONE_PREFIXES, rows.country), text.integers(rows.phone)], ""
            ),
            text.pick_words(_COUNTRY_WORDS, rows.country),
            text.pick_words(_BOOLEANS, consent.astype(np.int8)),
            text.times(rows.signed_up),
            text.times(rows.updated),
        )
        return text.lines(dict(zip(COLUMNS, columns, strict=True)))


_PLACES = np.array([1, 1, 0, 3, 2], dtype=np.int64)
"""Where a row of each `CustomerKind` stands among the rows of its customer."""

_SLUGS = text.words([f"{first}.{last}." for first in _FIRST_ASCII for last in _LAST_ASCII])
_NAMES = text.words(
    [form.format(first, last) for form in _NAME_FORMS for first in _FIRST for last in _LAST]
)
_PHONE_PREFIXES = text.words([f"+{code} " for code in DIALLING_CODES])
_COUNTRY_WORDS = text.words(COUNTRIES)
_BOOLEANS = text.words(("false", "true"))
_DOMAIN_WORDS = text.words(_DOMAINS)


def _countries(bits: UInt64s) -> Int64s:
    return _COUNTRY_SHARES[field(bits, 0, len(_COUNTRY_SHARES))].astype(np.int64)


def _phones(bits: UInt64s) -> Int64s:
    return 10_000_000 + (bits % np.uint64(90_000_000)).astype(np.int64)


def _emails(rows: CustomerRows, bits: UInt64s, name: Int64s) -> pa.StringArray:
    mailbox = text.joined([text.pick_words(_SLUGS, name), text.integers(rows.number)], "")
    emails = text.joined(
        [mailbox, text.pick_words(_DOMAIN_WORDS, field(bits, 32, len(_DOMAINS)))], ""
    )
    bad = np.flatnonzero(rows.kind == CustomerKind.BAD_EMAIL)
    if len(bad) == 0:
        return emails
    # No sign, nothing before it, nothing behind it: no pattern of an address takes these.
    wrong = mailbox.take(pa.array(bad))
    forms = [
        text.joined([wrong, ".example.com"], ""),
        text.joined(["@", wrong, ".example.com"], ""),
        text.joined([wrong, "@"], ""),
        text.joined([wrong, " at example.com"], ""),
    ]
    chosen = pc.choose(pa.array(rows.number[bad] % len(forms)), *forms)
    return pc.replace_with_mask(emails, pa.array(rows.kind == CustomerKind.BAD_EMAIL), chosen)
