"""The code location: `RETAIL_DATA=… dagster dev -m examples.online_retail.definitions`.

Belongs here: assembling. The folder of the daily files is read from ``RETAIL_DATA`` when a run
starts, and the UI shows it as that variable.
"""

from __future__ import annotations

import dagster as dg

from examples.online_retail.dataset import invoice_lines
from platform_assets.assets.location import build_code_location
from platform_assets.resources import FolderResource

FOLDER_VARIABLE = "RETAIL_DATA"

defs: dg.Definitions = build_code_location(
    [invoice_lines],
    resources={"retail": FolderResource(path=dg.EnvVar(FOLDER_VARIABLE))},
)
