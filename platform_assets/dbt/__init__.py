"""The dbt project of the aggregates, and the plugin that gives dbt the lake.

Belongs here: SQL models, their tests and macros. Does not belong here: any knowledge of Dagster.
"""
