"""Dagster assets, built from datasets; what they do is in ``pipeline``, what they say is here."""
