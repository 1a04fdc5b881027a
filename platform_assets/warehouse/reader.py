"""A lake that is looked at again and again: opened once, to read only, one state at a time.

Belongs here: keeping such a connection. Does not belong here: what is read, and writing
(``lake.connect``).

Opening a lake takes as long as a dozen questions to it, so a process that asks every few seconds
keeps it open. It is opened read-only: it can neither make a lake that is missing nor make a writer
wait. One thread reads: after the first look there is little that is new, of which a second thread
makes no less time and a third more processor time, which is taken from the runs beside.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from platform_assets.errors import SettingsError
from platform_assets.warehouse.lake import Connection, LakeConfig, connect, current_snapshot


@dataclass(frozen=True)
class View:
    """One state of a lake.

    Attributes:
        connection: The open lake, in a transaction; temporary tables stay until it is opened anew.
        snapshot: The state's number.
        opening: How often the lake was opened by now: temporary tables of another opening are gone.
    """

    connection: Connection
    snapshot: int
    opening: int


class LakeReader:
    """Looks at a lake; a lake that was replaced, or failed to answer, is opened anew.

    Args:
        config: Where the lake is. Secrets in it are not used: nothing is hashed. Nor is the number
            of threads, which is that of who works on the lake.
    """

    def __init__(self, config: LakeConfig) -> None:
        self._config = replace(config, variables={}, threads=1)
        self._held = ExitStack()
        self._connection: Connection | None = None
        self._file: tuple[int, int] | None = None
        self._opening = 0
        self._lock = threading.Lock()

    @contextmanager
    def look(self) -> Iterator[View]:
        """One state of the lake, whatever is written meanwhile; one at a time.

        Raises:
            SettingsError: There is no lake, or it cannot be opened.
        """
        with self._lock:
            connection = self._open()
            try:
                connection.execute("BEGIN TRANSACTION")
                yield View(connection, current_snapshot(connection), self._opening)
                # Nothing of the lake was written; temporary tables are kept.
                connection.execute("COMMIT")
            except BaseException:
                self._release()
                raise

    def close(self) -> None:
        """Close the lake."""
        with self._lock:
            self._release()

    def _open(self) -> Connection:
        catalog = self._config.catalog
        if not catalog.is_file():
            self._release()
            raise SettingsError(
                "There is no lake to look at",
                where=str(catalog),
                expected="a catalog, which the first run makes",
                found="no such file",
                fix="make a run, such as `platform-assets demo`, or correct "
                "PLATFORM_ASSETS_LAKE_CATALOG",
            )
        told = catalog.stat()
        file = (told.st_dev, told.st_ino)
        if self._connection is None or file != self._file:
            self._release()
            self._connection = self._held.enter_context(connect(self._config, read_only=True))
            self._file = file
            self._opening += 1
        return self._connection

    def _release(self) -> None:
        self._connection = None
        self._held.close()
