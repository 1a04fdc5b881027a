"""Checks that only Python can make, run by pandera over one bounded Arrow batch at a time.

Belongs here: the way from a batch of typed rows to the rows that break a rule.
Does not belong here: which rules are Python's (`rules.py`), or the size of a batch (the caller).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from pandera.api.checks import Check

from platform_assets.contracts.columns import Column, Place
from platform_assets.contracts.rules import Rule

VERDICTS = pa.schema([("_position", pa.int64()), ("rule", pa.string())])


def to_frame(columns: tuple[Column, ...], batch: pa.Table | pa.RecordBatch) -> pd.DataFrame:
    """Turn typed Arrow columns into the frame that the contract's pandera model describes.

    Args:
        columns: The contract's columns; others in the batch are left out.
        batch: Rows as the judging query types them.

    Returns:
        The frame, numbered from 0.
    """
    table = pa.Table.from_batches([batch]) if isinstance(batch, pa.RecordBatch) else batch
    frame = {c.name: c.type.series(table.column(c.name)) for c in columns}
    return pd.DataFrame(frame, index=pd.RangeIndex(table.num_rows))


def judge_batch(
    place: Place,
    columns: tuple[Column, ...],
    rules: Sequence[Rule],
    batch: pa.Table | pa.RecordBatch,
) -> pa.Table:
    """Run Python rules over a batch.

    Args:
        place: The contract, for errors.
        columns: Its columns, all of which are in the batch.
        rules: Its Python rules.
        batch: Typed rows.

    Returns:
        A row for each row that breaks a rule: `_position` in the batch, and `rule`.

    Raises:
        ContractError: A check raised, or did not answer row by row.
    """
    positions: list[npt.NDArray[np.int64]] = []
    names: list[str] = []
    if rules and batch.num_rows:
        frame = to_frame(columns, batch)
        for rule in rules:
            found = _broken(place, rule, frame)
            positions.append(found)
            names.extend([rule.name] * len(found))
    values = np.concatenate(positions) if positions else np.empty(0, dtype=np.int64)
    return pa.table([pa.array(values), pa.array(names, pa.string())], schema=VERDICTS)


def _broken(place: Place, rule: Rule, frame: pd.DataFrame) -> npt.NDArray[np.int64]:
    assert rule.check is not None
    here = Place(place.contract, place.dataset, rule.columns[0] if rule.columns else "")
    subject = frame[rule.columns[0]] if rule.columns else frame
    # pandera drops nulls and calls the function. What it would do then, listing the failing
    # values, is of no use here, and raises on an answer that holds an NA.
    # A copy: a check that writes into what it is given must not change the next one's rows.
    backend = _backend(rule.check, subject)
    judged = backend.preprocess(subject.copy(), None)
    if not len(judged):
        return np.empty(0, dtype=np.int64)
    failure = None
    try:
        passed = backend.apply(judged)
    except Exception as error:  # a user's code may raise anything
        failure = type(error).__name__
    if failure is not None:
        # Only the type: the message may quote a personal value. Outside the handler, so that
        # the original is not chained either.
        raise here.error(
            f"The check of rule {rule.name} raised an error.",
            expected="one bool for each row",
            found=f"{failure} (its message is withheld: it may hold a row's value)",
            fix="Run the check by hand on a sample, and make it fit for every value.",
        )
    if not isinstance(passed, pd.Series | pd.DataFrame) or not passed.index.equals(judged.index):
        raise here.error(
            f"The check of rule {rule.name} does not judge row by row.",
            expected="a Series with one bool for each row that it was given",
            found=type(passed).__name__,
            fix="Return the comparison itself, without .all(), .any() or a reordering.",
        )
    # NA is no verdict: pandera lets it pass.
    verdict = passed.fillna(value=True).astype(bool)
    if isinstance(verdict, pd.DataFrame):
        if rule.check.ignore_na:
            verdict |= frame.isna()
        verdict = verdict.all(axis="columns")
    elif not rule.columns and rule.check.ignore_na:
        verdict |= frame.isna().all(axis="columns")
    failed = ~verdict.to_numpy(dtype=bool)
    return np.asarray(judged.index.to_numpy(dtype=np.int64)[failed])


def _backend(check: Check, subject: pd.Series | pd.DataFrame) -> Any:
    """Find what runs a check; as pandera does, with the built-in's version for pandas."""
    made = check.get_backend(subject)
    name = getattr(check._check_fn, "__name__", "")
    if check.is_builtin_check(name):
        check._check_fn = check.get_builtin_check_fn(name)
    return made(check)
