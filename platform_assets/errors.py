"""Errors that a person reads: each names what, where, expected, found and the fix.

Belongs here: the exception types that cross module borders, and the one format that their
messages share. Does not belong here: handling of them, or any knowledge of Dagster.

A message never holds a value of a row: a value may be personal data, and messages end in logs,
in the UI and in alerts.
"""

from __future__ import annotations


class PlatformError(Exception):
    """Base of every error that the platform raises on purpose.

    Args:
        what: One sentence: what went wrong.
        where: Dataset, file and line, setting or column: the place to look at.
        expected: What the platform expected there.
        found: What it found instead (never a row's value).
        fix: What to do about it, in the imperative.
    """

    def __init__(
        self,
        what: str,
        *,
        where: str = "",
        expected: str = "",
        found: str = "",
        fix: str = "",
    ) -> None:
        self.what = what
        self.where = where
        self.expected = expected
        self.found = found
        self.fix = fix
        parts = [("where", where), ("expected", expected), ("found", found), ("fix", fix)]
        super().__init__("\n".join([what, *(f"  {k}: {v}" for k, v in parts if v)]))


class ContractError(PlatformError):
    """A contract that cannot be compiled or applied."""


class SettingsError(PlatformError):
    """A setting that is unknown, missing or of the wrong form."""


class SourceError(PlatformError):
    """A source that is not what its dataset says: a file unreadable, a column missing."""


class CountError(SourceError):
    """A source of which another number of rows was read than it holds by another count."""


class SchemaDriftError(SourceError):
    """A source whose schema has changed in a way that its dataset's policy does not allow."""


class PartitionError(PlatformError):
    """A partition that does not exist, or that was stopped before it was published."""


class PublishError(PlatformError):
    """A publish that could not be committed; what was published before stays."""
