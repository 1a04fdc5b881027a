"""Provenance: the columns by which a row tells where it came from, in every layer.

Belongs here: their names and types. Does not belong here: who fills them (``sources``) or what
follows from them (``pipeline``, ``warehouse``).

A raw table of a source that is read by what has changed holds versions of rows, and each version
says how it came about: ``_op`` (``r`` read, ``c`` created, ``u`` updated, ``d`` deleted), by what
position it is ordered among those of its key, when it changed at the source (UTC), and in which
load it came.
"""

from __future__ import annotations

PARTITION_COLUMN = "_partition"
FILE_COLUMN = "_source_file"
PROVENANCE = ((PARTITION_COLUMN, "VARCHAR"), (FILE_COLUMN, "VARCHAR"))
PROVENANCE_COLUMNS = tuple(name for name, _ in PROVENANCE)

OP_COLUMN = "_op"
POSITION_COLUMN = "_position"
CHANGED_COLUMN = "_changed_at"
LOAD_COLUMN = "_load"
CHANGE = (
    (OP_COLUMN, "VARCHAR"),
    (POSITION_COLUMN, "BIGINT"),
    (CHANGED_COLUMN, "TIMESTAMP"),
    (LOAD_COLUMN, "BIGINT"),
)
CHANGE_COLUMNS = tuple(name for name, _ in CHANGE)
PLATFORM_COLUMNS = frozenset({*PROVENANCE_COLUMNS, *CHANGE_COLUMNS})
DELETED = "d"
DELETED_AT_COLUMN = "_deleted_at"
"""Of a cleaned row that is kept after its source has deleted it: when that was (UTC)."""

# How a row of a history table tells when it held (UTC); the end is open while it does.
VALID_FROM = "valid_from"
VALID_TO = "valid_to"
IS_CURRENT = "is_current"
PERIOD = ((VALID_FROM, "TIMESTAMP"), (VALID_TO, "TIMESTAMP"), (IS_CURRENT, "BOOLEAN"))
