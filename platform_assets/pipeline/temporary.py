"""Names of the session's temporary tables between judging and publishing.

Belongs here: the names, and what each table holds. Does not belong here: filling them.
"""

VERDICTS = "_verdicts"
"""``(_rowid, _partition, _broken, _rejected)`` of the rows that break something."""

VALUES = "_values_across"
"""Of a dataset unique across partitions: the good rows' values, ``_partition`` and ``_rowid``."""

HOLDERS = "_holders_across"
"""Values that another partition may have, and ``holder``: the partition that has it."""

COPIES = "_copies"
"""``(_rowid, _partition)`` of the rows to leave out: another row of their key stands for them."""

RANKED = "_ranked"
"""Of a dataset that marks deletes: the versions of keys with several, and which of them count."""

MARKS = "_marks"
"""``(_rowid, _deleted_at)`` of versions that stay though a newer one says that the row is gone."""

CARRIED = "_carried"
"""Cleaned rows that new versions say are gone, with the time of it: they replace themselves."""

REJECTED = "_rejected_versions"
"""``(_rowid)`` of the rows that are bad, those included that another version stands for."""

RELATED = "_related"
"""``(_rowid)`` of rows in other partitions that share a key with the judged ones."""

DECIDED = "_decided"
"""Keys of the versions that decide: as published (``_key_0`` …) and as one text (``_row_key``)."""

CORRECTED = "_corrected"
"""``(_rowid, quarantine_id, …)`` of raw rows that a correction is of, with the corrected values."""

CORRECTED_ROWS = "_corrected_rows"
"""A view: the raw table with its ``rowid``, corrected rows with the corrected values."""

KNOWN = "_known"
"""``(_known_partition, _known_load)``: up to which load versions of a partition are published."""

ELSEWHERE = "_elsewhere"
"""Published keys whose history is made anew beyond that of whole partitions."""

SEVERAL = "_several_versions"
"""Hashes of the keys that have several versions."""

CHANGED = "_changed_versions"
"""The new versions that decide, as published, with what orders them."""

TOUCHED = "_touched_keys"
"""Published keys of the new versions that decide, their hash, and where the versions are."""

STANDING = "_standing_rows"
"""What the history has of touched keys: the open row, or when the last one ended."""

TANGLED = "_tangled_keys"
"""Hashes of the keys whose new versions cannot simply be put on top of their history."""

UNTANGLED = "_untangled_verdicts"
"""As the verdicts, of all versions of the tangled keys."""

PERIODS = "_periods"
"""Rows of the history that are new, or that have an end now."""

RESULT = "_history_of_touched"
"""Keys, partition and period of the history's rows that new versions touched, as they are now."""
