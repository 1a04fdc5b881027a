"""A promise of freshness as plain values: in YAML, in a dbt project, in an asset's metadata.

Belongs here: writing and reading them. Does not belong here: what they mean (``promise``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import date, timedelta
from typing import Any

from platform_assets.documents.spans import EXPECTED, read_span, write_span
from platform_assets.errors import ContractError
from platform_assets.quality.policy import Calendar, Event
from platform_assets.quality.promise import SPANS, Freshness, refused


def told(promise: Freshness) -> dict[str, Any]:
    """A promise as plain values, which ``read`` understands; what is usual is left out.

    Args:
        promise: The promise.
    """
    found: dict[str, Any] = {}
    for each in fields(promise):
        value = getattr(promise, each.name)
        if each.name == "calendar":
            if value != Calendar():
                found["calendar"] = _calendar_told(value)
        elif value != each.default:
            found[each.name] = write_span(value) if isinstance(value, timedelta) else value
    return found


def read(values: object, where: str) -> Freshness:
    """The promise that plain values tell, as a dbt project has them.

    Args:
        values: A mapping with the names of ``Freshness``; spans of time are like ``2h`` or ``30m``.
        where: Where they are, for a message.

    Raises:
        ContractError: They tell none.
    """
    if not isinstance(values, Mapping):
        raise _located(
            where, refused("", "a mapping", type(values).__name__, "write by: or within:")
        )
    known = [each.name for each in fields(Freshness)]
    unknown = [str(name) for name in values if name not in known]
    if unknown:
        refusal = refused(unknown[0], "one of " + ", ".join(known), unknown[0], "correct the name")
        raise _located(where, refusal)
    try:
        told: dict[str, Any] = {
            name: (
                span_of(value, name)
                if name in SPANS
                else _calendar_of(value)
                if name == "calendar"
                else value
            )
            for name, value in values.items()
            if value is not None
        }
        return Freshness(**told)
    except ContractError as error:
        raise _located(where, error) from None
    except (LookupError, TypeError, ValueError, AttributeError):
        refusal = refused(
            "", "texts, and a calendar of holidays and events", "others", "correct them"
        )
        raise _located(where, refusal) from None


def span_of(text: object, where: str) -> timedelta:
    """The span of time that a text tells.

    Args:
        text: A number and a unit.
        where: The name of the value, for a message.

    Raises:
        ContractError: It tells none.
    """
    found = read_span(str(text))
    if found is None:
        raise refused(where, f"{EXPECTED}, such as 2h", str(text), "correct it")
    return found


def _calendar_told(calendar: Calendar) -> dict[str, Any]:
    return {
        "holidays": calendar.holidays,
        "events": [
            {"name": e.name, "first": str(e.first), "last": str(e.last or e.first)}
            for e in calendar.events
        ],
    }


def _calendar_of(values: Mapping[str, Any]) -> Calendar:
    def day(value: object) -> date:
        return date.fromisoformat(str(value))

    unknown = sorted(values.keys() - {"holidays", "events"})
    if unknown:
        raise refused(
            f"calendar, {unknown[0]}", "holidays or events", unknown[0], "correct the name"
        )
    return Calendar(
        holidays=values.get("holidays"),
        events=[
            Event(each["name"], day(each["first"]), day(each.get("last") or each["first"]))
            for each in values.get("events") or ()
        ],
    )


def _located(where: str, error: ContractError) -> ContractError:
    return ContractError(
        error.what,
        where=f"{where}, {error.where}",
        expected=error.expected,
        found=error.found,
        fix=error.fix,
    )
