"""Which rows of the quarantine are meant, from the words that a person says it in.

Belongs here: reading these words, for the commands and the jobs alike. Does not belong here: the
condition that follows from them (``quarantine_work.Picked``).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta

from platform_assets.documents.spans import EXPECTED, read_span
from platform_assets.errors import SettingsError
from platform_assets.warehouse.quarantine import ACTIVE, RowStatus
from platform_assets.warehouse.quarantine_work import Picked


def picked_by(
    *,
    ids: Sequence[str] = (),
    dataset: str | None = None,
    partition: str | None = None,
    rule: str | None = None,
    run: str | None = None,
    older_than: str | None = None,
    statuses: Collection[str] = (),
    default: Sequence[RowStatus] = ACTIVE,
) -> Picked:
    """Which rows are meant.

    Args:
        ids: These; the beginning of an id is enough.
        dataset: Of this dataset.
        partition: Of this partition.
        rule: That break this rule.
        run: That this run judged last.
        older_than: That were first seen longer ago, such as ``7d``, ``12h`` or ``30m``.
        statuses: That stand there.
        default: Where they stand if nothing is said of it.

    Raises:
        SettingsError: An age or a status is none.
    """
    for each in statuses:
        if each not in {known.value for known in RowStatus}:
            raise _no_such("status", "--status", each, ", ".join(RowStatus))
    return Picked(
        tuple(ids),
        dataset,
        partition,
        rule,
        run,
        None if older_than is None else age_of(older_than, "--older-than"),
        tuple(RowStatus(each) for each in statuses) or tuple(default),
    )


def age_of(text: str, option: str) -> timedelta:
    """Read an age such as ``7d``.

    Args:
        text: A number and a unit.
        option: Where it was said.

    Raises:
        SettingsError: It is none.
    """
    found = read_span(text)
    if found is None:
        raise _no_such("age", option, text, f"{EXPECTED}, such as 7d")
    return found


def _no_such(what: str, option: str, found: str, expected: str) -> SettingsError:
    return SettingsError(
        f"An option is not {'an' if what[0] in 'aeiou' else 'a'} {what}",
        where=f"option {option} {found}",
        expected=expected,
        found=found,
        fix="correct the option",
    )
