"""The quality score: one number per partition, 0 to 100, from what is known of it anyway.

Belongs here: the formula. Does not belong here: where it is shown.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from platform_assets.quality.findings import Finding
from platform_assets.warehouse.ledger import LedgerEntry

# A row that breaks a rule of severity warn is published all the same: it counts half.
WARNED_WEIGHT = 0.5
# Each check that finds something odd takes a tenth.
ODD_WEIGHT = 0.1


@dataclass(frozen=True)
class Score:
    """The quality of a partition, and what it is made of.

    Attributes:
        validity: Share of its rows that break no rule of severity error.
        conformity: 1 less half the share of its published rows that break a rule of severity warn.
        expectedness: 1 less a tenth for each check of its statistics that finds something odd.
    """

    validity: float
    conformity: float
    expectedness: float

    @property
    def total(self) -> float:
        """The score: 100 times the product of its parts."""
        return round(100 * self.validity * self.conformity * self.expectedness, 2)


def score(entry: LedgerEntry, severities: Mapping[str, str], found: Collection[Finding]) -> Score:
    """The quality of one partition.

    Args:
        entry: What the ledger says of its publish.
        severities: The severity of each rule.
        found: The findings about it; those that were accepted, and those of severity info, do not
            count.
    """
    extracted, cleaned = max(entry.extracted, 1), max(entry.cleaned, 1)
    # Rows that break several such rules are counted several times: there are at most all.
    warned = sum(n for rule, n in entry.broken.items() if severities.get(rule) == "warn")
    odd = {f.check_name for f in found if f.status == "open" and f.severity != "info"}
    return Score(
        validity=1 - min(entry.quarantined, extracted) / extracted,
        conformity=1 - WARNED_WEIGHT * min(warned, cleaned) / cleaned,
        expectedness=max(0.0, 1 - ODD_WEIGHT * len(odd)),
    )
