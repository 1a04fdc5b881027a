"""Change logs from a stream: Debezium's events, in bounded helpings from where reading stands.

Belongs here: the seam that a kind of stream has to fill, and the stream over HTTP. Does not belong
here: what an event says (``envelope``), and how much a load takes (``stream_helping``).

A helping is landed before the engine reads it, so a slow stream locks nothing and memory stays
flat. Reading stands at the highest position that was kept whole; it is committed with the rows, and
a server that gives some events again does no harm.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Protocol

import requests
import urllib3

from platform_assets.errors import ContractError, SourceError
from platform_assets.sources.base import Access, SourceColumn
from platform_assets.sources.change_source import ChangeRequest, Changes, Ended, Lag
from platform_assets.sources.connections import RestApi
from platform_assets.sources.envelope import ORDER, Envelopes, OnBadLine, Unit
from platform_assets.sources.log_landing import Landing, landing
from platform_assets.sources.rest_client import RestClient
from platform_assets.sources.stream_helping import Helping, Standing

DEFAULT_MAX_EVENTS = 500_000
DEFAULT_MAX_SECONDS = 60.0
_CHUNK_BYTES = 65_536
_SCHEMA_EVENTS = 100
_LOOK_SECONDS = 5.0
# How far behind reading is, is asked every minute by everybody who tells of it.
_LAG_EVENTS, _LAG_SECONDS = 1_000, 2.0


class Lines(Protocol):
    """An open stream of lines, each an envelope."""

    def __iter__(self) -> Iterator[bytes]:
        """Its bytes as they come, in bounded chunks; it ends where there is nothing for now."""
        ...

    @property
    def complete(self) -> bool:
        """Whether it ended by itself, so that no event of its last position is still to come."""
        ...


class Stream(Protocol):
    """A kind of stream: where its events come from."""

    @property
    def connection(self) -> str:
        """Name of the connection that it reads through."""
        ...

    @property
    def name(self) -> str:
        """What provenance tells as the place that events came from; without any secret."""
        ...

    def open(
        self, access: Access, after: int | None, seconds: float
    ) -> AbstractContextManager[Lines]:
        """Events after a position; None: from the beginning.

        Args:
            access: What to read through.
            after: The highest position that is kept already.
            seconds: How long to wait for something new.

        Raises:
            SourceError: The stream cannot be read.
        """
        ...


@dataclass(frozen=True)
class HttpLines:
    """Lines over HTTP: ``GET <path>?after=<position>`` answers with one event a line.

    The answer may end, stay open while there is nothing new, or wait to begin until there is.

    Attributes:
        path: What is added to the connection's address.
        connection: Name of the connection, which leads to an API.
        after: Name of the parameter that takes the position.
    """

    path: str
    connection: str = "stream"
    after: str = "after"

    @property
    def name(self) -> str:
        """The path; the address belongs to the connection."""
        return f"http:{self.path}"

    @contextmanager
    def open(self, access: Access, after: int | None, seconds: float) -> Iterator[Lines]:
        """Ask for the events after a position.

        Args:
            access: What to read through.
            after: The highest position that is kept already.
            seconds: How long to wait for something new.

        Raises:
            requests.RequestException: The server does not answer, or with an error.
            SourceError: There is no such connection, or it sends its callers elsewhere.
        """
        api = access.connection(
            self.connection,
            RestApi,
            reader=f"HttpLines(path={self.path!r})",
            fix=f"pass resources={{'{self.connection}': RestApiResource(base_url=…)}} "
            "to build_code_location",
        )
        with RestClient(
            self.connection, replace(api, timeout=min(api.timeout, seconds)), access.guard
        ) as client:
            request = requests.Request(
                "GET",
                client.url(self.path),
                params={} if after is None else {self.after: str(after)},
                headers={"Accept": "application/x-ndjson, application/json"},
            )
            with ExitStack() as stack:
                try:
                    response = stack.enter_context(client.stream(request, f"GET {self.path}"))
                except requests.ReadTimeout:
                    # Some servers begin to answer when there is something to say.
                    yield _Silence()
                else:
                    yield _HttpBody(response)


class _Silence:
    """A stream in which there was nothing for as long as was waited."""

    complete = False

    def __iter__(self) -> Iterator[bytes]:
        return iter(())


class _HttpBody:
    """The body of an answer; a pause or a break ends it, and the next load goes on from there."""

    def __init__(self, response: requests.Response) -> None:
        self._response = response
        self._complete = False

    @property
    def complete(self) -> bool:
        return self._complete

    def __iter__(self) -> Iterator[bytes]:
        try:
            if self._response.headers.get("Transfer-Encoding", "").lower() == "chunked":
                yield from self._response.iter_content(_CHUNK_BYTES)
            else:
                # Reading so many bytes would wait for all of them, and lose them in the end.
                raw = self._response.raw
                while chunk := raw.read1(_CHUNK_BYTES, decode_content=True):
                    yield chunk
        except (requests.RequestException, urllib3.exceptions.HTTPError):
            return
        announced = self._response.headers.get("Content-Length")
        self._complete = announced is None or self._response.raw.tell() >= int(announced)


@dataclass(frozen=True)
class DebeziumStream:
    """Debezium's envelopes from a stream, one a line.

    Columns are text, as the events write them. Events of all partitions are taken, whatever was
    asked for.

    Attributes:
        stream: Where they come from.
        position: As with ``DebeziumFiles``; the stream goes on after the highest one.
        on_bad_line: As with ``DebeziumFiles``.
        units: As with ``DebeziumFiles``.
        max_events: Events to take in one load.
        max_seconds: Time that a load may take from the stream.

    Raises:
        ContractError: A load could take nothing.
    """

    stream: Stream
    position: str | None = None
    on_bad_line: OnBadLine = "refuse"
    units: Mapping[str, Unit] = field(default_factory=dict)
    max_events: int = DEFAULT_MAX_EVENTS
    max_seconds: float = DEFAULT_MAX_SECONDS

    def __post_init__(self) -> None:
        """Refuse bounds within which nothing can be read."""
        if self.max_events < 1 or self.max_seconds <= 0:
            raise ContractError(
                "A load could take nothing from the stream",
                where=self._reader,
                expected="max_events of 1 or more, max_seconds above 0",
                found=f"{self.max_events} events, {self.max_seconds} s",
                fix="leave them out for the defaults",
            )

    @property
    def connection(self) -> str:
        """Name of the connection that it reads through."""
        return self.stream.connection

    @property
    def kind(self) -> str:
        """What it reads."""
        return "debezium"

    @property
    def needs_key(self) -> bool:
        """An event is of a row."""
        return True

    @property
    def _reader(self) -> str:
        return f"DebeziumStream({self.stream.name})"

    def schema(self, access: Access) -> tuple[SourceColumn, ...]:
        """The fields of the first events; none is taken from the stream by that.

        Args:
            access: What to read through.

        Raises:
            SourceError: The stream cannot be read.
        """
        with landing(access.engine) as land:
            self._take(access, land, None, _SCHEMA_EVENTS)
            events = self._envelopes(access, land, ())
            try:
                events.parse()
                return events.fields()
            finally:
                events.drop()

    @contextmanager
    def reading(self, access: Access, request: ChangeRequest) -> Iterator[Changes]:
        """The next events.

        Args:
            access: What to read through.
            request: What is asked.

        Raises:
            SourceError: The stream cannot be read, or a line is no event and is refused.
        """
        standing = Standing.parse(request.cursor)
        before = standing.after
        with landing(access.engine) as land:
            notes, complete = self._take(access, land, before, self.max_events)
            events = self._envelopes(access, land, request.key)
            try:
                events.parse()
                columns = events.fields(request.columns)
                after = self._after(
                    before, events.newest_positions(), land.lines, complete=complete
                )
                ended = Standing(after)
                if not complete:
                    # Less may have come than is kept.
                    kept = standing.held if after == before else 0
                    ended = Standing(after, max(kept, events.count_after(after)))
                if before is not None:
                    events.leave_out_held(request, before)
                yield Changes(
                    columns=columns,
                    read=lambda: events.select(request, columns),
                    ended=lambda stage: Ended(ended.text(), events.controls(stage), notes),
                    order=ORDER,
                )
            finally:
                events.drop()

    def touched(self, access: Access, request: ChangeRequest) -> frozenset[str]:
        """The newest partition where there are further events: any one's load takes them all.

        Args:
            access: What to read through.
            request: What is asked.

        Raises:
            SourceError: The stream cannot be read.
        """
        after = Standing.parse(request.cursor).after
        soon = replace(self, max_seconds=min(self.max_seconds, _LOOK_SECONDS))
        with landing(access.engine) as land:
            soon._take(access, land, after, 1)
            return frozenset([max(request.loaded)] if land.lines else [])

    def lag(self, access: Access, cursor: str) -> Lag:
        """The next events that were not read yet, up to a thousand, and of when the oldest is.

        A stream does not say where it ends, so they are asked for and counted, and not kept.

        Args:
            access: What to read through.
            cursor: Where the last load ended.

        Raises:
            SourceError: The stream cannot be read.
        """
        standing = Standing.parse(cursor)
        # A line that is no event stops a load; it says nothing of how far behind that is.
        soon = replace(
            self, max_seconds=min(self.max_seconds, _LAG_SECONDS), on_bad_line="quarantine"
        )
        with landing(access.engine) as land:
            _, complete = soon._take(access, land, standing.after, standing.held + _LAG_EVENTS)
            events = soon._envelopes(access, land, ())
            try:
                events.parse()
                count, oldest = events.unread(standing.after, standing.held)
            finally:
                events.drop()
        return Lag(oldest, events=count, at_least=not complete)

    def _take(
        self, access: Access, land: Landing, after: int | None, most: int
    ) -> tuple[tuple[str, ...], bool]:
        """Land whole events until there is nothing for now, or a bound is reached.

        Gives notes, and whether the events of the last position are all there.
        """
        helping = Helping(most, time.monotonic() + self.max_seconds)
        with self.stream.open(access, after, self.max_seconds) as lines:
            taken = land.take(self.stream.name, helping.of(lines))
            complete = lines.complete and not helping.stopped and not taken.left
        notes = []
        if helping.stopped:
            notes.append(f"{self.stream.name}: {helping.stopped}; the next load goes on from there")
        elif taken.left:
            notes.append(
                f"{self.stream.name} broke off within an event ({taken.left:,} bytes): "
                "the next load asks for it again"
            )
        return tuple(notes), complete

    def _after(
        self, before: int | None, newest: tuple[int, ...], count: int, *, complete: bool
    ) -> int | None:
        """Where the next load goes on.

        Events may share a position. Where the stream did not end by itself, some of the last one
        may be missing, and that position is asked for again.

        Raises:
            SourceError: So many events share a position that a load would never come beyond it.
        """
        newer = [position for position in newest if before is None or position > before]
        if complete or not newer:
            return newer[0] if newer else before
        if len(newer) == 1 and count >= self.max_events:
            raise SourceError(
                "More events share one position than a load takes",
                where=self._reader,
                expected=f"fewer than {self.max_events:,} events at a position",
                found=f"{count:,}",
                fix="raise max_events",
            )
        return newer[1] if len(newer) > 1 else before

    def _envelopes(self, access: Access, land: Landing, key: tuple[str, ...]) -> Envelopes:
        return Envelopes(
            engine=access.engine,
            landing=land,
            reader=self._reader,
            key=key,
            position=self.position,
            on_bad_line=self.on_bad_line,
            units=self.units,
        )
