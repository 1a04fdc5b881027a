"""A source with types of its own, as small as one can be: a Parquet file a partition.

Belongs here: what tests of types read through. Does not belong here: an assertion.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from platform_assets.errors import SourceError
from platform_assets.sources.base import Access, Extract, SourceColumn, SourceInput
from platform_assets.sql import quote_identifier, quote_literal


@dataclass(frozen=True)
class TypedFiles:
    """Parquet files ``<folder>/<partition>.parquet``; it has no layouts, as a database has none."""

    folder: str
    connection: str = "files"

    @property
    def kind(self) -> str:
        return "parquet"

    def inputs(self, access: Access, partitions: Sequence[str]) -> list[SourceInput]:
        root = access.connection(self.connection, Path, reader="TypedFiles", fix="give one")
        found = []
        for key in partitions:
            path = root / self.folder / f"{key}.parquet"
            content = path.read_bytes() if path.exists() else b""
            found.append(
                SourceInput(
                    key,
                    (str(path),) if path.exists() else (),
                    len(content),
                    hashlib.sha256(content).hexdigest()[:16],
                )
            )
        return found

    def schema(self, access: Access, inputs: Sequence[SourceInput]) -> tuple[SourceColumn, ...]:
        newest = max((each for each in inputs if each.items), key=lambda each: each.partition)
        rows = access.engine.execute(
            "SELECT column_name, column_type FROM "
            f"(DESCRIBE FROM read_parquet({quote_literal(newest.items[0])}))"
        ).fetchall()
        return tuple(SourceColumn(str(name), str(sql_type)) for name, sql_type in rows)

    def inspect(
        self, access: Access, dataset: str, inputs: Sequence[SourceInput], columns: Sequence[str]
    ) -> Mapping[str, SourceError]:
        return {}

    def extract(
        self, access: Access, dataset: str, inputs: Sequence[SourceInput], columns: Sequence[str]
    ) -> Extract:
        there = [each for each in inputs if each.items]
        schema = self.schema(access, there)
        listed = ", ".join(quote_identifier(each.name) for each in schema)
        return Extract(
            " UNION ALL ".join(
                f"SELECT {listed}, {quote_literal(each.partition)} AS _partition, "
                f"'file' AS _source_file FROM read_parquet({quote_literal(each.items[0])})"
                for each in there
            ),
            schema,
        )

    def explain(self, dataset: str, each: SourceInput, error: Exception) -> SourceError:
        return SourceError("It cannot be read", where=f"dataset {dataset}, {each.partition}")
