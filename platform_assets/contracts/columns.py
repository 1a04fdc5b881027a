"""From a contract's fields to examined columns; every mistake in a single column ends here.

Belongs here: `Column` and what makes one valid. Does not belong here: checks and rules
(`checks.py`, `rules.py`) or SQL.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, get_args

from pandera.api.dataframe.model_components import FieldInfo
from pandera.errors import SchemaInitError
from pandera.typing import AnnotationInfo

from platform_assets.contracts import formats
from platform_assets.contracts.fields import OPTIONS_KEY, FieldOptions, Pii, Severity
from platform_assets.contracts.types import MAX_PRECISION, NAMES, ColumnType, column_type
from platform_assets.errors import ContractError

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_REFERENCE = re.compile(r"([A-Za-z]\w*)\.([A-Za-z]\w*)", re.ASCII)


@dataclass(frozen=True)
class Column:
    """One column of a dataset, as its contract declares it."""

    name: str
    source: str
    type: ColumnType
    nullable: bool
    key: bool
    event_time: bool
    cursor: bool
    severity: Severity
    pii: Pii | None
    references: tuple[str, str] | None
    """Dataset and column that hold every value of this one."""
    format: str | None
    description: str
    former: tuple[str, ...] = ()
    """Names that the source gave it before, and that older deliveries still have."""

    @property
    def sources(self) -> tuple[str, ...]:
        """Every name that the source may have for it, the present one first."""
        return (self.source, *self.former)

    @property
    def sql_type(self) -> str:
        """The engine's type of the typed value."""
        return self.type.sql


@dataclass(frozen=True)
class Place:
    """Where in a contract the compiler is looking, for its errors."""

    contract: str
    dataset: str
    column: str = ""

    def error(self, what: str, *, expected: str, found: str, fix: str) -> ContractError:
        """Make the error that names this place.

        Args:
            what: What is wrong, in a sentence.
            expected: What would be right.
            found: What was written instead.
            fix: What to do, in the imperative.

        Returns:
            The error, to be raised.
        """
        where = f"contract {self.contract}"
        where += f", dataset {self.dataset}" if self.dataset else ""
        where += f", column {self.column}" if self.column else ""
        return ContractError(what, where=where, expected=expected, found=found, fix=fix)


def options_of(field: FieldInfo) -> FieldOptions:
    """Read the platform's options of a field.

    Args:
        field: A field of a contract; pandera's own `Field` is allowed and has none.

    Returns:
        The options as they were written.
    """
    found = (field.metadata or {}).get(OPTIONS_KEY)
    return found if isinstance(found, FieldOptions) else FieldOptions()


def describe_columns(contract: type[Any], dataset: str) -> tuple[Column, ...]:
    """Examine every field of a contract.

    Args:
        contract: A subclass of `Contract`.
        dataset: The dataset's name, for errors.

    Returns:
        The columns, in the order of their declaration.

    Raises:
        ContractError: A field, or the fields together, cannot be compiled.
    """
    place = Place(contract.__name__, dataset)
    try:
        fields = contract.__fields__
    except (SchemaInitError, NameError, TypeError) as error:
        raise place.error(
            "The fields of the contract cannot be read.",
            expected="name: type = Field(...)",
            found=str(error),
            fix="Correct the annotation, and import at module level what it names.",
        ) from error
    hidden = [n for base in contract.__mro__ for n in vars(base).get("__annotations__", {})]
    for name in hidden:
        if name.startswith("_") and not name.startswith("__"):
            raise _reserved(Place(place.contract, dataset, name), name)
    columns = tuple(
        _column(Place(place.contract, dataset, field.original_name), _annotation(info), field)
        for info, field in fields.values()
    )
    _examine_together(place, columns)
    return columns


def _column(place: Place, annotation: object, field: FieldInfo) -> Column:
    options = options_of(field)
    if options.problem:
        raise place.error(
            "A check of the column cannot be built.",
            expected="arguments that pandera's Field accepts",
            found=f"{options.pandera!r}: {options.problem}",
            fix="Correct the check's arguments.",
        )
    _examine_name(place, field, options)
    type_ = _type(place, annotation, options)
    _examine_options(place, type_, field, options)
    reference = None
    if options.references is not None:
        match = _REFERENCE.fullmatch(options.references)
        if match is None:
            raise place.error(
                "The reference does not name a column of a dataset.",
                expected='references="dataset.column"',
                found=repr(options.references),
                fix="Write the dataset's name, a dot and its column's name.",
            )
        reference = (match[1], match[2])
    return Column(
        name=place.column,
        source=_sources(place, options)[0],
        type=type_,
        nullable=field.nullable,
        key=options.key,
        event_time=options.event_time,
        cursor=options.cursor,
        severity=options.severity,  # type: ignore[arg-type]  # examined above
        pii=options.pii,  # type: ignore[arg-type]  # examined above
        references=reference,
        format=options.format,
        description=" ".join((field.description or "").split()),
        former=_sources(place, options)[1:],
    )


def _sources(place: Place, options: FieldOptions) -> tuple[str, ...]:
    if options.source is None:
        return (place.column,)
    return (options.source,) if isinstance(options.source, str) else tuple(options.source)


def _annotation(info: AnnotationInfo) -> object:
    # pandera unwraps `int | None`, which to it means that the whole column may be missing.
    return f"{_spelled(info.raw_annotation)} | None" if info.optional else info.raw_annotation


def _reserved(place: Place, name: str) -> ContractError:
    return place.error(
        "The name is reserved.",
        expected="a name that begins with a letter (a leading underscore is the platform's)",
        found=name,
        fix='Rename it; if the source calls it so, load it under another name with source="...".',
    )


