"""A reader that polls a lake while its writers are killed, and believes nothing.

Belongs here: what a reader may see and what never. Does not belong here: any writing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection as Pipe
from multiprocessing.synchronize import Event

from platform_assets.warehouse.ledger import Status
from platform_assets.warehouse.quarantine import RowStatus
from platform_assets_tests.faults.site import Observation, Place, Rows, Site, observe

# The writer has to get on too, where there are but two processors.
PAUSE_SECONDS = 0.05

Truth = Mapping[tuple[str, str, str], Rows]
"""What a partition holds when it is complete: by asset, partition and fingerprint of its input."""


@dataclass
class Sightings:
    """What a reader has seen.

    Attributes:
        polls: How often it looked.
        states: The different states of the lake among them: which publishes stood.
        violations: What it should never have seen.
    """

    polls: int = 0
    states: set[frozenset[tuple[str, str, str]]] = field(default_factory=set)
    violations: list[str] = field(default_factory=list)


def truth_of(*observations: Observation) -> Truth:
    """What complete partitions hold, from lakes that nobody disturbed."""
    return {
        (*place, attempt.fingerprint): each.rows.get(place, Rows())
        for each in observations
        for place, attempt in each.published.items()
    }


def violations(seen: Observation, truth: Truth) -> Iterator[str]:
    """Everything in one snapshot that contradicts the truth or another part of the snapshot."""
    for place in sorted({*seen.rows, *seen.last}):
        attempt = seen.published.get(place)
        rows = seen.rows.get(place, Rows())
        if attempt is None:
            if rows.count:
                yield f"{place}: {rows.count} rows are visible of what no publish tells of"
            continue
        complete = truth.get((*place, attempt.fingerprint))
        if rows != complete:
            yield f"{place}: {rows} are visible, the complete partition is {complete}"
        counted = attempt.cleaned if place[0].startswith("cleaned/") else attempt.extracted
        if rows.count != counted:
            yield f"{place}: {rows.count} rows are visible, the ledger tells of {counted}"
    for place, last in sorted(seen.last.items()):
        if place[0].startswith("cleaned/"):
            yield from _books(seen, place)
        elif last.status == Status.FAILED:
            yield f"{place}: failed, stopped by {last.stopped_by}"


def _books(seen: Observation, place: Place) -> Iterator[str]:
    """Where ledger and quarantine disagree on a cleaned partition."""
    dataset, partition = place[0].removeprefix("cleaned/"), place[1]
    last = seen.last[place]
    held = {
        status: seen.quarantined.get((dataset, partition, status), 0)
        for status in (RowStatus.OPEN, RowStatus.BLOCKED)
    }
    published = last.status == Status.PUBLISHED
    own, other = (
        (RowStatus.OPEN, RowStatus.BLOCKED) if published else (RowStatus.BLOCKED, RowStatus.OPEN)
    )
    if held[own] != last.quarantined or held[other]:
        yield f"{place}: {held} in quarantine, the ledger tells of {last}"
    if published and last.extracted != last.cleaned + last.quarantined + last.deduplicated:
        yield f"{place}: does not add up: {last}"
    if not published and last.stopped_by != "status__isin":
        yield f"{place}: stopped by {last.stopped_by}"


def poll(site: Site, truth: Truth, stop: Event, report: Pipe) -> None:
    """Look at a lake again and again until told to stop, or until something is wrong.

    Args:
        site: The lake.
        truth: What complete partitions hold.
        stop: Set when there is nothing more to see.
        report: Where the sightings go in the end.
    """
    sightings = Sightings()
    with site.open() as connection:
        while True:
            last_look = stop.is_set()
            seen = observe(connection)
            sightings.polls += 1
            sightings.states.add(
                frozenset(
                    (*place, attempt.fingerprint) for place, attempt in seen.published.items()
                )
            )
            sightings.violations += violations(seen, truth)
            if last_look or sightings.violations:
                break
            stop.wait(PAUSE_SECONDS)
    report.send(sightings)
