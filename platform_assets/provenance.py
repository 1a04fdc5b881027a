"""Provenance: the columns by which a row tells where it came from, in every layer.

Belongs here: their names and types. Does not belong here: who fills them (``sources``) or what
follows from them (``pipeline``, ``warehouse``).
"""

from __future__ import annotations

PARTITION_COLUMN = "_partition"
FILE_COLUMN = "_source_file"
PROVENANCE = ((PARTITION_COLUMN, "VARCHAR"), (FILE_COLUMN, "VARCHAR"))
PROVENANCE_COLUMNS = tuple(name for name, _ in PROVENANCE)
