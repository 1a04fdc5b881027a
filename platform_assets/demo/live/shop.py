"""The living shop: a folder that is founded once, and lives one day after another.

Belongs here: the order of a day's work, the clock, what survives a kill, turning misbehaviours
on and off. Does not belong here: any department's rows or files, nor serving (`server.py`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from platform_assets.demo.customers import Customers
from platform_assets.demo.live import (
    catalogue,
    database,
    injections,
    marketing,
    outbox,
    people,
    sales,
    tickets,
    truth,
)
from platform_assets.demo.live.injections import Injection
from platform_assets.demo.live.parameters import LiveParameters
from platform_assets.demo.live.people import PeopleDay
from platform_assets.demo.live.sales import SalesDay
from platform_assets.demo.live.today import FOUNDING_DAY, Today
from platform_assets.demo.live.truth import LiveTruth
from platform_assets.demo.rates import DirtRates
from platform_assets.errors import SettingsError


@dataclass(frozen=True)
class DayReport:
    """What a day brought.

    Args:
        day: The date of the day.
        orders: What happened to the orders.
        customers: What happened to the customers.
        products: Products that changed or are new.
        ticket_changes: Changes in the log of the support tickets.
        marketing_events: Different events of the day's files.
        injected: The misbehaviours of the day.
    """

    day: date
    orders: SalesDay
    customers: PeopleDay
    products: int
    ticket_changes: int
    marketing_events: int
    injected: tuple[str, ...]

    def line(self) -> str:
        """The day in one line."""
        line = (
            f"{self.day}  orders +{self.orders.inserted} ~{self.orders.updated}"
            f" -{self.orders.deleted}  customers +{self.customers.inserted}"
            f" ~{self.customers.updated} -{len(self.customers.forgotten)}"
            f"  products ~{self.products}  ticket changes {self.ticket_changes}"
            f"  marketing events {self.marketing_events}"
        )
        return f"{line}  injected: {', '.join(self.injected)}" if self.injected else line


class LiveShop:
    """A shop in a folder; make it with `LiveShop.open`.

    It holds no connection between two calls, so several objects and processes can share a folder.

    Args:
        folder: The folder.
        parameters: What the shop was founded on.
    """

    def __init__(self, folder: Path, parameters: LiveParameters) -> None:
        """Look at a shop that is founded."""
        self._folder = folder
        self._parameters = parameters
        self._watchers: list[Callable[[], None]] = []

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        start: date | None = None,
        seed: int | None = None,
        orders_per_day: int | None = None,
        rates: DirtRates | None = None,
        ticket_schema: bool | None = None,
    ) -> LiveShop:
        """Open the shop of a folder, and found it where there is none.

        A day that a killed process left half made is undone where it was not committed, and
        completed where it was.

        Args:
            folder: The folder of the shop; made where it is missing.
            start: The first day.
            seed: Where the random numbers start, not negative.
            orders_per_day: The mean number of new orders a day over whole weeks.
            rates: How dirty its orders and products are.
            ticket_schema: Whether each key and value of the change log carries its schema.
                What is None is as it was when the shop was founded, or has its default.

        Raises:
            SettingsError: The parameters make no shop, are not those of the shop in the folder,
                or the folder is none.
            SourceError: Somebody else holds the database locked.
        """
        given = {
            "start": start,
            "seed": seed,
            "orders_per_day": orders_per_day,
            "rates": rates,
            "ticket_schema": ticket_schema,
        }
        asked: dict[str, Any] = {name: each for name, each in given.items() if each is not None}
        # Wrong parameters leave no folder behind.
        parameters = LiveParameters(**asked)
        _make_folder(folder)
        database.refuse_other_file(folder)
        with database.opened(folder) as connection:
            database.log_ahead(connection)
            with database.transaction(connection):
                if database.is_founded(connection):
                    parameters = _founded_on(connection, folder, parameters, asked)
                else:
                    _found(connection, parameters)
        shop = cls(folder, parameters)
        shop._settle()
        return shop

    def __repr__(self) -> str:
        """The folder and the seed."""
        return f"LiveShop({str(self._folder)!r}, seed={self._parameters.seed})"

    @property
    def folder(self) -> Path:
        """The folder of the shop."""
        return self._folder

    @property
    def database(self) -> Path:
        """The path under which others read the database."""
        return self._folder / database.PUBLIC_NAME

    @property
    def parameters(self) -> LiveParameters:
        """What the shop was founded on."""
        return self._parameters

    @property
    def days(self) -> int:
        """The number of days that it lived."""
        with database.opened(self._folder) as connection:
            return _days(connection)

    @property
    def today(self) -> date | None:
        """The last day that it lived; None before the first."""
        days = self.days
        return self._parameters.start + timedelta(days=days - 1) if days else None

    @property
    def acting(self) -> dict[str, dict[str, str]]:
        """The misbehaviours that act now and on the next day, with their options."""
        with self.reading() as connection:
            return acting_now(connection)

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """One state of the shop's own database, whatever others are shown of it."""
        with database.opened(self._folder) as connection:
            connection.execute("BEGIN")
            yield connection

    def advance(self, days: int = 1) -> list[DayReport]:
        """Live some days; each is complete, or did not happen.

        Args:
            days: The number of days, not negative.

        Returns:
            What each day brought.

        Raises:
            SettingsError: `days` is negative.
            SourceError: Somebody else holds the database locked.
        """
        if days < 0:
            raise SettingsError(
                "The living shop cannot go back in time.",
                where="advance",
                expected="a number of days from 0 up",
                found=str(days),
                fix="found a new shop in another folder: the same seed has the same days",
            )
        customers = Customers(self._parameters.shop(), self._parameters.volume())
        reports = []
        for _ in range(days):
            with database.opened(self._folder) as connection, database.transaction(connection):
                reports.append(self._live(connection, customers))
            self._settle()
        return reports

    def inject(
        self, name: str, *, days: int | None = None, after_days: int = 0, **options: object
    ) -> None:
        """Let the shop misbehave from now on: the API at once, tables and files on the next day.

        Args:
            name: `late`, `dup`, `drift`, `down`, `slow` or `garbage`.
            days: After how many days it ends; None for not before `stop`.
            after_days: How many days are lived before it begins.
            options: For `slow` `milliseconds` by page, and `turn_away_every`: of so many requests
                one is answered with 429 (0 for none); for `down` `api` (`503`, `refused` or
                `up`) and `database` (`gone` or `up`).

        Raises:
            SettingsError: There is no such misbehaviour or option, or a number is too small.
        """
        settings = injections.checked(name, options)
        if after_days < 0 or (days is not None and days < 1):
            raise SettingsError(
                "A misbehaviour of the living shop has no days.",
                where=f"inject {name}",
                expected="days of at least 1, after_days from 0 up",
                found=f"days={days}, after_days={after_days}",
                fix="give it a day at least, or leave `days` out",
            )
        with database.opened(self._folder) as connection, database.transaction(connection):
            first = _days(connection) + after_days
            end = None if days is None else first + days
            injections.start(connection, Injection(name, first, end, settings))
        self._settle()

    def stop(self, *names: str) -> None:
        """End misbehaviours; without names all of them.

        Args:
            names: The misbehaviours.

        Raises:
            SettingsError: There is no such misbehaviour.
        """
        for name in names:
            injections.checked(name, {})
        with database.opened(self._folder) as connection, database.transaction(connection):
            for name in names or injections.NAMES:
                injections.stop(connection, name, _days(connection))
        self._settle()

    def locked(self) -> AbstractContextManager[None]:
        """Keep the database locked for everybody, the shop itself included, while it lasts."""
        return database.locked(self._folder)

    def truth(self) -> LiveTruth:
        """What the shop holds now, counted from its own state."""
        with self.reading() as connection:
            today = Today(connection, self._parameters, _days(connection), {})
            return truth.count(connection, today)

    @contextmanager
    def watched(self, watcher: Callable[[], None]) -> Iterator[None]:
        """Call something after each day, and after misbehaviours were turned on or off.

        Args:
            watcher: What to call while the block lasts; calls of this object count, not those of
                another process.
        """
        self._watchers.append(watcher)
        try:
            yield
        finally:
            self._watchers.remove(watcher)

    def _live(self, connection: sqlite3.Connection, customers: Customers) -> DayReport:
        number = _days(connection)
        acting = injections.acting_on(injections.all_of(connection), number)
        today = Today(connection, self._parameters, number, acting)
        products = catalogue.advance(today)
        orders = sales.advance(today, customers, catalogue.on_sale(today))
        crm = people.advance(today, customers)
        changes = tickets.advance(today, crm.forgotten)
        events = marketing.advance(today)
        database.set_value(connection, "days", number + 1)
        return DayReport(
            day=today.date,
            orders=orders,
            customers=crm,
            products=products,
            ticket_changes=changes,
            marketing_events=events,
            injected=tuple(sorted(acting)),
        )

    def _settle(self) -> None:
        """Bring the folder to where the database is: files, and the name that others read."""
        with database.opened(self._folder) as connection:
            outbox.deliver(connection, self._folder, _days(connection) - 1)
            # Inside a transaction: nobody turns it on or off between the look and the deed.
            with database.transaction(connection):
                gone = acting_now(connection).get("down", {}).get("database") == "gone"
                database.show(self._folder, present=not gone)
        for watcher in self._watchers:
            watcher()


