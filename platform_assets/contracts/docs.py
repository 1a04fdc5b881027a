"""A contract as a Markdown page.

Belongs here: the page. Does not belong here: anything that a page could get wrong, so it only
prints what the compiler found.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from platform_assets.contracts.columns import Column
from platform_assets.contracts.pii import published_type
from platform_assets.contracts.rules import Rule


def markdown(
    dataset: str,
    contract: str,
    description: str,
    version: str,
    columns: Sequence[Column],
    rules: Sequence[Rule],
) -> str:
    """Write the page of a dataset's contract.

    Args:
        dataset: Its name, the title.
        contract: Name of the contract's class.
        description: What the dataset is.
        version: The contract's version.
        columns: Its columns.
        rules: Its rules.

    Returns:
        Markdown.
    """
    about = f"Contract `{contract}`, version `{version}`."
    intro = [f"# {dataset}", *([description] if description else []), about]
    column_table = _table(
        ("column", "type", "published as", "null", "role", "description"),
        (
            (
                f"`{c.name}`" + _source(c),
                c.sql_type,
                published_type(c) or "not published",
                "yes" if c.nullable else "no",
                _role(c),
                c.description,
            )
            for c in columns
        ),
    )
    rule_table = _table(
        ("rule", "says", "severity", "judged by"),
        (
            (f"`{r.name}`", r.description, r.severity, "Python" if r.kind == "python" else "SQL")
            for r in rules
        ),
    )
    parts = [*intro, "## Columns", column_table, "## Rules", rule_table]
    return "\n\n".join(parts) + "\n"


def _role(column: Column) -> str:
    roles = [
        *(["key"] if column.key else []),
        *(["event time"] if column.event_time else []),
        *(["cursor"] if column.cursor else []),
        *([f"pii: {column.pii}"] if column.pii else []),
        *(["references " + ".".join(column.references)] if column.references else []),
    ]
    return ", ".join(roles)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(c) for c in line) + " |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|")


def _source(column: Column) -> str:
    if column.sources == (column.name,):
        return ""
    former = "".join(f", formerly `{name}`" for name in column.former)
    return f" (source: `{column.source}`{former})"
