"""Connections of the sources as Dagster resources: configuration and secrets, nothing else.

Belongs here: where a source's system is and how to sign in there, configured with ``EnvVar`` so
that a secret is in no file and no UI. Does not belong here: reading (``sources``).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

import dagster as dg
from pydantic import Field

from platform_assets.sources.connections import Bucket


class ConnectionResource(dg.ConfigurableResource, ABC):  # type: ignore[type-arg] # holds no inner value
    """What a source reads through; each kind of connection is a subclass."""

    @property
    @abstractmethod
    def connection(self) -> object:
        """What ``Access.connection`` gives to a source."""


class FolderResource(ConnectionResource):
    """A folder that files are delivered to.

    Attributes:
        path: The folder, absolute or relative to where Dagster was started.
    """

    path: str = Field(description="The folder that files are delivered to.")

    @property
    def connection(self) -> Path:
        """The folder."""
        return Path(self.path)


class BucketResource(ConnectionResource):
    """A bucket of S3-compatible storage that files are delivered to.

    Attributes:
        bucket: Its name.
        key_id: The access key's id.
        secret: The access key's secret: pass ``EnvVar("…")``.
        prefix: What the names of all files begin with, before ``/``; empty: the whole bucket.
        endpoint: Host and port; empty: Amazon's.
        region: Where it is.
        path_style: Whether the bucket's name stands in the path, as MinIO and others want it.
        ssl: Whether to connect by HTTPS.
    """

    bucket: str = Field(description="The bucket's name.")
    key_id: str = Field(description="The access key's id.")
    secret: str = Field(description="The access key's secret, as an EnvVar.", repr=False)
    prefix: str = Field(default="", description="What the names of all files begin with.")
    endpoint: str = Field(default="", description="Host and port; empty: Amazon's.")
    region: str = Field(default="us-east-1", description="Where the bucket is.")
    path_style: bool = Field(default=False, description="The bucket's name stands in the path.")
    ssl: bool = Field(default=True, description="Connect by HTTPS.")

    @property
    def connection(self) -> Bucket:
        """The bucket."""
        return Bucket(
            bucket=self.bucket,
            key_id=self.key_id,
            secret=self.secret,
            prefix=self.prefix,
            endpoint=self.endpoint,
            region=self.region,
            path_style=self.path_style,
            ssl=self.ssl,
        )
