"""The shop's products: the catalogue, its file and its prices.

Belongs here: what is sold, at which price in which currency, and the few dirty rows. Does not
belong here: who buys it. The catalogue does not change over the life of a shop.

The dirty products come after the clean ones; nobody can order them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from platform_assets.demo import text
from platform_assets.demo.rates import DirtRates
from platform_assets.demo.streams import Draws, Int64s, Stream

COLUMNS = ("product_id", "name", "category", "unit_price", "cost", "active")

CURRENCIES = ("GBP", "EUR", "USD")
_PRICE_PERCENT = (100, 117, 127)

CATEGORIES = ("kitchen", "home", "garden", "toys", "books", "sports", "beauty", "office")
_NOUNS = (
    ("Kettle", '12" Skillet', "Teapot", "Chopping Board"),
    ("Rug, Woven", "Lamp", "Cushion", "Picture Frame"),
    ("Spade", "Planter", "Watering Can", "Bird Table"),
    ("Kite", "Puzzle", "Toy Train", "Board Game"),
    ("Cookbook", "Atlas", "Diary", "Novel"),
    ("Yoga Mat", "Football", "Skipping Rope", "Water Bottle"),
    ("Soap", "Hand Cream", "Hairbrush", "Eau de Café"),
    ("Notebook", "Fountain Pen", "Desk Tidy", "Stapler"),
)
_ADJECTIVES = (
    "Blue", "Vintage", "Small", "Large", "Oak", "Scandi", "Crème", "Classic", "Folding", "Red",
    "Travel", "Handmade", "Recycled", "Everyday", "Garden-Green", "Luxury", "Slim", "Rustic",
)  # fmt: skip
_ENDINGS = np.array([99, 95, 50, 0], dtype=np.int64)

NEGATIVE_PRICE_RULE = "unit_price__ge"
NULL_NAME_RULE = "name__not_null"


@dataclass(frozen=True)
class Products:
    """The catalogue of one shop.

    Args:
        category: Index into `CATEGORIES`, for each row of the file.
        noun: Index into the category's nouns.
        adjective: Index into the adjectives.
        price: Unit price in pence.
        cost: What the shop pays for it, in pence.
        active: Whether it is on sale.
        clean: The number of clean rows; the others follow them.
        negative_prices: The number of rows with a negative price, which come next.
        null_names: The number of rows without a name, which come last.
    """

    category: Int64s
    noun: Int64s
    adjective: Int64s
    price: Int64s
    cost: Int64s
    active: npt.NDArray[np.bool_]
    clean: int
    negative_prices: int
    null_names: int

    @classmethod
    def make(cls, seed: int, clean: int, rates: DirtRates) -> Products:
        """Make the catalogue.

        Args:
            seed: The seed of the shop.
            clean: The number of clean products.
            rates: How many dirty rows there are besides.
        """
        rows = clean + rates.product_negative_price + rates.product_null_name
        draws = Draws(seed, Stream.PRODUCTS, 0)
        category = draws.below(rows, len(CATEGORIES))
        noun = draws.below(rows, len(_NOUNS[0]))
        adjective = draws.below(rows, len(_ADJECTIVES))
        price = (1 + draws.skewed(rows, 180)) * 100 + _ENDINGS[draws.below(rows, len(_ENDINGS))]
        cost = price * (35 + draws.below(rows, 40)) // 100
        active = draws.below(rows, 10) > 0
        active[0] = True  # There is always something to sell.
        price[clean : clean + rates.product_negative_price] *= -1
        return cls(
            category=category,
            noun=noun,
            adjective=adjective,
            price=price,
            cost=cost,
            active=active,
            clean=clean,
            negative_prices=rates.product_negative_price,
            null_names=rates.product_null_name,
        )

    def __len__(self) -> int:
        """The number of rows of the file."""
        return len(self.price)

    def on_sale(self) -> Int64s:
        """The positions of the clean products that can be ordered."""
        return np.flatnonzero(self.active[: self.clean]).astype(np.int64)

    def ids(self) -> pa.StringArray:
        """The id of each row of the file."""
        return text.identifiers("P", np.arange(1, len(self) + 1, dtype=np.int64), 5)

    def prices(self) -> Int64s:
        """Unit prices in hundredths, a row for each product and a column for each currency."""
        return self.price[:, None] * np.array(_PRICE_PERCENT, dtype=np.int64) // 100

    def by_rule(self) -> dict[str, int]:
        """The number of rows that break each rule."""
        counts = {NEGATIVE_PRICE_RULE: self.negative_prices, NULL_NAME_RULE: self.null_names}
        return {rule: rows for rule, rows in counts.items() if rows}

    def lines(self) -> memoryview:
        """The catalogue as the lines of its file, without the header."""
        kinds = self.category * len(_NOUNS[0]) + self.noun
        names = text.pick_words(_NAMES, self.adjective * len(_NOUNS) * len(_NOUNS[0]) + kinds)
        nameless = np.arange(len(self)) >= len(self) - self.null_names
        columns = (
            self.ids(),
            pc.replace_with_mask(names, pa.array(nameless), ""),
            text.pick_words(_CATEGORY_WORDS, self.category),
            text.amounts(self.price),
            text.amounts(self.cost),
            text.pick_words(_BOOLEANS, self.active.astype(np.int8)),
        )
        return text.lines(dict(zip(COLUMNS, columns, strict=True)))


_NAMES = text.words(
    [f"{adjective} {noun}" for adjective in _ADJECTIVES for nouns in _NOUNS for noun in nouns]
)
_CATEGORY_WORDS = text.words(CATEGORIES)
_BOOLEANS = text.words(("false", "true"))
