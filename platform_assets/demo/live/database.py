"""The living shop's database: its tables, and how they are opened.

Belongs here: the tables, transactions, the name under which others find the file. Does not
belong here: what rows there are.

The file itself is `state/shop.sqlite`; others read it through the link `shop.sqlite`. SQLite
follows a link before it names the write-ahead log, so the link can be taken away from readers
while the shop itself goes on: renaming an open database could tear it from its log.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from platform_assets.demo.order_rows import COLUMNS as ORDER_COLUMNS
from platform_assets.errors import SettingsError, SourceError

PUBLIC_NAME = "shop.sqlite"
"""The name under which others read the database."""

_FILE = Path("state") / PUBLIC_NAME
_BUSY_SECONDS = 10.0
_LOOK_SECONDS = 0.01

_ORDER_COLUMN_TYPES = """
    order_id TEXT NOT NULL,
    customer_id TEXT,
    product_id TEXT NOT NULL,
    quantity INTEGER NOT NULL,
    unit_price TEXT NOT NULL,
    total_amount TEXT NOT NULL,
    currency TEXT NOT NULL,
    status TEXT NOT NULL,
    channel TEXT NOT NULL,
    country TEXT NOT NULL,
    ordered_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
"""

_TABLES = (
    """
    CREATE TABLE customers (
        customer_id TEXT NOT NULL PRIMARY KEY,
        email TEXT NOT NULL,
        full_name TEXT NOT NULL,
        phone TEXT,
        country TEXT NOT NULL,
        consent INTEGER NOT NULL,
        signed_up_at TEXT NOT NULL,
        updated_at TEXT NOT NULL
    )
    """,
    "CREATE INDEX customers_updated_at ON customers (updated_at)",
    f"CREATE TABLE orders ({_ORDER_COLUMN_TYPES}, PRIMARY KEY (order_id))",
    "CREATE INDEX orders_updated_at ON orders (updated_at)",
    "CREATE INDEX orders_ordered_at ON orders (ordered_at)",
    "CREATE INDEX orders_customer_id ON orders (customer_id)",
    # What begins with an underscore is the shop's own business, not for others to read.
    "CREATE TABLE _shop (name TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL)",
    """
    CREATE TABLE _injections (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL,
        first_day INTEGER NOT NULL,
        end_day INTEGER,
        options TEXT NOT NULL
    )
    """,
    """
    CREATE TABLE _effects (
        day INTEGER NOT NULL,
        name TEXT NOT NULL,
        place TEXT NOT NULL,
        rows INTEGER NOT NULL,
        detail TEXT NOT NULL,
        PRIMARY KEY (day, name, place)
    )
    """,
    "CREATE TABLE _deleted (place TEXT, id TEXT, day INTEGER NOT NULL, PRIMARY KEY (place, id))",
    "CREATE TABLE _order_dirt (order_id TEXT NOT NULL PRIMARY KEY, rule TEXT NOT NULL)",
    """
    CREATE TABLE _order_steps (
        day INTEGER NOT NULL, order_id TEXT NOT NULL, status TEXT NOT NULL, at TEXT NOT NULL,
        PRIMARY KEY (day, order_id)
    )
    """,
    f"CREATE TABLE _orders_withheld (day INTEGER NOT NULL, {_ORDER_COLUMN_TYPES})",
    """
    CREATE TABLE _catalogue (
        position INTEGER PRIMARY KEY,
        price INTEGER NOT NULL,
        active INTEGER NOT NULL,
        updated_at TEXT NOT NULL,
        body TEXT NOT NULL
    )
    """,
    """
    CREATE TABLE _tickets (
        ticket_id TEXT NOT NULL PRIMARY KEY,
        customer_id TEXT NOT NULL,
        order_id TEXT,
        topic TEXT NOT NULL,
        subject TEXT NOT NULL,
        priority TEXT NOT NULL,
        status TEXT NOT NULL,
        opened_at TEXT NOT NULL,
        updated_at TEXT NOT NULL
    )
    """,
    """
    CREATE TABLE _ticket_steps (
        day INTEGER NOT NULL, second INTEGER NOT NULL, ticket_id TEXT NOT NULL,
        status TEXT NOT NULL, PRIMARY KEY (day, second, ticket_id)
    )
    """,
    """
    CREATE TABLE _marketing (
        date TEXT NOT NULL PRIMARY KEY, files INTEGER NOT NULL, events INTEGER NOT NULL,
        rows INTEGER NOT NULL
    )
    """,
    "CREATE TABLE _events_withheld (day INTEGER NOT NULL, line BLOB NOT NULL)",
    """
    CREATE TABLE _outbox (
        sequence INTEGER PRIMARY KEY, day INTEGER NOT NULL, path TEXT NOT NULL,
        content BLOB NOT NULL
    )
    """,
)


def file_of(folder: Path) -> Path:
    """The database file itself.

    Args:
        folder: The folder of the shop.
    """
    return folder / _FILE


@contextmanager
def opened(folder: Path) -> Iterator[sqlite3.Connection]:
    """A connection to the shop's database, closed at the end.

    Args:
        folder: The folder of the shop.

    Raises:
        SourceError: Somebody else holds the database locked.
    """
    try:
        with closing(
            sqlite3.connect(file_of(folder), timeout=_BUSY_SECONDS, isolation_level=None)
        ) as connection:
            yield connection
    except sqlite3.OperationalError as error:
        if not _is_busy(error):
            raise
        raise SourceError(
            "The database of the living shop is locked.",
            where=str(file_of(folder)),
            expected=f"a turn within {_BUSY_SECONDS:g} seconds",
            found="another process, or `locked()`, holds it",
            fix="let the other one finish, then try again",
        ) from error


def log_ahead(connection: sqlite3.Connection) -> None:
    """Put the database in WAL mode, where it is not yet.

    Args:
        connection: A connection of `opened`, in no transaction.
    """
    until = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            # For this statement SQLite does not wait its turn: two processes found one shop.
            if not _is_busy(error) or time.monotonic() > until:
                raise
            time.sleep(_LOOK_SECONDS)
        else:
            return


def _is_busy(error: sqlite3.OperationalError) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All statements or none; from the beginning nobody else writes.

    Args:
        connection: A connection of `opened`.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.rollback()
        raise
    connection.execute("COMMIT")


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep the database locked for everybody, readers too, as a maintenance job would.

    Args:
        folder: The folder of the shop.

    Raises:
        SourceError: Somebody else is using the database.
    """
    with opened(folder) as connection:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        # In WAL mode only the first write under this locking mode shuts readers out.
        connection.execute("BEGIN EXCLUSIVE")
        connection.execute("COMMIT")
        yield


