"""Partitions that were published wrong, and taking them back.

Belongs here: what tests of rollbacks share. Does not belong here: an assertion.
"""

from __future__ import annotations

from platform_assets.cli.lake_tables import of_dataset
from platform_assets.dataset import Dataset
from platform_assets.pipeline.rollback import Done, roll_back
from platform_assets.pipeline.rollback_plan import plan
from platform_assets.warehouse.snapshots import Asked
from platform_assets_tests.support import D1, D2, Site, row, text, things

LOOSE = things(max_bad_share=1.0)
GOOD = text(row("a"), row("b", quantity=2), row("bad", quantity=-1), row("b", quantity=1))
# Quantities are wrong by a factor, and another row is bad.
WRONG = text(row("a", quantity=100), row("c"), row("worse", price="-5.00"))


def back(
    site: Site, dataset: Dataset = LOOSE, layer: str = "cleaned", day: str = D1, to: str = ""
) -> Done:
    """Roll a partition back."""
    asked = Asked(to, "option --to") if to else None
    chosen = plan(site.lake, of_dataset(dataset, layer), day, asked)
    return roll_back(site.lake, chosen, reason="wrong by a factor", author="me")


def rolled(site: Site, dataset: Dataset = LOOSE) -> dict[str, object]:
    """What a rollback has to bring back: rows, and where quarantined ones stand."""
    held = ("open", "resolved")
    name = dataset.name
    return {
        "cleaned": site.cleaned(name, "* EXCLUDE (_source_file)"),
        "held": [
            (key, rules, status)
            for key, rules, status in site.quarantine(name, "quarantine_id, rules, status")
            if status in held
        ],
    }


def published_wrong(site: Site) -> Site:
    """A day that was published right and then wrong, and another one."""
    site.deliver(D1, GOOD)
    site.deliver(D2, GOOD)
    site.run(LOOSE, [D1, D2])
    site.deliver(D1, WRONG)
    site.run(LOOSE, [D1])
    return site
