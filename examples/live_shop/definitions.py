"""The code location: ``dagster dev -m examples.live_shop.definitions``.

Belongs here: assembling. Where the shop is, and what it wants to be told, is read from the
environment when a run starts.
"""

from __future__ import annotations

import dagster as dg

from examples.live_shop.datasets import ALL
from platform_assets.assets.location import build_code_location
from platform_assets.resources import DatabaseResource, FolderResource, RestApiResource

FOLDER, DATABASE = "LIVE_SHOP_FOLDER", "LIVE_SHOP_DATABASE"
API, TOKEN = "LIVE_SHOP_API", "LIVE_SHOP_TOKEN"  # the variable's name

defs: dg.Definitions = build_code_location(
    ALL,
    resources={
        "files": FolderResource(path=dg.EnvVar(FOLDER)),
        "database": DatabaseResource(kind="sqlite", path=dg.EnvVar(DATABASE)),
        "api": RestApiResource(
            base_url=dg.EnvVar(API), auth="bearer", token=dg.EnvVar(TOKEN), requests_per_second=20
        ),
    },
)
