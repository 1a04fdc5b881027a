"""Every dataset that there is: those of the code and those of ``sources.yaml``.

Belongs here: putting both together. Does not belong here: reading either.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from platform_assets.dataset import Dataset
from platform_assets.datasets import declared_in, in_reference_order
from platform_assets.declared.sources import Entry, Sources, load_sources
from platform_assets.errors import ContractError, SettingsError
from platform_assets.settings import load_settings

CODE_CONNECTIONS = ("shop",)
"""Connections that ``resources`` makes without ``sources.yaml``; its entries may name them."""


@dataclass(frozen=True)
class Listed:
    """A dataset and where it is declared.

    Attributes:
        dataset: The dataset.
        kind: What its source reads, in a word.
        where: The module, or file and line.
    """

    dataset: Dataset
    kind: str
    where: str


def declared_sources() -> Sources:
    """What the ``sources.yaml`` of this installation declares; it is read each time.

    Raises:
        SettingsError: The file is not of the right form.
        ContractError: Two datasets have one name.
    """
    sources = load_sources(load_settings().sources, connections=CODE_CONNECTIONS)
    code = declared_in()
    for entry in sources.entries:
        if entry.name in code:
            raise entry.document.error(
                ContractError,
                "A dataset is declared in code and in a file",
                (*entry.place, "name"),
                expected="each dataset once",
                found=f"{entry.name}, which {code[entry.name][1]} declares",
                fix="rename the entry, or remove one of the two",
            )
    return sources


def catalogue(entries: Sequence[Entry] | None = None) -> list[Listed]:
    """Every dataset with its place, those of the code first.

    Args:
        entries: Entries that were read already; None: those of the installation.

    Raises:
        SettingsError: ``sources.yaml`` is not of the right form.
        ContractError: A contract cannot be understood or is not pinned.
    """
    with _no_collection():
        return _catalogue(declared_sources().entries if entries is None else entries)


def _catalogue(chosen: Sequence[Entry]) -> list[Listed]:
    code = [
        Listed(dataset, dataset.source.kind, where) for dataset, where in declared_in().values()
    ]
    return code + [Listed(e.dataset(), e.options.kind, e.where) for e in chosen]


@contextmanager
def _no_collection() -> Iterator[None]:
    """Garbage is not looked for meanwhile: hundreds of contracts are made, and all of them stay.

    Of 500 entries it takes a fifth of the time.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def every_dataset() -> list[Dataset]:
    """Every dataset of code and ``sources.yaml``, those that others refer to first.

    Raises:
        SettingsError: ``sources.yaml`` is not of the right form.
        ContractError: A contract cannot be understood, or refers to what is not there.
    """
    return in_reference_order([listed.dataset for listed in catalogue()])


def dataset_named(name: str, where: str) -> Dataset:
    """The dataset of a name.

    Args:
        name: The name.
        where: The argument or option that gave it, for the message.

    Raises:
        SettingsError: There is no such dataset.
    """
    datasets = {each.name: each for each in every_dataset()}
    if name not in datasets:
        raise SettingsError(
            "There is no such dataset",
            where=where,
            expected="one of " + ", ".join(sorted(datasets)),
            found=name,
            fix="correct the name",
        )
    return datasets[name]
