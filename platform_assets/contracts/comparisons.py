"""Rules between two columns of a row, and ready-made forms of text.

Belongs here: what a user writes of them, pandera's check of a frame, and the SQL that says the
same. Does not belong here: checks of one column against given values (``checks.py``).
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, get_args

import pandas as pd
from pandera.api.checks import Check
from pandera.api.dataframe.model_components import DATAFRAME_CHECK_KEY, CheckInfo

from platform_assets.contracts.columns import Column, Place
from platform_assets.contracts.fields import Severity
from platform_assets.sql import quote_identifier

# No bracket stands before a parenthesis: on a contract's page that would be read as a link.
_LABEL = r"(?:[A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9-]*[A-Za-z0-9])"
EMAIL = rf"[A-Za-z0-9.!#$%&'*+/=?^_`{{|}}~-]+@{_LABEL}(?:\.{_LABEL})+\Z"
"""The form of an e-mail address, for ``str_matches``: what browsers accept in an e-mail field, with
a dot in the domain. ASCII alone: an address with other letters does not match, nor do quoted local
parts, comments, or a domain of an IP address in brackets."""

# How it is written, what pandas does, and its negation in SQL.
_OPERATORS: Mapping[str, tuple[Callable[[Any, Any], Any], str]] = {
    "==": (operator.eq, "<>"),
    "!=": (operator.ne, "="),
    ">": (operator.gt, "<="),
    ">=": (operator.ge, "<"),
    "<": (operator.lt, ">="),
    "<=": (operator.le, ">"),
}
_UNORDERED = ("==", "!=")
_MOST_DIGITS = 38


@dataclass(frozen=True)
class Comparison:
    """What must hold between two columns of a row; nothing where either is null.

    Attributes:
        left: The contract's name of a column.
        operator: ``==``, ``!=``, ``<``, ``<=``, ``>`` or ``>=``.
        right: The contract's name of another.
        severity: As of a column; None: the stricter of theirs.
        description: Instead of the comparison itself.
    """

    left: str
    operator: str
    right: str
    severity: Severity | None = None
    description: str = ""

    def __call__(self, frame: pd.DataFrame) -> pd.Series:
        """Say of each row of a frame whether it holds."""
        left, right = frame[self.left], frame[self.right]
        known = (left.notna() & right.notna()).astype(bool)
        held = pd.Series(True, index=frame.index)
        compare, _ = _OPERATORS[self.operator]
        held[known] = compare(left[known], right[known]).to_numpy(dtype=bool)
        return held

    @property
    def said(self) -> str:
        """What is to be read of it."""
        return self.description or f"{self.left} {self.operator} {self.right}"

    @property
    def violation(self) -> str:
        """SQL over the typed columns: true for a row in which it does not hold."""
        left, right = quote_identifier(self.left), quote_identifier(self.right)
        return f"({left} {_OPERATORS[self.operator][1]} {right})"

    def examine(self, place: Place, columns: Mapping[str, Column]) -> None:
        """Refuse what the engine and pandas could answer differently.

        Args:
            place: The contract, for errors.
            columns: Its columns, by name.

        Raises:
            ContractError: There is no such column or operator, or the columns do not compare.
        """
        shown = f"Compare({self.left!r}, {self.operator!r}, {self.right!r})"
        unknown = [name for name in (self.left, self.right) if name not in columns]
        if unknown or self.left == self.right:
            raise place.error(
                "A comparison does not name two columns of the contract.",
                expected=f"two of {', '.join(columns)}",
                found=shown,
                fix="Correct the names.",
            )
        left, right = columns[self.left].type, columns[self.right].type
        ordered = self.operator not in _UNORDERED
        if self.operator not in _OPERATORS or (ordered and left.python is bool):
            raise place.error(
                "A comparison has an operator that its columns do not have.",
                expected=" ".join(_UNORDERED if left.python is bool else _OPERATORS),
                found=shown,
                fix="Use one of these.",
            )
        if left.python is not right.python:
            raise place.error(
                "A comparison is of columns of different types.",
                expected="one type",
                found=f"{left.python.__name__} {self.operator} {right.python.__name__}",
                fix="Annotate both columns alike.",
            )
        if left.python is Decimal:
            whole = max(left.precision - left.scale, right.precision - right.scale)
            if whole + max(left.scale, right.scale) > _MOST_DIGITS:
                raise place.error(
                    "A comparison is of decimals that no common type holds.",
                    expected=f"{_MOST_DIGITS} digits in all, before and after the point",
                    found=f"{columns[self.left].sql_type} and {columns[self.right].sql_type}",
                    fix="Give both columns one precision and scale.",
                )
        if self.severity is not None and self.severity not in get_args(Severity):
            raise place.error(
                "The severity is unknown.",
                expected=f"one of {', '.join(get_args(Severity))}",
                found=repr(self.severity),
                fix="Correct severity=.",
            )


class Compare:
    """A rule between two columns, written in a contract's body; its attribute names the rule.

    ``delivered_after_ordered = Compare("delivered_at", ">=", "ordered_at")``
    """

    def __init__(
        self,
        left: str,
        operator: str,
        right: str,
        *,
        severity: Severity | None = None,
        description: str = "",
    ) -> None:
        """Describe the rule; see ``Comparison``. It is examined with the whole contract."""
        self._comparison = Comparison(left, operator, right, severity, description)

    def __set_name__(self, owner: type, name: str) -> None:
        """Show pandera a check of that name where it looks for those of a model."""
        setattr(self, DATAFRAME_CHECK_KEY, _Named(self._comparison, name))

    # A method, to pandera: what is none would have to be a column.
    def __get__(self, instance: object, owner: type) -> Comparison:
        """The comparison."""
        return self._comparison


class _Named(CheckInfo):
    """A comparison and its name, as pandera keeps a check until it builds a schema."""

    def __init__(self, comparison: Comparison, name: str) -> None:
        super().__init__(comparison)
        self._comparison, self._name = comparison, name

    def to_check(self, model_cls: type[Any]) -> Check:
        """Make the check; nulls are the comparison's own business."""
        del model_cls
        said = self._comparison.said
        return Check(self._comparison, name=self._name, description=said, ignore_na=False)


def comparison_of(check: Check) -> Comparison | None:
    """The comparison that a check of a schema makes; None: it is another check."""
    function = check._check_fn
    return function if isinstance(function, Comparison) else None