def make_tables(connection: sqlite3.Connection) -> None:
    """Make all tables, inside the caller's transaction."""
    for statement in _TABLES:
        connection.execute(statement)


def is_founded(connection: sqlite3.Connection) -> bool:
    """Whether the shop's tables are there."""
    (tables,) = connection.execute(
        "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = '_shop'"
    ).fetchone()
    return bool(tables)


def value(connection: sqlite3.Connection, name: str) -> str:
    """A single value of the shop's state.

    Args:
        connection: A connection of `opened`.
        name: Its name.
    """
    (found,) = connection.execute("SELECT value FROM _shop WHERE name = ?", [name]).fetchone()
    return str(found)


def set_value(connection: sqlite3.Connection, name: str, to: str | int) -> None:
    """Keep a single value in the shop's state.

    Args:
        connection: A connection of `opened`, in a transaction.
        name: Its name.
        to: The value.
    """
    connection.execute("INSERT OR REPLACE INTO _shop VALUES (?, ?)", [name, str(to)])


def order_columns(connection: sqlite3.Connection) -> list[str]:
    """The names of the columns that `orders` has now."""
    return [name for _, name, *_ in connection.execute("PRAGMA table_info(orders)")]


def show(folder: Path, *, present: bool) -> None:
    """Let others find the database, or take it away from them.

    Args:
        folder: The folder of the shop.
        present: Whether it is to be found.
    """
    link = folder / PUBLIC_NAME
    refuse_other_file(folder)
    if not present:
        link.unlink(missing_ok=True)
    elif not link.is_symlink():
        link.symlink_to(_FILE)


def refuse_other_file(folder: Path) -> None:
    """Refuse to take the place of a file that is not the shop's.

    Args:
        folder: The folder of the shop.

    Raises:
        SettingsError: There is a file of the database's name that is no link.
    """
    link = folder / PUBLIC_NAME
    if link.exists() and not link.is_symlink():
        raise SettingsError(
            "The folder of the living shop holds another database.",
            where=str(link),
            expected=f"nothing, or the shop's own link to {_FILE}",
            found="a file",
            fix="choose another folder, or move the file away",
        )


__all__ = [
    "ORDER_COLUMNS",
    "PUBLIC_NAME",
    "file_of",
    "is_founded",
    "locked",
    "make_tables",
    "opened",
    "order_columns",
    "refuse_other_file",
    "set_value",
    "show",
    "transaction",
    "value",
]
