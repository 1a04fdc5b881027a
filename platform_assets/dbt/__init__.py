"""The dbt project of the aggregates, and the transaction that dbt builds it in.

Belongs here: SQL models, their tests and macros. Does not belong here: any knowledge of Dagster.
"""
