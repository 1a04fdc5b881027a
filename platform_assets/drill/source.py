"""The source systems as the platform meets them: a folder, a database, an API, day after day.

Belongs here: delivering a day of the clean year, and what injectors change it with. Does not belong
here: the year itself (``shop``), and any particular incident (``incidents``).
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Collection, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from platform_assets.drill.editing import Engine, link, rows_of, write_bytes, write_rows
from platform_assets.drill.server import TicketServer
from platform_assets.drill.shop import SPEND, SUFFIXES, stored, stored_spend
from platform_assets.extensions import load_extension
from platform_assets.sql import quote_literal

_TABLE = f"""
CREATE TABLE IF NOT EXISTS {SPEND} (
    spend_id TEXT NOT NULL PRIMARY KEY, campaign TEXT NOT NULL, channel TEXT NOT NULL,
    clicks INTEGER NOT NULL, cost TEXT NOT NULL, booked_at TEXT NOT NULL, updated_at TEXT NOT NULL
)
"""
_SPEND_COLUMNS = "spend_id, campaign, channel, clicks, cost, booked_at, updated_at"


@dataclass(frozen=True)
class Source:
    """Where the platform reads, and what is still to come.

    Attributes:
        store: The clean year's rows, of all days; shared, and never changed.
        folder: What was delivered: files in ``files``, the API's days in ``api``, the database.
        engine: The source's own engine, with its random numbers.
        server: The API, where it is read.
    """

    store: Path
    folder: Path
    engine: Engine
    server: TicketServer | None = None

    @property
    def files(self) -> Path:
        """The folder that files are delivered to."""
        return self.folder / "files"

    @property
    def database(self) -> Path:
        """The database's file."""
        return self.folder / "shop.sqlite"

    @property
    def api(self) -> Path:
        """The folder of the API's days."""
        return self.folder / "api"

    def deliver(self, days: Sequence[str], datasets: Collection[str]) -> None:
        """Deliver days as they are when nothing goes wrong.

        Args:
            days: Neighbouring days, in order.
            datasets: Of these datasets.
        """
        self.files.mkdir(parents=True, exist_ok=True)
        for name in sorted(datasets):
            if name == SPEND:
                self._book(days)
            elif name == "products":
                link(stored(self.store, name, days[-1]), self.path(name, days[-1]))
            else:
                for day in days:
                    link(stored(self.store, name, day), self.path(name, day))

    def path(self, dataset: str, day: str) -> Path:
        """The file of a dataset's day where it is delivered.

        Args:
            dataset: A dataset that comes as files, or by the API.
            day: The day.
        """
        if dataset == "products":
            return self.files / "products" / "products.csv"
        if dataset == "tickets":
            return self.api / f"{day}.ndjson"
        return self.files / dataset / f"{day}.{SUFFIXES[dataset]}"

    def clean_bytes(self, dataset: str, day: str) -> bytes:
        """What a day's file is when nothing goes wrong."""
        return stored(self.store, dataset, day).read_bytes()

    def rewrite(self, dataset: str, day: str, select: str) -> None:
        """Replace the rows of a delivered file.

        Args:
            dataset: The dataset.
            day: The day.
            select: A query of the table ``file``, which holds the file's rows (of CSV all text).
        """
        path = self.path(dataset, day)
        self.engine.execute(f"CREATE OR REPLACE TEMP TABLE file AS FROM {rows_of(path)}")
        write_rows(self.engine, select, path)

    def replace(self, dataset: str, day: str, content: bytes) -> None:
        """Replace the bytes of a delivered file."""
        write_bytes(self.path(dataset, day), content)

    def withhold(self, dataset: str, day: str) -> None:
        """Take a delivered file away: it does not come."""
        self.path(dataset, day).unlink()

    def in_database(self, statement: str) -> int:
        """Change the database.

        Args:
            statement: SQL of SQLite.

        Returns:
            The rows that were changed.
        """
        with closing(sqlite3.connect(self.database)) as database, database:
            return database.execute(statement).rowcount

    def _book(self, days: Sequence[str]) -> None:
        with closing(sqlite3.connect(self.database)) as database, database:
            database.execute(_TABLE)
        load_extension(self.engine, "sqlite_scanner")
        self.engine.execute(f"ATTACH {quote_literal(str(self.database))} AS shop (TYPE sqlite)")
        try:
            self.engine.execute(
                f"INSERT INTO shop.{SPEND} ({_SPEND_COLUMNS}) SELECT {_SPEND_COLUMNS} "
                f"FROM read_parquet({quote_literal(str(stored_spend(self.store)))}) "
                f"WHERE day BETWEEN '{days[0]}' AND '{days[-1]}' ORDER BY updated_at, spend_id"
            )
        finally:
            self.engine.execute("DETACH shop")


def copy_database(source: Path, target: Path) -> None:
    """Copy a database, where there is one."""
    if source.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
