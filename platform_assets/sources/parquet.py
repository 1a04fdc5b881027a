"""Parquet files: columns in the types that the files tell.

Belongs here: judging a file's own schema, and the relation over files. Does not belong here:
finding files (``deliveries``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from platform_assets.errors import CountError, SourceError
from platform_assets.sources.base import Access, Extract, Layouts, SourceColumn, SourceInput
from platform_assets.sources.deliveries import (
    Delivery,
    further,
    name_fault,
    names,
    not_read,
    shown_name,
    unreadable,
    wanted,
)
from platform_assets.sources.stores import READ_ERRORS, Store, engine_path
from platform_assets.sql import quote_literal


@dataclass(frozen=True)
class ParquetFiles(Delivery):
    """Parquet files in a folder or bucket.

    Raises:
        ContractError: The path does not tell the partition.
    """

    @property
    def kind(self) -> str:
        """What it reads."""
        return "parquet"

    def schema(self, access: Access, inputs: Sequence[SourceInput]) -> tuple[SourceColumn, ...]:
        """The columns of the newest partition's last file, in the engine's types.

        Args:
            access: What to read through.
            inputs: Inputs that passed ``inspect``.
        """
        self.store(access).prepare(access.engine)
        types = _types(access.engine, self.newest(inputs))
        return tuple(SourceColumn(name, sql_type) for name, sql_type in types.items())

    def layouts(self, access: Access, inputs: Sequence[SourceInput]) -> Layouts:
        """The columns of every file, in the engine's types.

        Args:
            access: What to read through.
            inputs: Inputs that passed ``inspect``.
        """
        self.store(access).prepare(access.engine)
        return {
            each.partition: {
                url: tuple(SourceColumn(*column) for column in _types(access.engine, url).items())
                for url in each.items
            }
            for each in inputs
        }

    def judge(
        self, access: Access, dataset: str, inputs: Sequence[SourceInput], columns: Sequence[str]
    ) -> Mapping[str, SourceError]:
        """Judge every file's own schema before a row is used: errors by partition.

        Args:
            access: What to read through.
            dataset: The dataset's name, for messages.
            inputs: The partitions' files.
            columns: The columns that the contract names, as the files call them.
        """
        store = self.store(access)
        errors: dict[str, SourceError] = {}
        for each in inputs:
            for url in each.items:
                error = _judge(store, f"dataset {dataset}, file {url}", url, columns)
                if error is not None:
                    errors.setdefault(each.partition, error)
        return errors

    def extract(
        self, access: Access, dataset: str, inputs: Sequence[SourceInput], columns: Sequence[str]
    ) -> Extract:
        """The engine's relation over the files, each column found by its name.

        Args:
            access: What to read through.
            dataset: The dataset's name, for messages.
            inputs: Partitions that ``inspect`` found no fault in; at least one has a file.
            columns: The columns that the contract names; further ones are kept too.

        Raises:
            SourceError: Files give a column different types: nothing is converted unasked.
        """
        store = self.store(access)
        store.prepare(access.engine)
        layouts: dict[tuple[tuple[str, str], ...], list[str]] = {}
        partition_of = {url: each.partition for each in inputs for url in each.items}
        for url in partition_of:
            layouts.setdefault(tuple(_types(access.engine, url).items()), []).append(url)
        types: dict[str, str] = {}
        for layout, urls in layouts.items():
            for name, sql_type in layout:
                if types.setdefault(name.lower(), sql_type) != sql_type:
                    raise SourceError(
                        "Files give a column different types",
                        where=f"dataset {dataset}, file {urls[0]}, column {shown_name(name)}",
                        expected=types[name.lower()],
                        found=sql_type,
                        fix="have the files delivered with one schema",
                    )
        found = (*columns, *further(columns, [[n for n, _ in layout] for layout in layouts]))
        provenance = self.provenance(store.root, next(iter(partition_of.values())))
        # A row's number in its file follows from the order of the rows; with a window over them
        # they come in order, where row groups would be read side by side.
        relation = " UNION ALL ".join(
            f"SELECT * EXCLUDE (_n) FROM (SELECT {self._columns(found, layout, types)}, "
            f"{provenance}, row_number() OVER () AS _n FROM read_parquet("
            f"[{', '.join(quote_literal(engine_path(url)) for url in urls)}], filename=true, "
            "hive_partitioning=false)) WHERE _n > 0"
            for layout, urls in layouts.items()
        )

        def verify(
            connection: duckdb.DuckDBPyConnection, rows: Mapping[str, int]
        ) -> Mapping[str, SourceError]:
            del connection  # the files tell by themselves how many rows they hold
            return _miscounted(store, dataset, partition_of, rows)

        return Extract(
            relation=relation,
            columns=tuple(SourceColumn(name, types[name.lower()]) for name in found),
            verify=verify,
        )

    def _columns(
        self,
        found: Sequence[str],
        layout: Sequence[tuple[str, str]],
        types: Mapping[str, str],
    ) -> str:
        there = [name for name, _ in layout]
        return ", ".join(
            wanted([name], there, f"CAST(NULL AS {types[name.lower()]})") for name in found
        )

    def explain(self, dataset: str, each: SourceInput, error: Exception) -> SourceError:
        """Why the engine could not read a partition's files.

        Args:
            dataset: The dataset's name, for messages.
            each: The partition's files.
            error: What the engine said; its text may quote a value, and is not repeated.
        """
        return not_read(dataset, each, error, "whole Parquet files")


def _types(engine: duckdb.DuckDBPyConnection, url: str) -> dict[str, str]:
    rows = engine.execute(
        f"SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM read_parquet("
        f"{quote_literal(engine_path(url))}, hive_partitioning=false))"
    ).fetchall()
    return {str(name): str(sql_type) for name, sql_type in rows}


def _judge(store: Store, where: str, url: str, columns: Sequence[str]) -> SourceError | None:
    try:
        with store.open(url) as file:
            found = pq.ParquetFile(file).schema_arrow.names
    except (*READ_ERRORS, pa.ArrowException) as error:
        return unreadable(where, error, "a whole Parquet file")
    folded = {name.lower() for name in found}
    missing = [name for name in columns if name.lower() not in folded]
    # Which of them may be missing is for the drift policy to say.
    if missing and len(missing) == len(columns):
        return SourceError(
            f"A file lacks {'a column' if len(missing) == 1 else 'columns'}: "
            + ", ".join(shown_name(name) for name in missing),
            where=where,
            expected="the columns " + ", ".join(shown_name(name) for name in columns),
            found=names(found, columns),
            fix="have the file delivered with it, or take the column out of the contract; "
            "a renamed column is mapped with Field(source=…)",
        )
    fault = name_fault([*found, *(name for name in found if name == "filename")])
    if fault:
        return SourceError(
            "A file has columns that cannot be told apart from others",
            where=where,
            expected="each name once in whatever case, none empty, none that begins with an "
            "underscore, and none filename",
            found=fault,
            fix="have the column renamed at the source",
        )
    return None


def _miscounted(
    store: Store, dataset: str, partition_of: Mapping[str, str], rows: Mapping[str, int]
) -> dict[str, SourceError]:
    """Files of which another number of rows was read than their own metadata tells."""
    errors: dict[str, SourceError] = {}
    for url, partition in partition_of.items():
        where = f"dataset {dataset}, file {url}"
        try:
            with store.open(url) as file:
                told = pq.ParquetFile(file).metadata.num_rows
        except (*READ_ERRORS, pa.ArrowException) as error:
            errors[partition] = unreadable(where, error, "a whole Parquet file")
            continue
        read = rows.get(url[len(store.root) + 1 :], 0)
        if told != read:
            errors[partition] = CountError(
                "A file holds another number of rows than were read from it",
                where=where,
                expected=f"{told:,} rows",
                found=f"{read:,} rows read",
                fix="run the partition again; if it stays, have the file delivered again",
            )
    return errors
