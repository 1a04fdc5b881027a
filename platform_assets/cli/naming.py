"""What a scaffold is called and reads, where nobody said.

Belongs here: guesses from a path or table name. Does not belong here: reading.
"""

from __future__ import annotations

import difflib
import re
from pathlib import PurePosixPath

from platform_assets.declared.kinds import available, kinds
from platform_assets.errors import SettingsError

_ENDINGS = {
    ".csv": "csv",
    ".json": "json",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".parquet": "parquet",
    ".xlsx": "excel",
}
_PACKED = (".gz", ".zst")


def kind_of(kind: str | None, table: str | None, path: str | None) -> str:
    """The kind of source.

    Args:
        kind: What was asked for.
        table: A table's name.
        path: A path of files.

    Raises:
        SettingsError: There is no such kind, or the path's ending tells none.
    """
    if kind is None and path is not None:
        pure = PurePosixPath(path)
        if pure.suffix in _PACKED:
            pure = pure.with_suffix("")
        kind = _ENDINGS.get(pure.suffix.lower())
    elif kind is None and table is not None:
        kind = "table"
    if kind is not None and available(kind):
        return kind
    near = difflib.get_close_matches(kind or "", kinds(), n=1)
    raise SettingsError(
        "The kind of source is not known",
        where="option --kind" if path or kind else "option --table",
        expected="one of " + ", ".join(sorted(kinds())),
        found=kind or "an ending that tells none",
        fix=f"did you mean {near[0]}?" if near else "give --kind",
    )


def dataset_name(target: str) -> str:
    """What a dataset of a path or table is called: ``sales/orders/{partition}.csv`` → ``orders``.

    Args:
        target: The path or table.
    """
    told = [re.sub(r"\.[A-Za-z.]+$", "", part) for part in target.split("/")]
    if "/" not in target and "{" not in target and "*" not in target:
        # A table may be `schema.table`.
        told = [re.sub(r"\.(csv|json|ndjson|jsonl|parquet|xlsx)(\.gz|\.zst)?$", "", target)]
        told = [told[0].rpartition(".")[2]]
    plain = [part for part in told if part and "*" not in part and "{" not in part]
    name = re.sub(r"[^a-z0-9]+", "_", (plain[-1] if plain else "dataset").lower()).strip("_")
    return name if name and name[0].isalpha() else f"dataset_{name}".rstrip("_")
