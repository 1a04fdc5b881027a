"""Randomness that can be repeated: seeded draws per stream and day, and hashes per key.

Belongs here: everything that turns a seed into numbers. Does not belong here: what the numbers
mean.

Only NumPy's bit generators and `SeedSequence` are used, for which NumPy guarantees the same
numbers in every version; `numpy.random.Generator` has no such guarantee. So the same shop has
the same bytes after an upgrade too.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Int64s: TypeAlias = npt.NDArray[np.int64]
UInt64s: TypeAlias = npt.NDArray[np.uint64]
Ints: TypeAlias = npt.NDArray[np.integer[Any]]

_HALF = np.uint64(32)


class Stream(IntEnum):
    """What a sequence of numbers is for; the value is part of the seed, so it never changes."""

    ORDERS = 1
    ORDER_DIRT = 2
    ORDER_SPOIL = 3
    CUSTOMER_UPDATES = 4
    CUSTOMER_DIRT = 5
    CUSTOMER_IDENTITY = 6
    CUSTOMER_HABITS = 7
    PRODUCTS = 8
    # Of the living shop (`demo/live`).
    LIVE_ORDERS = 9
    LIVE_CUSTOMERS = 10
    LIVE_PRODUCTS = 11
    LIVE_TICKETS = 12
    LIVE_MARKETING = 13
    LIVE_LATE = 14
    # Of the incident drill (`platform_assets/drill`).
    WEATHER = 15


class Draws:
    """The numbers of one stream on one day; every call takes the next ones.

    Args:
        seed: The seed of the shop.
        stream: What the numbers are for.
        day: Days since the start of the shop.
    """

    def __init__(self, seed: int, stream: Stream, day: int) -> None:
        """Start the stream of a day."""
        self._bits = np.random.PCG64(np.random.SeedSequence([seed, int(stream), day]))

    def raw(self, size: int) -> UInt64s:
        """Draw `size` numbers of 64 random bits."""
        return np.asarray(self._bits.random_raw(size), dtype=np.uint64)

    def below(self, size: int, bound: int | Int64s) -> Int64s:
        """Draw `size` whole numbers from 0 to below `bound` (1 to 2**32, one or one for each)."""
        scaled = (self.raw(size) >> _HALF) * np.asarray(bound).astype(np.uint64)
        return (scaled >> _HALF).astype(np.int64)

    def skewed(self, size: int, bound: int) -> Int64s:
        """Draw like `below`, low numbers more often: half of them in the lowest quarter."""
        high = self.raw(size) >> _HALF
        return (((high * high) >> _HALF) * np.uint64(bound) >> _HALF).astype(np.int64)

    def pick(self, size: int, table: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Draw `size` entries of a table made by `shares`."""
        return table[self.below(size, len(table))]

    def distinct(self, size: int, population: int) -> Int64s:
        """Draw `size` different numbers from 0 to below `population`, in random order."""
        if size == 0:
            return np.empty(0, dtype=np.int64)
        keys = self.raw(population)
        lowest = np.argpartition(keys, size - 1)[:size]
        return lowest[np.argsort(keys[lowest])].astype(np.int64)


def shares(*parts: int) -> npt.NDArray[np.uint8]:
    """Make a table in which index `i` stands `parts[i]` times: a weighted choice by look-up."""
    return np.repeat(np.arange(len(parts), dtype=np.uint8), parts)


class Hashes:
    """Random bits that belong to a key, whatever the day: a person keeps name and address.

    Args:
        seed: The seed of the shop.
        stream: What the bits are for.
    """

    def __init__(self, seed: int, stream: Stream) -> None:
        """Make the salt of the stream."""
        self._salt = np.random.SeedSequence([seed, int(stream)]).generate_state(1, np.uint64)

    def of(self, keys: Int64s, salt: int = 0) -> UInt64s:
        """Give each key its 64 bits (the SplitMix64 finalizer).

        Args:
            keys: The keys, not negative.
            salt: A number for which the same keys have other bits, such as a day.
        """
        bits = keys.astype(np.uint64) + self._salt + np.uint64(salt << 40)
        bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return bits ^ (bits >> np.uint64(31))


def field(bits: UInt64s, shift: int, bound: int) -> Int64s:
    """Take a number below `bound` out of the 16 bits from `shift` on (the rest stays unused).

    Args:
        bits: The bits of each key.
        shift: The first bit to use: 0, 16, 32 or 48.
        bound: 1 to 65,536.
    """
    chunk = (bits >> np.uint64(shift)) & np.uint64(0xFFFF)
    return ((chunk * np.uint64(bound)) >> np.uint64(16)).astype(np.int64)
