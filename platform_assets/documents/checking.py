"""A node of a document held against a pydantic model; the first mistake as an error that points.

Belongs here: the translation of pydantic's errors. Does not belong here: any model.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from platform_assets.documents.document import Document, Place, shown
from platform_assets.errors import PlatformError, SettingsError

M = TypeVar("M", bound=BaseModel)
_UNKNOWN = "extra_forbidden"


class Strict(BaseModel):
    """A mapping that may have these keys and no other."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class FromEnvironment(Strict):
    """A value that is read from the environment when it is used: ``{env: NAME}``."""

    env: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


def mapping_at(document: Document, place: Place, what: str) -> dict[str, object]:
    """The mapping at a place.

    Args:
        document: The document.
        place: Where in it.
        what: What the mapping is, such as "A connection", for the message.

    Raises:
        SettingsError: There is something else.
    """
    value = document.at(place)
    if isinstance(value, dict):
        return value
    raise document.error(
        SettingsError,
        f"{what} is not a mapping",
        place,
        expected="a mapping of names to values",
        found="a list" if isinstance(value, list) else "nothing" if value is None else "a scalar",
        fix="write it as `name: value`, one a line, indented below it",
    )


def checked(
    document: Document,
    place: Place,
    model: type[M],
    *,
    values: dict[str, Any] | None = None,
    also: Iterable[str] = (),
    kind: type[PlatformError] = SettingsError,
    secretive: bool = False,
) -> M:
    """The node at a place as a model.

    Args:
        document: The document.
        place: Where in it; a mapping.
        model: What it must be.
        values: The mapping's keys to look at; None: all.
        also: Further names that may stand there, for the message about one that may not.
        kind: Class of the error.
        secretive: Whether a message must not show a value.

    Raises:
        PlatformError: It is not; of the class asked for.
    """
    given = document.at(place) if values is None else values
    try:
        return model.model_validate(given)
    except ValidationError as error:
        first = min(
            error.errors(include_url=False, include_input=False),
            # Of a union, the member that was understood furthest is the one that was meant.
            key=lambda e: (
                e["type"] != _UNKNOWN,
                document.line((*place, *e["loc"])),
                -len(e["loc"]),
            ),
        )
    here: Place = place
    for part in first["loc"]:
        if document.at((*here, part)) is None and part != first["loc"][-1]:
            break
        here = (*here, part)
    if first["type"] == _UNKNOWN:
        known = {*_fields_at(model, first["loc"][:-1]), *(also if len(first["loc"]) == 1 else ())}
        raise document.unknown(kind, "There is no such key", here, known)
    if first["type"] == "missing":
        raise document.error(
            kind,
            "A key is missing",
            here[:-1],
            expected=f"the key {here[-1]}",
            found="none of that name",
            fix=f"add {here[-1]}",
        )
    while document.at(here) is None and here != place:
        here = here[:-1]
    value = document.at(here)
    quotes = "string" in first["msg"] and not isinstance(value, dict | list | None)
    raise document.error(
        kind,
        "A value is of the wrong form",
        here,
        expected=first["msg"].removeprefix("Input should be ").removeprefix("Value error, "),
        found=f"a {type(value).__name__} (not shown: it may be a secret)"
        if secretive
        else shown(value),
        fix="put it in quotes" if quotes else "correct it",
    )


def _fields_at(model: type[BaseModel], loc: Iterable[int | str]) -> set[str]:
    """The keys that a nested mapping may have."""
    current: list[type[BaseModel]] = [model]
    for part in loc:
        below = [m.model_fields[str(part)] for m in current if str(part) in m.model_fields]
        found = [m for field in below for m in _models_in(field.annotation)]
        # A part of a union's name, such as the model's, leads nowhere deeper.
        current = found or current
    return {name for each in current for name in each.model_fields}


def _models_in(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]
