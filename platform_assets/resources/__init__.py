"""Dagster resources: the lake, and what the sources read through.

Belongs here: configuration that Dagster hands to assets. Does not belong here: what is done with
a connection (``warehouse``, ``sources``).
"""

from platform_assets.resources.connections import (
    BucketResource,
    ConnectionResource,
    DatabaseResource,
    FolderResource,
    RestApiResource,
)
from platform_assets.resources.guard import breakers_left_alone, shared_guard
from platform_assets.resources.lake import LakeResource, lake_config

__all__ = [
    "BucketResource",
    "ConnectionResource",
    "DatabaseResource",
    "FolderResource",
    "LakeResource",
    "RestApiResource",
    "breakers_left_alone",
    "lake_config",
    "shared_guard",
]
