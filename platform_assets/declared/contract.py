"""A contract written in YAML: columns in, a class like one written in Python out.

Belongs here: the columns' keys and how their values become typed. Does not belong here: what a
contract may say (``contracts`` compiles it and refuses what contradicts itself).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any, Literal

from pydantic import Field as ModelField
from pydantic import create_model

from platform_assets.contracts import Contract, Field
from platform_assets.documents.checking import Strict, checked, mapping_at
from platform_assets.documents.document import Document, Place, shown
from platform_assets.errors import ContractError

TYPES: dict[str, type] = {t.__name__: t for t in (str, int, float, bool, date, datetime)}
_DECIMAL = re.compile(r"[Dd]ecimal\(\s*(\d{1,3})\s*,\s*(\d{1,3})\s*\)")
_TYPE_NAMES = ", ".join([*TYPES, "decimal(18, 2)"])
SINGLE = ("eq", "ne", "gt", "ge", "lt", "le")
LISTS = ("isin", "notin")
TEXTS = ("str_matches", "str_contains", "str_startswith", "str_endswith")
CHECKS = (*SINGLE, *LISTS, "in_range", *TEXTS, "str_length")
"""The checks that a column may have, in the order in which they are written."""
FLAGS = ("key", "event_time", "cursor")


class ColumnOptions(Strict):
    """What a column says besides its checks; the keys are those of ``Field``."""

    type: str
    source: str | None = None
    nullable: bool = False
    unique: bool = False
    key: bool = False
    event_time: bool = False
    cursor: bool = False
    severity: Literal["error", "warn", "info"] = "error"
    pii: Literal["hash", "mask", "drop"] | None = None
    references: str | None = None
    format: str | None = None
    description: str = ""


_CHECK_FIELDS: dict[str, Any] = {name: (Any, ModelField(default=None)) for name in CHECKS}
_ColumnModel: type[ColumnOptions] = create_model(
    "ColumnModel", __base__=ColumnOptions, **_CHECK_FIELDS
)


class ContractOptions(Strict):
    """A contract: its columns, and what holds of several together."""

    columns: dict[str, Any]
    description: str = ""
    unique: list[str] = ModelField(default_factory=list)
    source: str = ""


def contract_class(
    document: Document,
    place: Place,
    name: str,
    flags: Mapping[str, tuple[str, ...]] | None = None,
) -> type[Contract]:
    """The class of a contract that a document describes.

    Args:
        document: The document.
        place: Where the contract's mapping is in it.
        name: The dataset's name, which the class is called after.
        flags: Columns that the entry names as ``key``, ``event_time`` or ``cursor``; they count
            instead of what the columns say of it.

    Raises:
        ContractError: A column cannot be understood.
        SettingsError: There is no mapping.
    """
    mapping_at(document, place, "A contract")
    options = checked(document, place, ContractOptions, kind=ContractError)
    annotations: dict[str, type] = {}
    fields: dict[str, object] = {}
    if not options.columns:
        raise document.error(
            ContractError,
            "A contract has no columns",
            (*place, "columns"),
            expected="at least one column",
            found="none",
            fix="write one, such as `order_id: str`, or `contract: infer`",
        )
    for column in options.columns:
        here = (*place, "columns", column)
        if column in dir(Contract) or column.startswith("_"):
            raise document.error(
                ContractError,
                "A column cannot be called so",
                here,
                expected="a name that begins with a letter and is none of a contract's own",
                found=column,
                fix=f"call it {column.strip('_') or 'column'}_ and say what the source calls it: "
                "`source:`",
                key=True,
            )
        annotations[column], fields[column] = _column(document, here, flags)
    body: dict[str, object] = {
        "__annotations__": annotations,
        "__doc__": options.description or f"{name}, as {document.file.name} describes it.",
        "__module__": __name__,
        **fields,
    }
    if options.unique:
        body["Config"] = type("Config", (), {"unique": options.unique})
    made: type[Contract] = type(class_name(name), (Contract,), body)
    return made


def class_name(dataset: str) -> str:
    """What the class of a dataset's contract is called: ``order_lines`` → ``OrderLines``."""
    return "".join(part.capitalize() for part in dataset.split("_"))


