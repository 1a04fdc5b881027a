"""``python -m bench.hostile``: loads hostile CSV files, and compares every cell with a reference.

Belongs here: running the platform over the collection, and the table. Does not belong here: the
independent reading (``hostile_reference``).

Each file is loaded by the step that loads every CSV file, into a lake of its own, with the dialect
and the columns that a person would declare. What the raw table then holds is compared with the
reference, cell by cell. A file that the reference cannot read as a table has to be refused.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.hostile_reference import Reference, refer
from platform_assets.contracts import Contract, Field
from platform_assets.dataset import Dataset
from platform_assets.errors import PlatformError
from platform_assets.pipeline import Step, load_raw
from platform_assets.sources.files import CsvFiles
from platform_assets.sql import quote_identifier
from platform_assets.warehouse import tables
from platform_assets.warehouse.lake import Connection, LakeConfig, connect

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "hostile_csv"
OUTPUT = Path(__file__).with_name("HOSTILE.md")
ENDINGS = (".csv", ".tsv", ".psv", ".ssv", ".gz", ".csv2k", ".csvformat", ".unknown")
# A lake of hundreds of tables is slow to ask for one, and opening one takes half a second.
FILES_PER_LAKE = 15
RIGHT, REFUSED, WRONG = "right", "refused", "wrong"


@dataclass(frozen=True)
class Outcome:
    """What became of one file.

    Attributes:
        path: Below the collection's folder.
        verdict: ``right``, ``refused`` or ``wrong``.
        reason: Why it was refused, or what is wrong.
        needless: Refused, though a strict reader makes a table of it.
        seconds: How long loading took.
    """

    path: Path
    verdict: str
    reason: str = ""
    needless: bool = False
    seconds: float = 0.0


def outcomes(data: Path, work: Path) -> Iterator[Outcome]:
    """Load every file of a collection.

    Args:
        data: The collection.
        work: A folder for the lakes.
    """
    files = sorted(path for path in data.rglob("*") if path.suffix in ENDINGS)
    for first in range(0, len(files), FILES_PER_LAKE):
        own = work / str(first)
        config = LakeConfig(own / "catalog.sqlite", own / "files", own / "scratch", threads=2)
        with connect(config) as lake:
            for number, path in enumerate(files[first : first + FILES_PER_LAKE]):
                started = time.perf_counter()
                verdict, reason, needless = judge(lake, path, f"file_{number}")
                seconds = time.perf_counter() - started
                yield Outcome(path.relative_to(data), verdict, reason, needless, seconds)


def judge(lake: Connection, path: Path, name: str) -> tuple[str, str, bool]:
    """Load one file: the verdict, why, and whether a strict reader would have taken it.

    Args:
        lake: An open lake.
        path: The file.
        name: A dataset's name for it.
    """
    reference = refer(path)
    if reference is None:
        return _refused(load(lake, name, path, ["column0"], {"columns": ()}))
    declared = reference.declared
    options = {
        "delimiter": declared.delimiter,
        "quote": declared.quote,
        "escape": declared.escape,
        "encoding": declared.encoding,
        "comment": declared.comment,
        "skip": declared.skip,
        "columns": () if declared.header else tuple(reference.names),
    }
    message = load(lake, name, path, reference.names, options)
    takes = reference.rows is not None and reference.even
    if message is not None:
        return REFUSED, message, takes
    if reference.rows is None:
        return WRONG, "loaded, and a strict reader refuses it", False
    return compare(lake, name, reference)


def _refused(message: str | None) -> tuple[str, str, bool]:
    return (
        (WRONG, "loaded, and there is nothing in it", False)
        if message is None
        else (
            REFUSED,
            message,
            False,
        )
    )


def load(
    lake: Connection, name: str, path: Path, names: list[str], options: dict[str, object]
) -> str | None:
    """Load a file into its raw table; why it was refused, or None.

    Args:
        lake: An open lake.
        name: The dataset's name.
        path: The file.
        names: The columns.
        options: Of ``CsvFiles``.
    """
    fields = {f"c{n}": Field(source=each, nullable=True) for n, each in enumerate(names)}
    body = {"__annotations__": dict.fromkeys(fields, str), "__module__": __name__, **fields}
    try:
        contract = type("Row", (Contract,), body)
        source = CsvFiles(path.name, **options)  # type: ignore[arg-type] # a table of options
        dataset = Dataset(name=name, contract=contract, source=source)
        step = Step(dataset, lake, "bench", connections={"files": path.parent})
        entry = load_raw(step, ["all"]).entries["all"]
    except PlatformError as error:
        return error.what
    return entry.message.splitlines()[0] if entry.message else None


def compare(lake: Connection, name: str, reference: Reference) -> tuple[str, str, bool]:
    """Compare the raw table with the reference; an empty text and null are the same.

    Args:
        lake: An open lake.
        name: The dataset's name.
        reference: What should be there.
    """
    assert reference.rows is not None
    columns = ", ".join(quote_identifier(each) for each in reference.names)
    table = tables.raw_table(name)
    found = lake.execute(f"SELECT {columns} FROM {table} ORDER BY rowid").fetchall()
    if len(found) != len(reference.rows):
        return WRONG, f"{len(found)} rows for {len(reference.rows)}", False
    for number, (row, expected) in enumerate(zip(found, reference.rows, strict=True), start=1):
        if [cell or "" for cell in row] != expected:
            return WRONG, f"row {number} differs", False
    return RIGHT, "", False


def document(found: list[Outcome]) -> str:
    """The table, as a page."""
    lines = [
        "# Hostile CSV files",
        "",
        "Made by `python -m bench.hostile`, which loads each file of a collection by the",
        "platform's own raw step, with the dialect that a person would declare for it, and",
        "compares every cell of the raw table with an independent reading: the truth in JSON that",
        "comes with `csv_spectrum`, for the others Python's csv module in strict mode. How a",
        "dialect is chosen is told in `bench/hostile_reference.py`; nothing of the platform has a",
        "part in it.",
        "",
        "A copy of `csv_spectrum` whose line ends were changed on their way here is held against",
        "its truth with the line ends that it has.",
        "",
        "**Wrong** is a file that was loaded other than the reference reads it, or that was loaded",
        "though the reference cannot make a table of it. An empty text and null count as the same:",
        "to the platform they are.",
        "",
        "| collection | files | right | refused | of them a table to the reference | wrong |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    collections = sorted({each.path.parts[0] for each in found})
    for name in [*collections, "all"]:
        of = [each for each in found if name in ("all", each.path.parts[0])]
        by = Counter(each.verdict for each in of)
        needless = sum(each.needless for each in of)
        lines.append(
            f"| {name} | {len(of)} | {by[RIGHT]} | {by[REFUSED]} | {needless} | {by[WRONG]} |"
        )
    lines += ["", "## Why files were refused", "", "| reason | files |", "| --- | --- |"]
    reasons = Counter(_kind(each.reason) for each in found if each.verdict == REFUSED)
    lines += [f"| {reason} | {count} |" for reason, count in sorted(reasons.items())]
    for title, chosen in (
        ("Refused, though a table to the reference", [e for e in found if e.needless]),
        ("Wrong", [e for e in found if e.verdict == WRONG]),
    ):
        lines += ["", f"## {title}", ""]
        rows = [f"| {e.path.as_posix()} | {_kind(e.reason)} |" for e in chosen]
        lines += ["| file | reason |", "| --- | --- |", *rows] if rows else ["None."]
    return "\n".join(lines) + "\n"


def _kind(reason: str) -> str:
    """A reason without the names of columns."""
    return reason.split(":", 1)[0].replace("|", "\\|")


def main() -> int:
    """Run the command; the status is 1 where a file was loaded wrong."""
    parser = argparse.ArgumentParser(prog="python -m bench.hostile")
    parser.add_argument("--data", type=Path, default=DATA, help=f"default: {DATA}")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    arguments = parser.parse_args()
    if not arguments.data.is_dir():
        sys.exit(f"There is no folder {arguments.data}: pass --data")
    with tempfile.TemporaryDirectory() as work:
        found = list(outcomes(arguments.data, Path(work)))
    arguments.output.write_text(document(found), encoding="utf-8")
    for each in found:
        if each.verdict == WRONG or each.needless or each.seconds > 5:
            print(f"{each.verdict:8} {each.path}  {_kind(each.reason)}  {each.seconds:.1f} s")
    counts = Counter(each.verdict for each in found)
    print(f"{len(found)} files: " + ", ".join(f"{counts[v]} {v}" for v in (RIGHT, REFUSED, WRONG)))
    return 1 if counts[WRONG] else 0


if __name__ == "__main__":
    sys.exit(main())