def acting_now(connection: sqlite3.Connection) -> dict[str, dict[str, str]]:
    """The misbehaviours that act now.

    Args:
        connection: A connection of the shop.
    """
    acting = injections.acting_on(injections.all_of(connection), _days(connection))
    return {name: dict(options) for name, options in acting.items()}


def _days(connection: sqlite3.Connection) -> int:
    return int(database.value(connection, "days"))


def _make_folder(folder: Path) -> None:
    try:
        database.file_of(folder).parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise SettingsError(
            "The living shop needs a folder.",
            where=str(folder),
            expected="a folder, or a path where one can be made",
            found="a file on the way there",
            fix="choose another path, or remove the file",
        ) from error


def _found(connection: sqlite3.Connection, parameters: LiveParameters) -> None:
    database.make_tables(connection)
    database.set_value(connection, "parameters", parameters.to_json())
    database.set_value(connection, "days", 0)
    today = Today(connection, parameters, FOUNDING_DAY, {})
    people.found(today, Customers(parameters.shop(), parameters.volume()))
    catalogue.found(today)
    tickets.found(today)


def _founded_on(
    connection: sqlite3.Connection, folder: Path, asked: LiveParameters, names: Collection[str]
) -> LiveParameters:
    """The parameters of the shop in a folder, where they are those that were asked for."""
    founded = LiveParameters.from_json(database.value(connection, "parameters"))
    others = [name for name in names if getattr(founded, name) != getattr(asked, name)]
    if others:
        raise SettingsError(
            "The folder holds a living shop with other parameters.",
            where=str(folder),
            expected=", ".join(f"{name}={getattr(founded, name)}" for name in others),
            found=", ".join(f"{name}={getattr(asked, name)}" for name in others),
            fix="leave these parameters out, or choose another folder",
        )
    return founded
