"""A proposal as a dataset module, in the style of ``platform_assets/datasets``.

Belongs here: Python text, laid out as ``ruff format`` leaves it. Does not belong here: what is
proposed.
"""

from __future__ import annotations

import keyword
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from platform_assets.partitions import Daily
from platform_assets.scaffold.proposal import Proposal, ProposedColumn

WIDTH = 100
_INDENT = " " * 4
_ROLES = {"key": "Key", "event_time": "EventTime"}
_TAKEN = {"annotations", "date", "datetime", "Decimal", "str", "int", "float", "bool"}
_IMPORTED = {"Contract", "Dataset", "Daily", "Decimal", "EventTime", "Field", "Key"}


@dataclass(frozen=True)
class Code:
    """Python that is written as it is, such as ``date(2025, 1, 1)``."""

    text: str


@dataclass(frozen=True)
class ModuleOptions:
    """What a module says besides the contract.

    Attributes:
        source: Module and class of the source, as ``module:Class``.
        argument: Its first argument: a path or a table.
        connection: Name of its connection.
        options: Its further arguments.
    """

    source: str
    argument: str
    connection: str
    options: Mapping[str, object] = field(default_factory=dict)


def render_module(proposal: Proposal, options: ModuleOptions) -> str:
    """The text of a dataset's module.

    Args:
        proposal: What is proposed.
        options: What the module says besides.
    """
    module, _, source_class = options.source.partition(":")
    row = _class_name(proposal.dataset, {*_IMPORTED, source_class})
    variable = proposal.dataset
    if keyword.iskeyword(variable) or variable in _TAKEN:
        variable += "_dataset"
    body: list[str] = []
    for column in proposal.columns:
        body += _field(column)
    for name, why in proposal.left_out.items():
        body += _comment(f"left out: {name!a}, as {why}", _INDENT)
    declared: dict[str, object] = {
        "name": proposal.dataset,
        "contract": Code(row),
        "source": Code(
            _call(
                source_class,
                {"": options.argument, "connection": options.connection, **options.options},
                _INDENT,
                f"{_INDENT}source=",
            )
        ),
    }
    daily = proposal.partitions if isinstance(proposal.partitions, Daily) else None
    if daily:
        start = daily.start
        declared["partitions"] = Code(
            f"Daily(start=date({start.year}, {start.month}, {start.day}))"
        )
    parts = [
        f'"""{proposal.dataset.replace("_", " ").capitalize()}: say here in a sentence what a row '
        'is."""',
        "",
        "from __future__ import annotations",
        "",
        *_imports(proposal, module, source_class, daily=daily is not None),
        "",
        "",
        f"class {row}(Contract):",
        f'{_INDENT}"""Proposed by `platform-assets datasets scaffold`: to be read by a person."""',
        "",
        *_comment(f"Seen: {proposal.told}.", _INDENT),
        *body,
        "",
        "",
        _call("Dataset", declared, "", f"{variable} = ", explode=True, prefixed=True),
    ]
    return "\n".join(parts) + "\n"


def _class_name(dataset: str, taken: set[str]) -> str:
    from platform_assets.scaffold.propose import singular

    name = "".join(part.capitalize() for part in singular(dataset).split("_"))
    return f"{name}Row" if name in taken or keyword.iskeyword(name) else name


def _imports(proposal: Proposal, module: str, source_class: str, *, daily: bool) -> list[str]:
    types = {column.type for column in proposal.columns}
    days = sorted((types & {"date", "datetime"}) | ({"date"} if daily else set()))
    lines = [f"from datetime import {', '.join(days)}"] if days else []
    if "Decimal" in types:
        lines.append("from decimal import Decimal")
    called = sorted({"Contract", *(_ROLES.get(c.role, "Field") for c in proposal.columns)})
    lines += [
        *([""] if lines else []),
        f"from platform_assets.contracts import {', '.join(called)}",
        "from platform_assets.dataset import Dataset",
    ]
    if daily:
        lines.append("from platform_assets.partitions import Daily")
    return [*lines, f"from {module} import {source_class}"]


def _field(column: ProposedColumn) -> list[str]:
    arguments: dict[str, object] = {}
    if column.source != column.name:
        arguments["source"] = column.source
    if column.nullable:
        arguments["nullable"] = True
    arguments |= dict(column.checks)
    if column.decimal:
        arguments["decimal"] = column.decimal
    if column.format:
        arguments["format"] = column.format
    if column.references:
        arguments["references"] = column.references
    if column.role == "cursor":
        arguments["cursor"] = True
    if column.pii:
        arguments["pii"] = column.pii
    head = f"{_INDENT}{column.name}: {column.type} = "
    call = _call(_ROLES.get(column.role, "Field"), arguments, _INDENT, head)
    return [*_comment("; ".join(column.evidence) + ".", _INDENT), head + call]


def _comment(text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=f"{indent}# ",
        subsequent_indent=f"{indent}# ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _call(
    name: str,
    arguments: Mapping[str, object],
    indent: str,
    head: str,
    *,
    explode: bool = False,
    prefixed: bool = False,
) -> str:
    """A call; on one line where it fits behind its head, else an argument a line."""
    items = [(f"{key}=" if key else "", value) for key, value in arguments.items()]
    return (head if prefixed else "") + _laid_out(
        f"{name}(", items, ")", indent, len(head), explode=explode
    )


def _laid_out(
    opening: str,
    items: Sequence[tuple[str, object]],
    closing: str,
    indent: str,
    taken: int,
    *,
    explode: bool = False,
) -> str:
    line = opening + ", ".join(key + _one_line(value) for key, value in items) + closing
    # One more for the comma behind it.
    if not items or (not explode and taken + len(line) + 1 <= WIDTH and "\n" not in line):
        return line
    deeper = indent + _INDENT
    lines = [f"{deeper}{key}{_value(value, deeper, len(deeper + key))}," for key, value in items]
    return "\n".join([opening, *lines, indent + closing])


def _value(value: object, indent: str, taken: int) -> str:
    if isinstance(value, list):
        return _laid_out("[", [("", each) for each in value], "]", indent, taken)
    if isinstance(value, dict):
        items = [(f"{_one_line(key)}: ", each) for key, each in value.items()]
        return _laid_out("{", items, "}", indent, taken)
    return _one_line(value)


def _one_line(value: object) -> str:
    if isinstance(value, Code):
        return value.text
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list):
        return f"[{', '.join(_one_line(each) for each in value)}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_one_line(k)}: {_one_line(v)}' for k, v in value.items())}}}"
    return repr(value)


def _text(value: str) -> str:
    """A string as the formatter quotes it: double quotes, unless single ones escape less."""
    quote = "'" if value.count('"') > value.count("'") else '"'
    if "\\" in value and value.isprintable() and quote not in value and not value.endswith("\\"):
        return f"r{quote}{value}{quote}"
    inner = repr(value + ('"' if quote == "'" else "'"))[1:-2]
    # `repr` has chosen the quote that the added one is not, and escaped it only where both occur.
    if quote == '"':
        inner = inner.replace("\\'", "'").replace('\\"', '"').replace('"', '\\"')
    else:
        inner = inner.replace('\\"', '"').replace("\\'", "'").replace("'", "\\'")
    return f"{quote}{inner}{quote}"
