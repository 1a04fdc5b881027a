"""What a code location defines, and what it has defined once and does no longer.

Belongs here: the names that problems are about, and how it is known that one is gone. Does not
belong here: ending the problems of what is gone (``gone``).

Each code location writes into the book, under a name of its own, what it defines. Gone is only what
is written there, has been missing from the same location for a while, and is not defined by
another one. So nothing is gone because a location cannot be loaded: it is asked by nobody but its
own loop, which runs with what was loaded. One that is new to the book has had nothing, and what
belongs to another location that shares the book is on that one's list. A while, as a deployment may
leave something out by mistake: what is told from a cursor would not be told again.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import dagster as dg
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph

from platform_assets.alerts.signals import Kind, Signal
from platform_assets.dataset import Dataset

GONE_AFTER = timedelta(minutes=10)
"""How long something must have been missing."""
WRITTEN_EVERY, HELD_FOR = timedelta(hours=1), timedelta(days=1)
"""How often a list that has not changed is written, and how long that of a location which writes no
more counts: it was taken away, or is called otherwise now."""
LISTS = "definitions/"
"""What the names of the collectors that write them begin with; the location follows."""
_NAMELESS = (Kind.DURATION, Kind.BACKFILL_FINISHED)
_OF_CODE = ("sensor/", "schedule/")


@dataclass(frozen=True)
class Definitions:
    """What is defined, as one code location knows it.

    Attributes:
        here: What it defines now.
        missing: What it has defined and does no longer, and since when that is seen.
        elsewhere: What other locations define.
    """

    here: Collection[str]
    missing: Mapping[str, datetime] = field(default_factory=dict)
    elsewhere: Collection[str] = ()

    def judges(self, problem: Signal) -> bool:
        """Whether it is for this location to say that what it does not see is over."""
        return all(name in self.here for name in names_of(problem))

    def is_gone(self, problem: Signal, now: datetime) -> bool:
        """Whether a problem is about something that is not defined any more.

        Args:
            problem: The problem.
            now: The time.
        """
        return any(
            name in self.missing
            and now - self.missing[name] >= GONE_AFTER
            and name not in self.elsewhere
            for name in names_of(problem)
        )


def names_of(problem: Signal) -> tuple[str, ...]:
    """What must be defined for a problem to be one; none: it is not about code."""
    if problem.kind in _NAMELESS:
        return ()
    if problem.kind is Kind.HEARTBEAT:
        return (problem.subject,) if problem.subject.startswith(_OF_CODE) else ()
    if problem.kind is Kind.CHECK_FAILED:
        return (problem.subject, _check(problem.subject, problem.part))
    return (problem.subject,)


def names_in(
    repository: dg.RepositoryDefinition, graph: AssetGraph, datasets: Iterable[Dataset]
) -> frozenset[str]:
    """Everything in a code location that a problem may be about.

    Args:
        repository: Its definitions.
        graph: Its assets.
        datasets: Its datasets.
    """
    return frozenset(
        (
            *(key.to_user_string() for key in graph.get_all_asset_keys()),
            *(_check(key.asset_key.to_user_string(), key.name) for key in graph.asset_check_keys),
            *(f"sensor/{each.name}" for each in repository.sensor_defs),
            *(f"schedule/{each.name}" for each in repository.schedule_defs),
            *(f"run/{name}" for name in repository.job_names),
            *(f"source/{each.source.connection}" for each in datasets),
        )
    )


def known_by(
    place: str, here: frozenset[str], lists: Mapping[str, str], now: datetime
) -> Definitions:
    """What a location knows to be defined.

    Args:
        place: The location.
        here: What it defines.
        lists: What each location has written, by its name.
        now: The time.
    """
    before = {name: json.loads(text) for name, text in lists.items()}
    own = before.pop(place, {"here": [], "missing": {}})
    missing = {name: datetime.fromisoformat(at) for name, at in own["missing"].items()}
    missing |= dict.fromkeys(set(own["here"]) - here, now)
    held = [e for e in before.values() if now - datetime.fromisoformat(e["at"]) < HELD_FOR]
    return Definitions(
        here,
        {name: at for name, at in missing.items() if name not in here},
        frozenset(name for each in held for name in each["here"]),
    )


def written(definitions: Definitions, before: str | None, now: datetime) -> str | None:
    """What a location writes of itself; None: what it has written still holds.

    Args:
        definitions: What it knows.
        before: What it has written.
        now: The time.
    """
    told = {
        "here": sorted(definitions.here),
        "missing": {name: at.isoformat() for name, at in sorted(definitions.missing.items())},
    }
    if before is not None:
        old = json.loads(before)
        at = datetime.fromisoformat(old.pop("at"))
        if old == told and now - at < WRITTEN_EVERY:
            return None
    return json.dumps({"at": now.isoformat(), **told})


def _check(asset: str, check: str) -> str:
    return f"{asset}:{check}"
