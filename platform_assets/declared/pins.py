"""Pinned contracts: what a live source said once, in a file that people review.

Belongs here: where the files are, reading and writing them. Does not belong here: proposing a
contract (``scaffold``).

They are beside ``sources.yaml``, not in the data folder: what is generated there is in no
repository, and a fresh clone, a test and a colleague would each get another contract, or none. So a
change of an inferred contract is a change of a file, seen in review like any other.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from platform_assets.documents.document import Document, read_document
from platform_assets.errors import ContractError

if TYPE_CHECKING:
    from platform_assets.declared.sources import Entry

FOLDER = "contracts"


def path(sources: Path, dataset: str) -> Path:
    """The file of a dataset's pinned contract.

    Args:
        sources: The ``sources.yaml`` that declares the dataset.
        dataset: Its name.
    """
    return sources.parent / FOLDER / f"{dataset}.yaml"


def command(dataset: str) -> str:
    """The command that pins a contract."""
    return f"platform-assets datasets infer {dataset}"


def identity(kind: str, connection: str, arguments: Mapping[str, object]) -> str:
    """What a contract is pinned for: changes when the entry reads something else."""
    told = json.dumps([kind, connection, sorted((k, str(v)) for k, v in arguments.items())])
    return hashlib.sha256(told.encode()).hexdigest()[:12]


def read(entry: Entry) -> Document:
    """The pinned contract of an entry.

    Args:
        entry: The entry.

    Raises:
        ContractError: There is none, or it was pinned for another source.
        SettingsError: The file is not YAML.
    """
    where = f"{entry.where}: dataset {entry.name}"
    if not entry.pin.exists():
        raise ContractError(
            "An inferred contract is not pinned",
            where=where,
            expected=f"the file {entry.pin}",
            found="none",
            fix=command(entry.name),
        )
    document = read_document(entry.pin)
    pinned = document.at(("source",))
    wanted = identity(entry.options.kind, entry.options.connection, entry.arguments)
    if pinned != wanted:
        raise ContractError(
            "An inferred contract is pinned for another source",
            where=where,
            expected=f"{entry.pin} with `source: {wanted}`",
            found=f"source: {pinned}" if isinstance(pinned, str) else "no source",
            fix=f"the entry reads something else now; look at it again: {command(entry.name)}",
        )
    return document
