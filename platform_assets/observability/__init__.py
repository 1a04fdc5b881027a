"""What the platform tells of its own work: lineage, metrics, traces, logs.

Belongs here: making what is told. Does not belong here: deciding what is worth a message
(``alerts``), and Dagster's definitions that call this (``assets``, ``sensors``).
"""
