"""A data platform on Dagster: every row accounted for, in batches, partition by partition."""

__version__ = "0.1.0"
