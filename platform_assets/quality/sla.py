"""The time that something may take: what a declaration may say.

Belongs here: refusing what cannot be meant. Does not belong here: watching runs
(``sensors.alerting.durations``).
"""

from __future__ import annotations

from datetime import timedelta

from platform_assets.errors import ContractError

SLA_METADATA = "platform_assets/sla_seconds"
"""Metadata of an asset's definition: within how many seconds a partition of it is to be built."""


def examine_sla(where: str, sla: timedelta) -> None:
    """Refuse an SLA that every run would break.

    Args:
        where: What it was declared for.
        sla: How long it may take.

    Raises:
        ContractError: It is no time.
    """
    if sla <= timedelta(0):
        raise ContractError(
            "The time that a partition may take is none",
            where=f"{where}, sla",
            expected="a time longer than nothing, or None where only what is unusual is told",
            found=str(sla),
            fix="twenty minutes are timedelta(minutes=20)",
        )
