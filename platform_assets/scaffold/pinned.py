"""A proposal as a pinned contract: the YAML that an inferred entry is held to.

Belongs here: the text. Does not belong here: reading it (``declared``), what is proposed.
"""

from __future__ import annotations

import textwrap

import yaml

from platform_assets.scaffold.proposal import Proposal, ProposedColumn

WIDTH = 100


def render_pinned(proposal: Proposal, identity: str) -> str:
    """The text of a pinned contract's file.

    Args:
        proposal: What is proposed.
        identity: What it is pinned for; see ``declared.pins``.
    """
    lines = [
        *_comment(
            f"The contract of {proposal.dataset}, proposed from {proposal.told}, then pinned: "
            "change it as you like. It changes by itself only with "
            f"`platform-assets datasets infer {proposal.dataset}`.",
            "",
        ),
        f"source: {_scalar(identity)}",
        "columns:",
    ]
    for column in proposal.columns:
        lines += _comment("; ".join(column.evidence), "  ")
        lines.append(f"  {_scalar(column.name)}: {_column(column)}")
    for name, why in proposal.left_out.items():
        lines += _comment(f"left out: {name!a}, as {why}", "  ")
    return "\n".join(lines) + "\n"


def _column(column: ProposedColumn) -> str:
    told: dict[str, object] = {
        "type": f"decimal({column.decimal[0]}, {column.decimal[1]})"
        if column.decimal
        else column.type
    }
    if column.source != column.name:
        told["source"] = column.source
    if column.nullable:
        told["nullable"] = True
    if column.role:
        told[column.role] = True
    told |= dict(column.checks)
    for name in ("format", "references", "pii"):
        if getattr(column, name):
            told[name] = getattr(column, name)
    return _flow(told)


def _flow(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_scalar(k)}: {_flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_flow(each) for each in value) + "]"
    return _scalar(value)


def _scalar(value: object) -> str:
    """A scalar, quoted wherever YAML would read something else than what it says."""
    if isinstance(value, str) and not (value.isidentifier() and yaml.safe_load(value) == value):
        text: str = yaml.safe_dump(value, default_style='"', width=10**9, allow_unicode=True)
        return text.strip()
    return str(yaml.safe_dump(value, width=10**9)).removesuffix("...\n").strip()


def _comment(text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=f"{indent}# ",
        subsequent_indent=f"{indent}# ",
        break_long_words=False,
        break_on_hyphens=False,
    )
