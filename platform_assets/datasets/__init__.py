"""What the business has: one module per dataset, found by the platform without registration."""

from __future__ import annotations

import importlib
import pkgutil

from platform_assets.dataset import Dataset
from platform_assets.errors import ContractError


def all_datasets() -> list[Dataset]:
    """Every dataset declared in this folder, those that others refer to first."""
    return in_reference_order([dataset for dataset, _ in declared_in().values()])


def declared_in() -> dict[str, tuple[Dataset, str]]:
    """Every dataset declared in this folder and the module that declares it, by name."""
    found: dict[str, tuple[Dataset, str]] = {}
    for module in pkgutil.iter_modules(__path__):
        loaded = importlib.import_module(f"{__name__}.{module.name}")
        for value in vars(loaded).values():
            if isinstance(value, Dataset):
                found[value.name] = (value, loaded.__name__)
    return found


def in_reference_order(datasets: list[Dataset]) -> list[Dataset]:
    """Datasets so that each comes after those that it refers to.

    Raises:
        ContractError: A dataset refers to one that is not there, or two refer to each other.
    """
    by_name = {dataset.name: dataset for dataset in datasets}
    ordered: dict[str, Dataset] = {}

    def place(dataset: Dataset, path: tuple[str, ...]) -> None:
        if dataset.name in path:
            raise ContractError(
                "Datasets refer to each other in a circle",
                where=f"dataset {dataset.name}",
                expected="references that lead one way",
                found=" → ".join((*path, dataset.name)),
                fix="take one of the references out",
            )
        for name in dataset.references:
            if name not in by_name:
                raise ContractError(
                    "A column refers to a dataset that does not exist",
                    where=f"dataset {dataset.name}",
                    expected="one of " + ", ".join(sorted(by_name)),
                    found=name,
                    fix="correct the name in Field(references=…), or declare the dataset",
                )
            place(by_name[name], (*path, dataset.name))
        ordered.setdefault(dataset.name, dataset)

    for dataset in datasets:
        place(dataset, ())
    return list(ordered.values())
