"""What statistics find odd, until a person says that it was fine or it is so no longer.

Belongs here: the findings that stand, as signals. Does not belong here: finding (``quality``).
"""

from __future__ import annotations

from platform_assets.alerts.signals import Kind, Severity, Signal, fingerprint
from platform_assets.quality import findings
from platform_assets.quality.findings import Finding
from platform_assets.sensors.alerting.world import Collected, World, transitions
from platform_assets.warehouse.lake import current_snapshot

_SEVERITIES = {"error": Severity.ERROR, "warn": Severity.WARN}


def collect(world: World, cursor: str | None) -> Collected:
    """The findings that are new, worse or over; what is severe as ``info`` is not told.

    Args:
        world: What there is to look at.
        cursor: The snapshot that was looked at last: nothing changes without another one.
    """
    end = str(current_snapshot(world.lake))
    if cursor == end:
        return Collected()
    present = [_told(world, each) for each in findings.find(world.lake) if each.severity != "info"]
    return Collected(
        transitions(present, world.of(Kind.FINDING).values(), world.now),
        end,
    )


def _told(world: World, finding: Finding) -> Signal:
    severe = finding.severity == "error"
    return world.assets.described(
        Signal(
            kind=Kind.FINDING,
            subject=finding.asset,
            at=world.now,
            part=f"{finding.check_name}/{finding.column_name}",
            partition=finding.partition,
            severity=_SEVERITIES[finding.severity],
            title=finding.message,
            detail=f"expected: {finding.expected_low:,.6g} to {finding.expected_high:,.6g}\n"
            f"found: {finding.observed:,.6g}",
            # One that is severe has stopped its partition.
            cause=fingerprint(Kind.PARTITION_FAILED, finding.asset, "", finding.partition)
            if severe
            else "",
            run_id=finding.run_id,
            command=f"platform-assets checks list --dataset {finding.dataset} "
            f"--partition {finding.partition}",
        )
    )
