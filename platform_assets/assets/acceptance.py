"""What a person has said to be fine, told to Dagster at once: no run is made.

Belongs here: what checks say of partitions whose findings were accepted. Does not belong here:
accepting (``quality.findings``), and how Dagster is told (``evaluations``).

The lake holds what is true. Where Dagster cannot be told, the next run of the asset tells it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import dagster as dg

from platform_assets.alerts.redaction import redacted
from platform_assets.assets.evaluations import ToldWithoutRun, Verdict, tell_without_run
from platform_assets.assets.statistics import verdict
from platform_assets.partitions import UNPARTITIONED_KEY
from platform_assets.quality import findings
from platform_assets.quality.findings import Finding, Standing
from platform_assets.warehouse.lake import Connection

Verdicts = Mapping[str, Mapping[dg.AssetCheckKey, Verdict]]
"""What checks say, by partition."""


def verdicts(connection: Connection, accepted: Sequence[Finding]) -> Verdicts:
    """What the checks of accepted findings say now: that it was fine, or what is odd besides.

    Args:
        connection: An open lake.
        accepted: The findings that were accepted.
    """
    found: dict[str, dict[dg.AssetCheckKey, Verdict]] = {}
    for asset, partition in sorted({(each.asset, each.partition) for each in accepted}):
        standing = findings.standing(connection, asset, partitions=[partition])
        for check in sorted(
            {e.check_name for e in accepted if (e.asset, e.partition) == (asset, partition)}
        ):
            key = dg.AssetCheckKey(dg.AssetKey(asset.split("/")), check)
            own = [each for each in standing if each.check_name == check]
            # A run may have judged the partition again since; then that run tells what it found.
            if any(each.status is Standing.ACCEPTED for each in own):
                found.setdefault(partition, {})[key] = _verdict(own)
    return found


def tell(instance: dg.DagsterInstance, said: Verdicts) -> ToldWithoutRun:
    """Have the checks say so in Dagster, of the newest materialization of each partition.

    Args:
        instance: Dagster's instance.
        said: What they say.
    """
    told: list[dg.AssetCheckKey] = []
    left: list[dg.AssetCheckKey] = []
    for partition, of_checks in said.items():
        # The UI shows a check by what was said last: that is not to hide what is odd besides.
        ordered = dict(sorted(of_checks.items(), key=lambda each: not each[1].passed))
        cut = None if partition == UNPARTITIONED_KEY else partition
        done = tell_without_run(instance, ordered, cut)
        told += done.told
        left += done.left_to_runs
    return ToldWithoutRun(tuple(told), tuple(left))


def _verdict(own: Sequence[Finding]) -> Verdict:
    """What a check says of a partition, with who has accepted what of it, and why."""
    odd = verdict([each for each in own if each.status is Standing.OPEN])
    fine = [each for each in own if each.status is Standing.ACCEPTED]
    who = ", ".join(sorted({each.author for each in fine}))
    why = "; ".join(sorted({redacted(each.reason) for each in fine}))
    return replace(
        odd,
        description=f"accepted by {who}: {why}" if odd.passed else odd.description,
        metadata={
            **odd.metadata,
            "accepted_by": who,
            "reason": why,
            "accepted": dg.MetadataValue.table([_record(each) for each in fine]),
        },
    )


def _record(finding: Finding) -> dg.TableRecord:
    return dg.TableRecord(
        {
            "of": finding.column_name,
            "by": finding.author,
            "reason": redacted(finding.reason),
            "at": "" if finding.decided_at is None else finding.decided_at.isoformat(),
            "message": finding.message,
            "finding": finding.finding_id,
        }
    )
