"""Endpoints of REST APIs: each partition's pages are fetched, landed as they came, and read.

Belongs here: the source's declaration, and the order of a fetch. Does not belong here: requests
(``rest_client``), pages (``rest_pagination``, ``json_pages``), files (``landing``,
``json_records``).
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import duckdb

from platform_assets.batch_size import BatchSize
from platform_assets.errors import ContractError, CountError, SourceError
from platform_assets.partitions import UNPARTITIONED_KEY
from platform_assets.provenance import FILE_COLUMN, PARTITION_COLUMN
from platform_assets.sources import json_pages, json_records
from platform_assets.sources.base import Access, Extract, Layouts, SourceColumn, SourceInput
from platform_assets.sources.connections import ApiKey, RestApi
from platform_assets.sources.failure import PermanentSourceError
from platform_assets.sources.landing import Attempt, Landing, Writer, read_attempt
from platform_assets.sources.nested import HasPaths, path_of
from platform_assets.sources.rest_client import RestClient
from platform_assets.sources.rest_pagination import Paginator, SinglePage, Walk, total_of
from platform_assets.sources.rest_window import Window

PLACEHOLDER = "{partition}"
# After so long an API may have forgotten a cursor, and numbered pages may have shifted.
RESUME_SECONDS = 3600.0
MAX_NAMES = 1_000
_NO_CONTENT = 204
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class RestEndpoint(HasPaths):
    """One endpoint of an API that gives records as JSON.

    Attributes:
        path: Below the connection's base URL; ``{partition}`` in it is the partition's key.
        connection: Name of the connection, which leads to a ``RestApi``.
        records: Names with dots between them that lead to the list of records in an answer; empty:
            the answer is that list.
        paginator: How the API hands out its pages.
        params: Sent with every request; no secrets, which belong to the connection.
        window: The parameters that ask for one partition.
        total: Path to the number of records in an answer, which is compared with what arrived.
        method: ``POST`` only where the API searches by it; it is never sent twice by itself.
        body: JSON that a ``POST`` sends.
        batch: How many records are landed in a file, and how long that may take.

    Raises:
        ContractError: The declaration contradicts itself.
    """

    path: str
    connection: str
    records: str = ""
    paginator: Paginator = field(default_factory=SinglePage)
    params: Mapping[str, str] = field(default_factory=dict)
    window: Window | None = None
    total: str = ""
    method: Literal["GET", "POST"] = "GET"
    body: Mapping[str, Any] | None = None
    batch: BatchSize = field(default_factory=lambda: BatchSize(1_000, 50_000, 1.0))

    def __post_init__(self) -> None:
        """Refuse what could only fail later."""
        if self.body is not None and self.method == "GET":
            raise ContractError(
                "A GET has no body",
                where=f"RestEndpoint(path={self.path!r})",
                expected="method='POST', or params in place of the body",
                found="method='GET' with a body",
                fix="correct the declaration",
            )

    @property
    def kind(self) -> str:
        """What it reads."""
        return "rest"

    def inputs(self, access: Access, partitions: Sequence[str]) -> list[SourceInput]:
        """Fetch what the API has for each partition, and land it.

        A partition that was fetched, and whose load was killed before it began, is not fetched
        again; one whose fetch was killed goes on behind the last page that was landed.

        Args:
            access: What to read through.
            partitions: The partitions' keys.

        Raises:
            SourceError: The connection is not configured.
        """
        api = access.connection(
            self.connection,
            RestApi,
            reader=f"RestEndpoint(path={self.path!r})",
            fix=f"pass resources={{'{self.connection}': RestApiResource(base_url=…)}} "
            "to build_code_location",
        )
        found, landed = [], []
        with RestClient(self.connection, api, access.guard) as client:
            for key in partitions:
                try:
                    attempt = self._fetched(client, key)
                except SourceError as error:
                    # One bad day of an API must not cost the good ones.
                    found.append(SourceInput(key, (), 0, "", error))
                    continue
                landed.append(attempt)
                size = attempt.manifest.bytes
                found.append(SourceInput(key, attempt.paths, size, attempt.fingerprint))
        for attempt in landed:
            attempt.manifest.offered = True
            attempt.save()
            Landing(attempt.folder.parent).prune()
        return found

    def folder(self, api: RestApi) -> Path:
        """Where its answers are landed; another one when the declaration changes."""
        told = repr((self.path, self.records, self.paginator, sorted(self.params.items())))
        told += repr((self.window, self.method, self.body, self.total))
        slug = re.sub(r"[^a-z0-9]+", "-", self.path.lower()).strip("-") or "root"
        name = f"{slug}-{hashlib.sha256(told.encode()).hexdigest()[:8]}"
        return api.landing.absolute() / self.connection / name

    def _fetched(self, client: RestClient, key: str) -> Attempt:
        self._refuse_everything_each_day(key)
        landing = Landing(self.folder(client.api) / key)
        with landing.alone():
            attempt = landing.waiting(time.time() - RESUME_SECONDS)
            if attempt is not None and attempt.manifest.complete:
                return attempt
            resumed = attempt is not None and attempt.manifest.pages > 0
            attempt = attempt or landing.begin()
            before = attempt.manifest.pages
            try:
                self._fetch(client, key, attempt)
            except PermanentSourceError:
                if not resumed or attempt.manifest.pages > before:
                    raise
                # The API no longer knows the place where the killed fetch stopped.
                attempt.discard()
                attempt = landing.begin()
                self._fetch(client, key, attempt)
        return attempt

    def _fetch(self, client: RestClient, key: str, attempt: Attempt) -> None:
        url = client.url(self.path.replace(PLACEHOLDER, key))
        params = dict(self.params)
        if self.window is not None and key != UNPARTITIONED_KEY:
            params.update(self.window.params(key))
        auth = client.api.auth
        walk = Walk(
            declared=self.paginator,
            url=url,
            params=params,
            secret_param=auth.name if isinstance(auth, ApiKey) and auth.location == "query" else "",
            following=attempt.manifest.next,
            watch=attempt.manifest.watch,
        )
        walk.request.method, walk.request.json = self.method, self.body
        writer = Writer(attempt, self.batch)
        total = attempt.manifest.total
        try:
            while not walk.done:
                place = f"{self.method} {urlsplit(url).path}, partition {key}"
                place += f", page {writer.page}"
                response = client.get(walk.request, place)
                where = f"connection {self.connection!r}, {place}"
                if response.status_code == _NO_CONTENT:
                    break
                page = json_pages.split(response.content, self.records, where)
                total = total_of(page, self.total, where)
                try:
                    walk.advance(response, page, where)
                except SourceError:
                    # What was landed may be the wrong pages: the next fetch begins anew.
                    writer.close()
                    attempt.discard()
                    raise
                writer.add(page.records, page.names)
                if writer.full and not walk.done:
                    writer.commit(walk.following, walk.remembered(), total, complete=False)
            if total is not None and total != writer.records:
                writer.close()
                attempt.discard()
                raise _other_total(
                    f"connection {self.connection!r}, {place}", total, writer.records
                )
            writer.commit(None, walk.remembered(), total, complete=True)
        finally:
            writer.close()

    def _refuse_everything_each_day(self, key: str) -> None:
        if key == UNPARTITIONED_KEY:
            return
        where = f"RestEndpoint(path={self.path!r}), partition {key}"
        if self.window is None and PLACEHOLDER not in self.path:
            raise SourceError(
                "An endpoint does not tell which partition is asked for",
                where=where,
                expected=f"window=Window(…), or {PLACEHOLDER} in the path",
                found="neither: every day would hold everything",
                fix="say by which parameters the API cuts its records, or leave `partitions` out",
            )
        if not _KEY.fullmatch(key):
            raise SourceError(
                "A partition's key cannot be part of a path",
                where=where,
                expected="letters, digits, dots and dashes",
                found=repr(key),
                fix="cut the dataset in another way",
            )

    def schema(self, access: Access, inputs: Sequence[SourceInput]) -> tuple[SourceColumn, ...]:
        """The names at the top of the newest partition's records; all as text.

        Args:
            access: What to read through.
            inputs: Inputs that passed ``inspect``.
        """
        newest = max((each for each in inputs if each.items), key=lambda each: each.partition)
        return self.layouts(access, [newest])[newest.partition][""]

    def layouts(self, access: Access, inputs: Sequence[SourceInput]) -> Layouts:
        """The names at the top of each partition's records; none where it has no records.

        Args:
            access: What to read through.
            inputs: Inputs that passed ``inspect``.
        """
        del access  # a path is read as it is
        return {
            each.partition: {"": tuple(SourceColumn(name) for name in _extra(_names([each]), ()))}
            for each in inputs
        }

    def inspect(
        self, access: Access, dataset: str, inputs: Sequence[SourceInput], columns: Sequence[str]
    ) -> Mapping[str, SourceError]:
        """Errors by partition: files that are gone, names that are data.

        Args:
            access: What to read through.
            dataset: The dataset's name, for messages.
            inputs: The partitions' landed files.
            columns: Paths into a record, as the contract names them.
        """
        del access  # a path is read as it is
        for column in columns:
            path_of(column)
        errors: dict[str, SourceError] = {}
        for each in inputs:
            where = f"dataset {dataset}, partition {each.partition}"
            gone = [item for item in each.items if not Path(item).is_file()]
            if gone:
                errors[each.partition] = SourceError(
                    "A landed file is gone",
                    where=f"{where}, file {gone[0]}",
                    expected="the file that was landed a moment ago",
                    found="nothing",
                    fix="run the partition again; nothing but the platform may clear the folder",
                )
            elif len(names := _names([each])) > MAX_NAMES:
                errors[each.partition] = SourceError(
                    "The names at the top of an API's records are data, not columns",
                    where=where,
                    expected=f"at most {MAX_NAMES:,} names",
                    found=f"{len(names):,}",
                    fix="point RestEndpoint(records=…) at records that all have the same names",
                )
        return errors

    def extract(
        self, access: Access, dataset: str, inputs: Sequence[SourceInput], columns: Sequence[str]
    ) -> Extract:
        """The landed records as a relation, each path of the contract a column.

        Args:
            access: What to read through.
            dataset: The dataset's name, for messages.
            inputs: Inputs that passed ``inspect``; at least one has items.
            columns: Paths into a record; further names at its top are kept too.
        """
        api = access.connection(self.connection, RestApi, reader=f"dataset {dataset}", fix="")
        paths = {name: path_of(name) for name in columns}
        paths.update(_extra(_names(inputs), columns))
        items = [item for each in inputs for item in each.items]
        file = f"substr({json_records.FILENAME}, {len(str(api.landing.absolute())) + 2})"
        rows = json_records.relation(items, paths)
        return Extract(
            relation=f"SELECT * EXCLUDE ({json_records.FILENAME}), "
            # connection/endpoint/partition/attempt/file
            f"split_part({file}, '/', 3) AS {PARTITION_COLUMN}, {file} AS {FILE_COLUMN} "
            f"FROM ({rows})",
            columns=tuple(SourceColumn(name) for name in paths),
            verify=_Counted(dataset, str(api.landing.absolute()), inputs),
        )

    def explain(self, dataset: str, each: SourceInput, error: Exception) -> SourceError:
        """Why the engine could not read a partition's landed files.

        Args:
            dataset: The dataset's name, for messages.
            each: The partition's files.
            error: What the engine said; its text may quote a record, and is not repeated.
        """
        return SourceError(
            "The engine cannot read what an API gave",
            where=f"dataset {dataset}, partition {each.partition}, " + ", ".join(each.items[:3]),
            expected="records of JSON in UTF-8",
            found=f"{type(error).__name__} (its text is withheld: it may hold a value)",
            fix="look at the landed file with zcat; nothing of this partition was loaded",
        )


@dataclass(frozen=True)
class _Counted:
    """Holds the rows that were read against the records that were landed."""

    dataset: str
    root: str
    inputs: Sequence[SourceInput]

    def __call__(
        self, connection: duckdb.DuckDBPyConnection, rows: Mapping[str, int]
    ) -> Mapping[str, SourceError]:
        """Errors by partition."""
        del connection  # the manifest is the second way of counting
        errors: dict[str, SourceError] = {}
        for each in self.inputs:
            for folder in {Path(item).parent for item in each.items}:
                for file in read_attempt(folder).manifest.files:
                    path = folder / file.name
                    read = rows.get(str(path)[len(self.root) + 1 :], 0)
                    if read != file.records:
                        errors[each.partition] = CountError(
                            "A landed file holds another number of records than were read",
                            where=f"dataset {self.dataset}, file {path}",
                            expected=f"{file.records:,} records",
                            found=f"{read:,} rows",
                            fix="run the partition again: it is fetched anew",
                        )
        return errors


def _names(inputs: Sequence[SourceInput]) -> list[str]:
    """The names at the top of all landed records of some partitions."""
    folders = {Path(item).parent for each in inputs for item in each.items}
    return sorted({name for folder in folders for name in read_attempt(folder).manifest.names})


def _extra(names: Sequence[str], columns: Sequence[str]) -> dict[str, str]:
    """Names beyond the contract's that can be columns, each with its path.

    To the engine, names that differ by case are one; those that begin with an underscore are the
    platform's own. What is left out here is in the landed files.
    """
    taken = {column.lower() for column in columns}
    found: dict[str, str] = {}
    for name in names:
        path = json_records.key_path(name)
        if path is None or name.startswith("_") or name.lower() in taken:
            continue
        taken.add(name.lower())
        found[name] = path
    return found


def _other_total(where: str, told: int, landed: int) -> SourceError:
    return CountError(
        "An API gave another number of records than it says that there are",
        where=where,
        expected=f"{told:,} records",
        found=f"{landed:,}",
        fix="run the partition again; where it stays, correct RestEndpoint(paginator=…)",
    )
