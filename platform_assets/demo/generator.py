"""Makes a whole shop on disk, one day at a time.

Belongs here: the order of the work, the names of the files, the care for what is there already.
Does not belong here: what stands in the files.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from pathlib import Path

from platform_assets.demo import customers as customer_files
from platform_assets.demo import order_rows as order_files
from platform_assets.demo import products as product_files
from platform_assets.demo import report, text
from platform_assets.demo.books import (
    Books,
    customer_partition,
    order_partition,
    product_partition,
)
from platform_assets.demo.customers import Customers
from platform_assets.demo.order_rows import OrderRows, OrderText
from platform_assets.demo.orders import Orders, Planned
from platform_assets.demo.parameters import ShopParameters
from platform_assets.demo.products import Products
from platform_assets.demo.rates import DirtRates
from platform_assets.demo.report import PartitionTruth, ShopReport
from platform_assets.demo.volume import Volume
from platform_assets.errors import SettingsError

PRODUCTS_KEY = "all"
"""The partition key of the only product file."""

_DATASETS = ("products", "customers", "orders")


def generate(
    root: Path,
    *,
    start: date,
    days: int,
    orders_per_day: int,
    seed: int = 7,
    rates: DirtRates = DirtRates(),  # noqa: B008 -- frozen, so one default for all is safe
    spoil: Collection[date] = (),
) -> ShopReport:
    """Make the files of a demo shop, and the report of what is in them.

    The same arguments give the same bytes, and a longer run has the files of a shorter one as
    its first days. A file appears whole under its name, and stays untouched where it has its
    content already. The report comes last: where it is, all files are.

    Args:
        root: The folder of the shop; made where it is missing. Day files of a former shop there,
            as its report names them, are removed.
        start: The first day; a date in or after 1970.
        days: The number of days.
        orders_per_day: The mean number of new orders a day over whole weeks; a day has between
            8 % less and 15 % more, by its weekday. Updates and duplicates come on top.
        seed: Where the random numbers start; not negative.
        rates: How dirty the files are.
        spoil: Days whose orders file has 30 % unknown statuses and no other dirt. They are no
            part of the business in the report, and no later file refers to their orders.

    Returns:
        The report, as it also stands in `_truth.json` in `root`.

    Raises:
        SettingsError: A parameter makes no shop, `root` is a file, or it holds CSV files that no
            shop's report names.
    """
    parameters = ShopParameters.checked(
        start=start,
        days=days,
        orders_per_day=orders_per_day,
        seed=seed,
        rates=rates,
        spoil=spoil,
    )
    _make_room(root, parameters)
    return _Shop(root, parameters).make()


class _Shop:
    """The work on one shop."""

    def __init__(self, root: Path, parameters: ShopParameters) -> None:
        """Found the shop; nothing is written yet."""
        self._root = root
        self._parameters = parameters
        self._volume = Volume(parameters.start, parameters.orders_per_day)
        self._products = Products.make(parameters.seed, self._volume.products, parameters.rates)
        self._customers = Customers(parameters, self._volume)
        self._orders = Orders(parameters, self._volume, self._customers, self._products)
        self._order_text = OrderText(self._products)
        self._books = Books(parameters, self._products)
        self._partitions: dict[str, dict[str, PartitionTruth]] = {name: {} for name in _DATASETS}

    def make(self) -> ShopReport:
        """Make every file, the report last."""
        self._make_products()
        planned = Planned.nothing()
        for day in range(self._parameters.days):
            key = self._parameters.date_of(day).isoformat()
            self._make_customers(day, key)
            planned = self._make_orders(day, key, planned)
        truth = ShopReport(
            parameters=self._parameters,
            partitions=self._partitions,
            business=self._books.close(self._volume.customers_before(self._parameters.days)),
        )
        text.write_whole(self._root / report.FILE_NAME, [truth.to_json().encode()])
        return truth

    def _make_products(self) -> None:
        content = text.file_content(product_files.COLUMNS, [self._products.lines()])
        size = text.write_whole(self._root / "products" / "products.csv", content)
        self._partitions["products"][PRODUCTS_KEY] = product_partition(self._products, size)

    def _make_customers(self, day: int, key: str) -> None:
        rows = self._customers.rows(day)
        content = text.file_content(customer_files.COLUMNS, self._customers.lines(rows))
        size = text.write_whole(self._root / "customers" / f"{key}.csv", content)
        self._partitions["customers"][key] = customer_partition(rows.kind, size)

    def _make_orders(self, day: int, key: str, planned: Planned) -> Planned:
        """Make the orders file of a day and give the updates that are still to come."""
        spoiled = self._parameters.date_of(day) in self._parameters.spoil
        if spoiled:
            rows, more = self._orders.spoiled(day), Planned.nothing()
        else:
            rows, more = self._orders.rows(day, planned.due(day))
            self._books.post(rows)
        self._write_orders(key, rows, spoiled=spoiled)
        return planned.after(day).and_also(more)

    def _write_orders(self, key: str, rows: OrderRows, *, spoiled: bool) -> None:
        content = text.file_content(order_files.COLUMNS, self._order_text.lines(rows))
        size = text.write_whole(self._root / "orders" / f"{key}.csv", content)
        self._partitions["orders"][key] = order_partition(rows.kind, size, spoiled=spoiled)


def _make_room(root: Path, parameters: ShopParameters) -> None:
    """See to it that nothing in `root` can be mistaken for a file of this shop."""
    _refuse_file(root)
    try:
        former = ShopReport.read(root).parameters
    except SettingsError:
        former = None
    found = {path for name in _DATASETS for path in (root / name).glob("*.csv")}
    left_over = found - _paths(root, parameters)
    strange = left_over - (_paths(root, former) if former else set())
    if strange:
        raise SettingsError(
            "The folder of the demo shop holds CSV files of something else.",
            where=str(root),
            expected="no CSV files but those of this shop or of a former one with its report",
            found=f"{len(strange)} other files, the first of them {min(strange)}",
            fix="choose another folder, or remove these files",
        )
    if former != parameters:
        # From here on until it is written again, the files are not those of the report.
        (root / report.FILE_NAME).unlink(missing_ok=True)
    for path in left_over:
        path.unlink()


def _refuse_file(root: Path) -> None:
    nearest = next(path for path in (root, *root.absolute().parents) if path.exists())
    if not nearest.is_dir():
        raise SettingsError(
            "The demo shop needs a folder.",
            where=str(root),
            expected="a folder, or a path where one can be made",
            found=f"{nearest} is a file",
            fix="choose another path, or remove the file",
        )


def _paths(root: Path, parameters: ShopParameters) -> set[Path]:
    """The data files of a shop."""
    days = [parameters.date_of(day).isoformat() for day in range(parameters.days)]
    by_day = {root / name / f"{day}.csv" for name in ("customers", "orders") for day in days}
    return {root / "products" / "products.csv", *by_day}
