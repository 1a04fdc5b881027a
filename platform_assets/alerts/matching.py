"""Which problems are meant: what a route takes, what an escalation watches, what a silence covers.

Belongs here: the one form that all three are told in. Does not belong here: reading it from a file
(``policy``) or from options of a command (``cli``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from platform_assets.alerts.signals import Kind, Severity, Signal


@dataclass(frozen=True)
class Match:
    """Problems that are alike in some way; what is left out, any will do.

    A name may hold ``*`` and ``?``. What is given is asked of each problem: all of it must hold.

    Attributes:
        kinds: Of one of these kinds.
        severity: At least that bad.
        owners: One of whose owners is called so.
        datasets: Whose dataset is called so.
        layers: In one of these layers.
        subjects: Whose subject is called so, such as ``cleaned/*`` or ``sensor/*``.
        partitions: Of partitions that are called so.
    """

    kinds: Sequence[Kind] = ()
    severity: Severity = Severity.INFO
    owners: Sequence[str] = ()
    datasets: Sequence[str] = ()
    layers: Sequence[str] = ()
    subjects: Sequence[str] = ()
    partitions: Sequence[str] = ()

    def takes(self, signal: Signal) -> bool:
        """Whether a signal's problem is one of those."""
        return (
            (not self.kinds or signal.kind in self.kinds)
            and signal.severity.rank >= self.severity.rank
            and (not self.layers or signal.layer in self.layers)
            and _called(self.owners, signal.owners)
            and _called(self.datasets, [signal.dataset] if signal.dataset else [])
            and _called(self.subjects, [signal.subject])
            and _called(self.partitions, [signal.partition] if signal.partition else [])
        )

    @property
    def is_everything(self) -> bool:
        """Whether nothing was said that would leave a problem out."""
        return self == Match()


def _called(patterns: Sequence[str], names: Iterable[str]) -> bool:
    return not patterns or any(fnmatchcase(name, each) for name in names for each in patterns)
