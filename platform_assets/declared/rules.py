"""``rules:`` of an entry: what is done about single rules, in YAML.

Belongs here: the keys, and policies made of them. Does not belong here: what a policy may say
(``contracts.policies``).
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Literal

from platform_assets.contracts import RulePolicy
from platform_assets.documents.checking import Strict
from platform_assets.documents.document import Document, Place
from platform_assets.errors import ContractError


class RuleOptions(Strict):
    """What an entry says of one rule; the keys are those of ``RulePolicy``."""

    severity: Literal["error", "warn", "info"] | None = None
    alert_above: Any = None
    block_above: Any = None


def policies(
    document: Document, place: Place, given: Mapping[str, RuleOptions]
) -> dict[str, RulePolicy]:
    """The policies of an entry.

    Args:
        document: The file.
        place: Where its ``rules:`` are.
        given: What is said of each rule.

    Raises:
        ContractError: A threshold is none.
    """
    found = {}
    for name, options in given.items():
        # What is not written has the policy's own default; a written null is never.
        written = {key: _plain(getattr(options, key)) for key in options.model_fields_set}
        try:
            found[name] = RulePolicy(**written)
        except ContractError as error:
            key = (*place, name, error.where.rpartition(", ")[2])
            raise document.error(
                ContractError,
                error.what,
                key if key in document.marks else (*place, name),
                expected=error.expected,
                found=error.found,
                fix=error.fix,
            ) from None
    return found


def _plain(value: object) -> Any:  # noqa: ANN401 # whatever was written; the policy examines it
    return float(value) if isinstance(value, Decimal) else value
