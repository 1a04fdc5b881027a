"""How rows are kept: the lake, publish, the ledger and the quarantine.

Knows no Dagster, so that it can be tested, benchmarked and reused without it.
"""
