"""Debezium's events, in files and over HTTP, as kinds of source.

Belongs here: their adapters. Does not belong here: the other kinds, or an assertion.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from platform_assets.sources.change_log import DebeziumFiles
from platform_assets.sources.change_source import AnySource
from platform_assets.sources.change_stream import DebeziumStream, HttpLines
from platform_assets.sources.connections import Bearer, RestApi
from platform_assets_tests.logs import SECOND
from platform_assets_tests.source_kinds import (
    TOKEN,
    FolderGone,
    Make,
    Servers,
    SourceKind,
    in_a_folder,
)
from platform_assets_tests.source_tables import Row


@dataclass
class Debezium(SourceKind):
    """Events of the changes.

    Attributes:
        events: All of them, each with its position.
    """

    absent_is_null = True
    events: list[tuple[int, str]] = field(default_factory=list)

    def written(self, rows: Mapping[int, Row]) -> None:
        for key, row in rows.items():
            self._tell("u" if key in self.rows else "c", None, self.texts(row))
            self.rows[key] = row

    def removed(self, row: Row) -> None:
        self._tell("d", self.texts(row), None)
        del self.rows[row.sale_id]

    def _tell(self, op: str, before: object, after: object) -> None:
        at = len(self.events) + 1
        source = {"lsn": at, "ts_ms": SECOND + at * 1000}
        told = {"op": op, "before": before, "after": after, "source": source}
        self.events.append((at, json.dumps(told)))
        self.publish()

    @abstractmethod
    def publish(self) -> None:
        """Have the newest event where the source looks for it."""


class LogFiles(FolderGone, Debezium):
    """The events in files."""

    def __post_init__(self) -> None:
        self.place.mkdir()

    @property
    def source(self) -> AnySource:
        return DebeziumFiles("*.ndjson")

    def publish(self) -> None:
        number, event = self.events[-1]
        (self.place / f"{number:04}.ndjson").write_text(f"{event}\n")


@dataclass
class LogStream(Debezium):
    """The events over HTTP.

    Attributes:
        server: The server.
    """

    server: HTTPServer = field(kw_only=True)

    def __post_init__(self) -> None:
        self.server.expect_request("/changes").respond_with_handler(self._answer)

    @property
    def source(self) -> AnySource:
        return DebeziumStream(HttpLines("/changes"))

    @property
    def connections(self) -> dict[str, object]:
        return {"stream": RestApi(self.server.url_for(""), Path(), auth=Bearer(TOKEN))}

    @property
    def secrets(self) -> tuple[str, ...]:
        return (TOKEN,)

    def publish(self) -> None:
        """The server reads the events themselves."""

    def _answer(self, request: Request) -> Response:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return Response(status=401)
        after = int(request.args.get("after", "0"))
        return Response("".join(f"{event}\n" for at, event in self.events if at > after))

    def go_down(self) -> None:
        self.server.stop()

    def come_up(self) -> None:
        self.server.start()


@contextmanager
def stream(folder: Path, servers: Servers) -> Iterator[SourceKind]:
    """A stream of a server of its own."""
    del servers
    with HTTPServer(host="127.0.0.1", port=0) as server:
        yield LogStream(folder, server=server)


KINDS: dict[str, Make] = {
    "debezium_files": in_a_folder(LogFiles),
    "debezium_stream": stream,
}
"""The kinds of this module."""
