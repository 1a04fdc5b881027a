"""The path of a row: source → raw → typed and judged → cleaned or quarantine.

Belongs here: the two steps (``load_raw``, ``clean``) that move whole batches of partitions along
that path and say of each partition what became of it. Knows no Dagster: ``assets/`` reports what
these steps did, ``bench/`` times them.
"""

from platform_assets.pipeline.clean import clean
from platform_assets.pipeline.raw import load_raw
from platform_assets.pipeline.steps import BatchReport, Step

__all__ = ["BatchReport", "Step", "clean", "load_raw"]
