"""Why an asset is late: the asset or source nearest the beginning that lacks what is missing.

Belongs here: walking from an asset to what it is made from. Does not belong here: whether it is
late (``quality.freshness``), and asking the lake (``freshness``).

What is missing is told as a moment up to which data should be there. An asset that has it is not to
blame, nor is what it is made from; one that lacks it, though all that it is made from has it, is to
blame itself, and so is one that a rule of its own has stopped. Raw rows that are not there are the
source's to bring.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

from platform_assets.partitions import UNPARTITIONED_KEY
from platform_assets.pipeline.upstream import RAW_MISSING
from platform_assets.warehouse.ledger import UPSTREAM

SOURCE = "source"
"""``stopped_by`` of a load whose source could not be read; and the layer of sources."""
CLEANED_MISSING = "cleaned_missing"
"""``stopped_by`` of an aggregate whose cleaned rows were never published."""
_NOT_OWN = (UPSTREAM, RAW_MISSING, CLEANED_MISSING, SOURCE)
_A_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Made:
    """What an asset is made from.

    Attributes:
        asset: Its key.
        upstream: Keys of the assets whose gate it heeds.
        connection: The connection that it is loaded through; empty: it is no raw asset.
        is_cut: Whether it is cut into days.
        is_kept: Whether the ledger tells of it; else, as of a view, it is what it is made from.
    """

    asset: str
    upstream: tuple[str, ...] = ()
    connection: str = ""
    is_cut: bool = False
    is_kept: bool = True


@dataclass(frozen=True)
class Fact:
    """What the ledger says of an asset.

    Attributes:
        newest: The newest partition that is published; None: none.
        filled: The newest one that has rows.
        published_at: When the newest partition was published last (UTC).
        newest_event: The newest event time of all that is published (UTC); None: not known.
        passed_at: When a partition was last published or found unchanged (UTC).
        failed: Of partitions whose newest attempt failed, what stopped each; the newest ones.
    """

    newest: str | None = None
    filled: str | None = None
    published_at: datetime | None = None
    newest_event: datetime | None = None
    passed_at: datetime | None = None
    failed: Mapping[str, str] = field(default_factory=dict)


_NOTHING = Fact()


@dataclass(frozen=True)
class Lineage:
    """Assets, what they are made from, and what the ledger says of each.

    Attributes:
        made: By key.
        facts: By key; one that was never tried is absent.
    """

    made: Mapping[str, Made]
    facts: Mapping[str, Fact]

    def reach(self, asset: str) -> datetime | None:
        """Up to when an asset has all that its sources had (UTC); None: it has nothing.

        Of one that is cut, the end of its newest day; of another, the last look at its source
        which it was made after.

        Args:
            asset: The asset's key.
        """
        made, fact = self.made[asset], self.facts.get(asset, _NOTHING)
        if made.is_kept and made.is_cut:
            return None if fact.newest is None else end_of(fact.newest)
        found = [fact.passed_at] if made.is_kept else []
        for upstream in made.upstream:
            if upstream in self.made and self._is_known(upstream):
                found.append(self._reach_then(upstream, fact.passed_at if made.is_kept else None))
        known = [each for each in found if each is not None]
        return min(known) if known and len(known) == len(found) else None

    def _reach_then(self, upstream: str, made_at: datetime | None) -> datetime | None:
        """How far what is upstream reached when something was made from it."""
        reach, fact = self.reach(upstream), self.facts.get(upstream, _NOTHING)
        is_newer = made_at and fact.published_at and fact.published_at > made_at
        if reach is None or not is_newer or not self.made[upstream].is_cut:
            return reach
        # Its newest day was not there yet, or not as it is now.
        return reach - _A_DAY

    def _is_known(self, asset: str) -> bool:
        """Whether anything is known of it: not of assets that the platform does not make."""
        made = self.made[asset]
        return made.is_kept or any(u in self.made and self._is_known(u) for u in made.upstream)

    def lacks(self, asset: str, moment: datetime) -> bool:
        """Whether data up to a moment are missing.

        Args:
            asset: The asset's key.
            moment: With a time zone.
        """
        made = self.made[asset]
        if not made.is_kept:
            return any(u in self.made and self.lacks(u, moment) for u in made.upstream)
        reach = self.reach(asset)
        return reach is None or reach < moment

    def stopped_by(self, asset: str, moment: datetime) -> str:
        """The rule or step of its own that keeps data up to a moment out; empty: none does.

        Args:
            asset: The asset's key.
            moment: With a time zone.
        """
        made = self.made[asset]
        key = _day_up_to(moment) if made.is_cut else UNPARTITIONED_KEY
        stopped_by = self.facts.get(asset, _NOTHING).failed.get(key, "")
        return "" if stopped_by in _NOT_OWN else stopped_by

    def roots(self, asset: str, moment: datetime) -> tuple[str, ...]:
        """Why data up to a moment are missing: the asset itself, or what is nearest the source.

        Args:
            asset: The key of an asset that lacks them.
            moment: With a time zone.
        """
        made = self.made[asset]
        if self.stopped_by(asset, moment):
            return (asset,)
        if made.connection:
            return (f"{SOURCE}/{made.connection}",)
        lacking = [u for u in made.upstream if u in self.made and self.lacks(u, moment)]
        found = [root for each in lacking for root in self.roots(each, moment)]
        return tuple(dict.fromkeys(found)) or (asset,)

    def sources(self, asset: str) -> tuple[str, ...]:
        """The sources that an asset's rows come from.

        Args:
            asset: The asset's key.
        """
        made = self.made[asset]
        if made.connection:
            return (f"{SOURCE}/{made.connection}",)
        found = [s for u in made.upstream if u in self.made for s in self.sources(u)]
        return tuple(dict.fromkeys(found))


def end_of(day: str) -> datetime:
    """The moment (UTC) at which a day is over."""
    return datetime.combine(date.fromisoformat(day), time.min, UTC) + _A_DAY


def _day_up_to(moment: datetime) -> str:
    """The first day that is over no earlier than a moment."""
    return str((moment.astimezone(UTC) - timedelta(microseconds=1)).date())
