"""What a contract demands as JSON that can be kept, and what differs between two of them.

Belongs here: the description that a lake keeps of every version, and its comparison. Does not
belong here: what follows for tables and partitions (``pipeline.contract_plan``).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from platform_assets.contracts.compile import CompiledContract, check_source
from platform_assets.contracts.pii import published_type

_COLUMN = (
    "sources", "sql_type", "published", "nullable", "key", "event_time", "cursor", "severity",
    "pii", "references", "format",
)  # fmt: skip
_RULE = ("kind", "severity", "columns", "violation", "references", "check")
_WORDS = {
    "sources": "name at the source",
    "sql_type": "type",
    "published": "type in the table",
    "event_time": "event time",
    "pii": "personal data",
}

Described = Mapping[str, Any]


@dataclass(frozen=True)
class ContractChange:
    """One difference between two versions of a contract.

    Attributes:
        subject: The column or rule.
        text: What differs.
        judged: Whether verdicts or values follow from it; a text for people has no effect.
    """

    subject: str
    text: str
    judged: bool = True


def describe(compiled: CompiledContract) -> str:
    """A contract as JSON: all that a later version is compared with.

    Args:
        compiled: The contract.

    Returns:
        JSON; equal contracts give equal texts.
    """
    columns = {
        c.name: {
            "sources": list(c.sources),
            "sql_type": c.sql_type,
            "published": published_type(c),
            "nullable": c.nullable,
            "key": c.key,
            "event_time": c.event_time,
            "cursor": c.cursor,
            "severity": c.severity,
            "pii": c.pii,
            "references": ".".join(c.references) if c.references else None,
            "format": c.format,
            "description": c.description,
        }
        for c in compiled.columns
    }
    rules = {
        r.name: {
            "kind": r.kind,
            "severity": r.severity,
            "columns": list(r.columns),
            "violation": r.violation,
            "references": ".".join(r.references) if r.references else None,
            "check": check_source(r) if r.check is not None else None,
            "description": r.description,
        }
        for r in compiled.rules
    }
    described = {"description": compiled.description, "columns": columns, "rules": rules}
    return json.dumps(described, ensure_ascii=True, separators=(",", ":"))


def renamed_columns(old: str, new: str) -> dict[str, str]:
    """New names of columns by their old ones: one is gone, and its source's column has another.

    Args:
        old: A contract as JSON.
        new: A later one.
    """
    before, after = json.loads(old)["columns"], json.loads(new)["columns"]
    renamed = {}
    for name in (each for each in after if each not in before):
        for gone in (each for each in before if each not in after and each not in renamed):
            same = _folded(before[gone]["sources"]) & _folded(after[name]["sources"])
            if same and all(before[gone][k] == after[name][k] for k in ("published", "pii")):
                renamed[gone] = name
                break
    return renamed


def differences(old: str, new: str) -> list[ContractChange]:
    """What differs between two versions of a contract.

    Args:
        old: A contract as JSON.
        new: A later one.
    """
    before, after = json.loads(old), json.loads(new)
    renamed = renamed_columns(old, new)
    found = [ContractChange(f"column {to}", f"renamed from {name}") for name, to in renamed.items()]
    columns = {renamed.get(name, name): each for name, each in before["columns"].items()}
    found += _of_columns(columns, after["columns"])
    known = set(columns) & set(after["columns"])
    found += _of_rules(
        {
            k: r
            for k, r in before["rules"].items()
            if {renamed.get(c, c) for c in r["columns"]} <= known
        },
        {
            k: r
            for k, r in after["rules"].items()
            if set(r["columns"]) <= known - {*renamed.values()}
        },
        {*renamed},
    )
    if before["description"] != after["description"]:
        found.append(ContractChange("contract", "another description", judged=False))
    return found


def _of_columns(before: Described, after: Described) -> Iterable[ContractChange]:
    for name, each in after.items():
        if name not in before:
            null = "may be null" if each["nullable"] else "not null"
            yield ContractChange(f"column {name}", f"added ({each['sql_type']}, {null})")
            continue
        for option in _COLUMN:
            was, now = before[name][option], each[option]
            # The type in the table follows from the type, and need not be told twice.
            if was != now and (
                option != "published" or before[name]["sql_type"] == each["sql_type"]
            ):
                word = _WORDS.get(option, option)
                yield ContractChange(f"column {name}", f"{word}: {_told(was)} → {_told(now)}")
        if before[name]["description"] != each["description"]:
            yield ContractChange(f"column {name}", "another description", judged=False)
    for name in before:
        if name not in after:
            yield ContractChange(f"column {name}", "removed")


def _of_rules(before: Described, after: Described, renamed: set[str]) -> Iterable[ContractChange]:
    for name, each in after.items():
        if name not in before:
            yield ContractChange(f"rule {name}", f"added: {each['description']}")
        elif any(before[name][part] != each[part] for part in _RULE):
            was, now = before[name]["description"], each["description"]
            told = f"{was} → {now}" if was != now else f"{now}: checked otherwise"
            yield ContractChange(f"rule {name}", told)
    for name, each in before.items():
        if name not in after and not renamed & set(each["columns"]):
            yield ContractChange(f"rule {name}", "removed")


def _folded(names: Iterable[str]) -> set[str]:
    """Names as the engine compares them."""
    return {name.lower() for name in names}


def _told(value: object) -> str:
    if isinstance(value, list):
        return " or ".join(map(str, value))
    return {None: "none", True: "yes", False: "no"}.get(value, str(value))  # type: ignore[call-overload,no-any-return] # any JSON value
