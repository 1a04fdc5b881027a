"""Names of the session's temporary tables between judging and publishing.

Belongs here: the names, and what each table holds. Does not belong here: filling them.
"""

VERDICTS = "_verdicts"
"""``(_rowid, _partition, _broken, _rejected)`` of the rows that break something."""

COPIES = "_copies"
"""``(_rowid, _partition)`` of the rows to leave out: another row of their key stands for them."""

RANKED = "_ranked"
"""Of a dataset that marks deletes: the versions of keys with several, and which of them count."""

MARKS = "_marks"
"""``(_rowid, _deleted_at)`` of versions that stay though a newer one says that the row is gone."""

CARRIED = "_carried"
"""Cleaned rows that new versions say are gone, with the time of it: they replace themselves."""

RELATED = "_related"
"""``(_rowid)`` of rows in other partitions that share a key with the judged ones."""

DECIDED = "_decided"
"""Keys of the versions that decide: as published (``_key_0`` …) and as one text (``_row_key``)."""
