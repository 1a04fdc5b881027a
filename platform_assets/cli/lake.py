"""The lake that commands work on.

Belongs here: opening it. Does not belong here: what is done with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from platform_assets.warehouse.lake import Connection


@contextmanager
def open_lake() -> Iterator[Connection]:
    """The lake of the settings, with the platform's own tables."""
    from platform_assets.resources import lake_config
    from platform_assets.settings import load_settings
    from platform_assets.warehouse import tables
    from platform_assets.warehouse.lake import connect

    with connect(lake_config(load_settings())) as connection:
        tables.ensure_platform_tables(connection)
        yield connection
