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
    # Rows that break several such rules are counted several times: there are at most all.
    warned = sum(n for rule, n in entry.broken.items() if severities.get(rule) == "warn")
    odd = {f.check_name for f in found if f.status == "open" and f.severity != "info"}
    return score_of(entry.extracted, entry.cleaned, entry.quarantined, warned=warned, odd=len(odd))


def score_of(extracted: int, cleaned: int, quarantined: int, *, warned: int, odd: int) -> Score:
    """The quality of one partition, from its counts.

    Args:
        extracted: Rows that came in.
        cleaned: Rows that were published.
        quarantined: Rows that broke a rule of severity error.
        warned: How often a published row breaks a rule of severity warn.
        odd: Checks of its statistics that find something odd.
    """
    extracted, cleaned = max(extracted, 1), max(cleaned, 1)
    return Score(
        validity=1 - min(quarantined, extracted) / extracted,
        conformity=1 - WARNED_WEIGHT * min(warned, cleaned) / cleaned,
        expectedness=max(0.0, 1 - ODD_WEIGHT * odd),
    )
