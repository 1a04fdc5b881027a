"""What tables, files and systems are called in OpenLineage: a namespace and a name.

Belongs here: names by OpenLineage's naming rules. Does not belong here: events
(``openlineage_events``).

A name is the same on every run, so that runs of all days meet in one graph: files are named by the
folder that they are delivered to. No name holds a secret.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from platform_assets.sources.connections import Bucket, Database, RestApi

DBT_STEP = "dbt"
_PORTS = {"postgres": 5432, "mysql": 3306}
_USUAL_SCHEMA = {"postgres": "public"}


@dataclass(frozen=True, order=True)
class Named:
    """A data set as OpenLineage names it.

    Attributes:
        namespace: The system that it is in.
        name: Its name there.
    """

    namespace: str
    name: str


def job_namespace() -> str:
    """The namespace of jobs: ``OPENLINEAGE_NAMESPACE``, or the platform's name."""
    return os.environ.get("OPENLINEAGE_NAMESPACE") or "platform_assets"


def model_job(asset: str) -> str:
    """The name of the job that makes a model: dbt's step makes several.

    Args:
        asset: The model's asset.
    """
    return f"{DBT_STEP}.{asset.replace('/', '.')}"


def lake_namespace(catalog: Path) -> str:
    """The namespace of a lake's tables: where its catalog is.

    Args:
        catalog: The catalog's file.
    """
    return f"ducklake://{catalog.absolute().as_posix()}"


def lake_table(namespace: str, asset: str) -> Named:
    """The table of an asset.

    Args:
        namespace: The lake's.
        asset: The asset's key, such as ``cleaned/orders``.
    """
    return Named(namespace, asset.replace("/", "."))


def source_of(source: object, connection: object) -> Named:
    """What a dataset's rows come from.

    Args:
        source: The dataset's source.
        connection: What its connection leads to; None: that is not known.
    """
    # A stream of changes has its own address.
    told = getattr(source, "stream", source)
    if isinstance(connection, Database):
        return _table(connection, str(getattr(told, "table", "")))
    path = str(getattr(told, "path", ""))
    if isinstance(connection, RestApi):
        parts = urlsplit(connection.base_url)
        base = parts.path.rstrip("/")
        return Named(f"{parts.scheme}://{parts.netloc}", f"{base}/{path.strip('/')}")
    if isinstance(connection, Bucket):
        below = "/".join(part for part in (connection.prefix.strip("/"), _folder(path)) if part)
        return Named(f"s3://{connection.bucket}", below or "/")
    if isinstance(connection, Path):
        return Named("file", (connection.absolute() / _folder(path)).as_posix())
    name = str(getattr(source, "connection", "")) or "unnamed"
    return Named(f"connection://{name}", path or str(getattr(told, "table", "")) or "source")


def _table(database: Database, table: str) -> Named:
    if database.kind == "sqlite":
        path = database.path.absolute().as_posix() if database.path else ""
        return Named(f"sqlite://{path}", table)
    port = database.port or _PORTS[database.kind]
    if "." not in table and database.kind in _USUAL_SCHEMA:
        table = f"{_USUAL_SCHEMA[database.kind]}.{table}"
    # A table of another database of MySQL names it itself.
    name = table if database.kind == "mysql" and "." in table else f"{database.database}.{table}"
    return Named(f"{database.kind}://{database.host}:{port}", name)


def _folder(path: str) -> str:
    """The part of a path that is the same for all partitions; a single file's whole path."""
    parts = path.strip("/").split("/")
    changing = [number for number, part in enumerate(parts) if "{" in part or "*" in part]
    return "/".join(parts[: changing[0]] if changing else parts)