def _column(
    document: Document, place: Place, flags: Mapping[str, tuple[str, ...]] | None
) -> tuple[type, object]:
    value = document.at(place)
    given = {"type": value} if isinstance(value, str) else value
    if not isinstance(given, dict):
        raise document.error(
            ContractError,
            "A column is neither a type nor a mapping",
            place,
            expected=f"a type ({_TYPE_NAMES}), or a mapping with `type:`",
            found=shown(value),
            fix=f"write `{place[-1]}: str`",
        )
    column = checked(document, place, _ColumnModel, values=given, kind=ContractError)
    type_place = place if isinstance(value, str) else (*place, "type")
    python, decimal = _type(document, type_place, column.type)
    checks: dict[str, Any] = {
        name: _check(document, (*place, name), name, python) for name in CHECKS if name in given
    }
    told: dict[str, Any] = column.model_dump(include=set(ColumnOptions.model_fields) - {"type"})
    for flag, names in (flags or {}).items():
        told[flag] = place[-1] in names
        if flag == "key" and told[flag]:
            # What the entry names is the identity, whatever a sample made of it.
            told["nullable"] = False
    return python, Field(decimal=decimal, **told, **checks)


def _type(document: Document, place: Place, text: str) -> tuple[type, tuple[int, int] | None]:
    decimal = _DECIMAL.fullmatch(text)
    if decimal is not None:
        return Decimal, (int(decimal[1]), int(decimal[2]))
    if text in TYPES:
        return TYPES[text], None
    raise document.error(
        ContractError,
        "A column's type is not one that a contract knows",
        place,
        expected=f"one of {_TYPE_NAMES}",
        found=text,
        fix="give a decimal its precision and scale: decimal(18, 2)"
        if text.lower().startswith("decimal")
        else "use one of these; text is str",
    )


def _check(document: Document, place: Place, check: str, python: type) -> object:
    if check in SINGLE:
        return _typed(document, place, python)
    if check in LISTS:
        if not isinstance(document.at(place), list):
            raise _wrong(document, place, "a list of values", f"write {check}: [a, b]")
        values = document.at(place)
        assert isinstance(values, list)
        return [_typed(document, (*place, n), python) for n in range(len(values))]
    if check in TEXTS:
        return _typed(document, place, str)
    if check == "in_range":
        return _bounds(document, place, ("min_value", "max_value"), python, required=True)
    value = document.at(place)
    if isinstance(value, int):
        return _typed(document, place, int)
    return _bounds(document, place, ("min_value", "max_value"), int, required=False)


def _bounds(
    document: Document, place: Place, names: tuple[str, str], python: type, *, required: bool
) -> dict[str, object]:
    value = document.at(place)
    wanted = "a mapping with min_value and max_value"
    if not isinstance(value, dict) or not value or (required and set(value) != set(names)):
        raise _wrong(document, place, wanted, "write {min_value: 1, max_value: 9}")
    for name in value:
        if name not in names:
            raise document.unknown(ContractError, "There is no such bound", (*place, name), names)
    return {name: _typed(document, (*place, name), python) for name in value}


def _wrong(document: Document, place: Place, expected: str, fix: str) -> ContractError:
    return document.error(
        ContractError,
        "The argument of a check is of the wrong form",
        place,
        expected=expected,
        found=shown(document.at(place)),
        fix=fix,
    )


def _as_decimal(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool):
        return Decimal(value)
    return value if isinstance(value, Decimal) else None


def _as_float(value: object) -> object:
    if isinstance(value, Decimal):
        return float(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _as_datetime(value: object) -> object:
    if isinstance(value, datetime):
        # Columns hold UTC without saying so.
        return value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
    return datetime.combine(value, time.min) if isinstance(value, date) else None


_CONVERT: dict[type, Callable[[object], object]] = {
    str: lambda v: v if isinstance(v, str) else None,
    int: lambda v: v if isinstance(v, int) and not isinstance(v, bool) else None,
    bool: lambda v: v if isinstance(v, bool) else None,
    float: _as_float,
    Decimal: _as_decimal,
    date: lambda v: v if isinstance(v, date) and not isinstance(v, datetime) else None,
    datetime: _as_datetime,
}


def _typed(document: Document, place: Place, python: type) -> object:
    value = _CONVERT[python](document.at(place))
    if value is None:
        raise _wrong(
            document,
            place,
            f"a {python.__name__}, as the column is",
            "put it in quotes: YAML reads a bare yes, no, on, off, date or number as what it is"
            if python is str
            else f"write it as a {python.__name__}, without quotes",
        )
    return value
