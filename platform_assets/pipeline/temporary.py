"""Names of the session's temporary tables between judging and publishing.

Belongs here: the names, and what each table holds. Does not belong here: filling them.
"""

VERDICTS = "_verdicts"
"""``(_rowid, _partition, _broken, _rejected)`` of the rows that break something."""

COPIES = "_copies"
"""``(_rowid, _partition)`` of the rows to leave out: another row of their key stands for them."""

RELATED = "_related"
"""``(_rowid)`` of rows in other partitions that share a key with the judged ones."""

DECIDED = "_decided"
"""Keys of the versions that decide: as published (``_key_0`` …) and as one text (``_row_key``)."""
