"""Datasets that are declared in ``sources.yaml`` instead of in code.

Belongs here: from the file to ``Dataset``. Does not belong here: Dagster (``resources`` makes
resources of the connections), and contacting a source.
"""

from platform_assets.declared.sources import Entry, Sources, load_sources

__all__ = ["Entry", "Sources", "load_sources"]
