"""Tables as CSV files, proposals of them, and the contracts that follow."""

from __future__ import annotations

import csv
import importlib.util
import itertools
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb

from platform_assets.contracts import CompiledContract
from platform_assets.dataset import Dataset
from platform_assets.scaffold import (
    Known,
    ModuleOptions,
    Proposal,
    ProposedColumn,
    Sample,
    propose,
    render_module,
    sampled,
)
from platform_assets.sources.base import Access
from platform_assets.sources.files import CsvFiles

CSV = "platform_assets.sources.files:CsvFiles"
_modules = itertools.count()


def write_csv(file: Path, columns: Mapping[str, Sequence[str | None]]) -> Path:
    """A table as a CSV file; None is an empty field."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return file


@contextmanager
def sample_of(folder: Path, path: str, name: str = "things", rows: int = 1000) -> Iterator[Sample]:
    """A sample of CSV files."""
    with duckdb.connect() as engine:
        source = CsvFiles(path)
        with sampled(Access(engine, {"files": folder}), source, name, rows=rows) as sample:
            yield sample


def proposed(
    folder: Path,
    columns: Mapping[str, Sequence[str | None]],
    name: str = "things",
    known: Known | None = None,
) -> dict[str, ProposedColumn]:
    """What is proposed of a table, by the contract's name of each column."""
    write_csv(folder / "table.csv", columns)
    with sample_of(folder, "table.csv", name) as sample:
        return {column.name: column for column in propose(sample, name, known).columns}


def module_text(proposal: Proposal, path: str) -> str:
    """The module of a proposal."""
    return render_module(proposal, ModuleOptions(CSV, path, "files"))


def load_dataset(text: str, folder: Path) -> Dataset:
    """Import a module's text from a file, as Python does, and find its dataset."""
    name = f"scaffolded_{next(_modules)}"
    file = folder / f"{name}.py"
    file.write_text(text, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.modules[name]
    (found,) = [value for value in vars(module).values() if isinstance(value, Dataset)]
    return found


@dataclass(frozen=True)
class Verdict:
    """What a contract says of a sample."""

    rows: int
    broken: tuple[str, ...]


def judge(sample: Sample, compiled: CompiledContract) -> Verdict:
    """Judge all rows of a sample."""
    types = {column.name.lower(): column.sql_type for column in sample.columns}
    query = compiled.judge_sql(
        sample.table, source_types=types, reference_relation=lambda name: name
    )
    row = sample.engine.execute(
        f"SELECT count(*), list_sort(list_distinct(flatten(list(_broken)))) FROM ({query})"
    ).fetchone()
    assert row is not None
    return Verdict(row[0], tuple(row[1] or ()))