def _examine_name(place: Place, field: FieldInfo, options: FieldOptions) -> None:
    if not _NAME.fullmatch(place.column) or field.alias is not None:
        raise place.error(
            "The column's name cannot be used in SQL and in rule names.",
            expected="ASCII letters, digits and underscores, beginning with a letter; no alias",
            found=place.column,
            fix='Rename the field, and say what the source calls it with source="...".',
        )
    for source in _sources(place, options) or ("",):
        if source.startswith("_"):
            raise _reserved(place, source)
        if not source or "\0" in source:
            raise place.error(
                "The source column has no usable name.",
                expected="the column's name in the source",
                found=repr(options.source),
                fix='Give source="..." the name that the source uses.',
            )
    altering = [
        name
        for name, used in (
            ("regex", field.regex),
            ("default", field.default is not None),
            ("required=False", not field.required),
            ("coerce", field.coerce),
        )
        if used
    ]
    if altering:
        raise place.error(
            "A pandera option would change the data, or the columns, behind the contract's back.",
            expected="options that only describe a column that is always there",
            found=altering[0],
            fix="Remove the option.",
        )


def _type(place: Place, annotation: object, options: FieldOptions) -> ColumnType:
    if annotation is Decimal:
        _examine_decimal(place, options.decimal)
    elif options.decimal is not None:
        raise place.error(
            "decimal= belongs to Decimal columns.",
            expected="an annotation Decimal, or no decimal=",
            found=f"{_spelled(annotation)} with decimal={options.decimal!r}",
            fix="Annotate the column as Decimal or remove decimal=.",
        )
    type_ = column_type(annotation, options.decimal)
    if type_ is None:
        raise place.error(
            "The column's type is not one that a contract knows.",
            expected=f"one of {NAMES}",
            found=_spelled(annotation),
            fix="Use one of these; for a column with nulls, Field(nullable=True).",
        )
    return type_


def _spelled(annotation: object) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)


def _examine_decimal(place: Place, decimal: object) -> None:
    if (
        isinstance(decimal, tuple)
        and [type(n) for n in decimal] == [int, int]
        and 0 <= decimal[1] <= decimal[0] <= MAX_PRECISION
        and decimal[0] > 0
    ):
        return
    raise place.error(
        "A Decimal column needs its precision and scale.",
        expected=f"decimal=(p, s) with 1 <= p <= {MAX_PRECISION} and 0 <= s <= p",
        found="no decimal=" if decimal is None else f"decimal={decimal!r}",
        fix="Add decimal=(18, 2), or what the money at hand needs.",
    )


def _examine_options(
    place: Place, type_: ColumnType, field: FieldInfo, options: FieldOptions
) -> None:
    def refuse(what: str, expected: str, found: str, fix: str) -> None:
        raise place.error(what, expected=expected, found=found, fix=fix)

    for name, value, allowed in (
        ("severity", options.severity, get_args(Severity)),
        ("pii", options.pii, (None, *get_args(Pii))),
    ):
        if value not in allowed:
            refuse(
                f"The {name} is unknown.",
                f"{name} one of {', '.join(map(str, allowed))}",
                repr(value),
                f"Correct {name}=.",
            )
    if options.key and (field.nullable or options.severity != "error"):
        refuse(
            "A key must identify every row.",
            "nullable=False and severity error",
            f"nullable={field.nullable}, severity={options.severity}",
            "Remove nullable=True and severity= from the key.",
        )
    if options.pii == "drop" and (options.key or options.event_time):
        refuse(
            "The platform needs the column in the cleaned layer.",
            "a key or event time that is kept (hash and mask are kept)",
            'pii="drop"',
            'Use pii="hash", or another column as key or event time.',
        )
    if options.event_time and (type_.python not in (date, datetime) or options.pii):
        refuse(
            "The event time cannot be told.",
            "a date or datetime column without pii=",
            f"{type_.python.__name__}, pii={options.pii}",
            "Annotate the column as datetime or date, and do not declare it pii.",
        )
    if options.format is not None:
        timed = type_.python is datetime
        found = (
            formats.problem(options.format, with_time=timed)
            if type_.python in (date, datetime)
            else f"a {type_.python.__name__} column"
        )
        if found is not None:
            refuse(
                "The format cannot be read exactly.",
                "a date or datetime with year, month and day, of %Y %y %m %b %B %d %H %I %p %M %S"
                " %f, each once",
                f"{options.format!r}: {found}",
                "Change format=, or declare the column as str and convert it later.",
            )


def _examine_together(place: Place, columns: tuple[Column, ...]) -> None:
    if not columns:
        raise place.error(
            "The contract has no columns.",
            expected="at least one field",
            found="none",
            fix="Add a field: name: type = Field(...).",
        )
    # The engine compares names without regard to case.
    for what, names in (
        ("name", [c.name for c in columns]),
        ("source column", [name for c in columns for name in c.sources]),
    ):
        folded = [name.lower() for name in names]
        twice = [n for n in names if folded.count(n.lower()) > 1]
        if twice:
            raise place.error(
                f"Two columns have one {what}.",
                expected=f"every {what} once, upper and lower case being the same",
                found=", ".join(twice),
                fix="Rename or remove one of them.",
            )
    for what, chosen in (
        ("event time", [c.name for c in columns if c.event_time]),
        ("cursor", [c.name for c in columns if c.cursor]),
    ):
        if len(chosen) > 1:
            raise place.error(
                f"The contract has two columns as {what}.",
                expected=f"one {what} at most",
                found=", ".join(chosen),
                fix="Decide for one of them.",
            )
