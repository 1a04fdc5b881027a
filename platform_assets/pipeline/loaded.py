"""How far a partition of a change source is loaded, as the ledger's fingerprints tell.

Belongs here: writing and reading them. Does not belong here: loading (``changes``) and what follows
from it (``clean``).
"""

from __future__ import annotations

from dataclasses import dataclass

from platform_assets.warehouse.ledger import LedgerEntry


@dataclass(frozen=True)
class Loaded:
    """How far a partition of a change source is loaded, as its publish tells.

    Attributes:
        load: The newest load that touched it.
        whole: The newest load that read it whole, and so may have taken rows away.
    """

    load: int
    whole: int

    @property
    def fingerprint(self) -> str:
        """How the ledger keeps it."""
        return f"load-{self.load}-whole-{self.whole}"

    @classmethod
    def of(cls, entry: LedgerEntry) -> Loaded:
        """Read it from a publish of the raw asset."""
        return cls.parse(entry.input_fingerprint)

    @classmethod
    def parse(cls, fingerprint: str) -> Loaded:
        """Read it from a fingerprint."""
        _, load, _, whole = fingerprint.split("-")
        return cls(int(load), int(whole))
