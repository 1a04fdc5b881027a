"""What the commands on the quarantine share: which rows, who says so, the lake, and what is masked.

Belongs here: options and helpers. Does not belong here: any command.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from platform_assets.warehouse.quarantine_work import Picked

DatasetOption = Annotated[str | None, typer.Option("--dataset", help="Only of this dataset.")]
PartitionOption = Annotated[str | None, typer.Option("--partition", help="Only of this partition.")]
RuleOption = Annotated[str | None, typer.Option("--rule", help="Only those that break this rule.")]
RunOption = Annotated[str | None, typer.Option("--run", help="Only those that this run judged.")]
OlderOption = Annotated[
    str | None,
    typer.Option("--older-than", help="Only those first seen longer ago: 7d, 12h or 30m."),
]
StatusOption = Annotated[
    list[str] | None,
    typer.Option(
        "--status", help="open, blocked, released or resolved; default: open and blocked."
    ),
]
AuthorOption = Annotated[
    str | None, typer.Option("--author", help="Who says so; default: your login.")
]
IdsArgument = Annotated[
    list[str] | None, typer.Argument(help="Ids of rows; their beginning is enough.")
]


def picked_rows(
    ids: Sequence[str] | None,
    dataset: str | None,
    partition: str | None,
    rule: str | None,
    run: str | None,
    older_than: str | None,
    status: Sequence[str] | None,
) -> Picked:
    """Which rows the options mean.

    Raises:
        SettingsError: One of them is not of its form.
    """
    from platform_assets.declared.catalogue import dataset_named
    from platform_assets.warehouse.picking import picked_by

    if dataset is not None:
        dataset_named(dataset, f"option --dataset {dataset}")
    return picked_by(
        ids=ids or (),
        dataset=dataset,
        partition=partition,
        rule=rule,
        run=run,
        older_than=older_than,
        statuses=status or (),
    )


def masked(row: Mapping[str, Any] | None, visible: Collection[str]) -> dict[str, Any] | None:
    """A row's values as a person may see them; None: they were erased."""
    from platform_assets.warehouse.quarantine_export import MASK

    if row is None:
        return None
    return {
        name: value if name in visible or value is None else MASK for name, value in row.items()
    }
