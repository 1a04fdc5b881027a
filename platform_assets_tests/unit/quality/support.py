"""Partitions that were never in a lake: what statistics see of them.

Belongs here: making observations. Does not belong here: an assertion.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta

import numpy as np

from platform_assets.quality.detectors import Subject, judge
from platform_assets.quality.findings import Finding
from platform_assets.quality.policy import Statistics
from platform_assets.quality.profile import QUANTILES, ColumnProfile, Profile
from platform_assets.quality.profiles import Observed

START = date(2025, 1, 6)  # a Monday
WEEK = (1.0, 0.95, 0.9, 0.95, 1.1, 1.3, 0.6)
STATUSES: Mapping[str, float] = {"paid": 0.6, "shipped": 0.3, "returned": 0.1}
CLEAN = Statistics()


def a_day(
    number: int,
    rows: int = 1000,
    *,
    seed: int = 0,
    nulls: float = 0.01,
    mean: float = 50.0,
    statuses: Mapping[str, float] = STATUSES,
    weekly: bool = True,
) -> Observed:
    """A day of a shop: so many rows by weekday, with the noise of counting."""
    dice = np.random.default_rng([seed, number])
    drawn = int(dice.poisson(rows * (WEEK[number % 7] if weekly else 1.0)))
    amounts = dice.gamma(2.0, mean / 2.0, size=drawn) if drawn else np.zeros(0)
    counted = dice.multinomial(
        drawn, [share / sum(statuses.values()) for share in statuses.values()]
    )
    amount = ColumnProfile(
        "number",
        nulls=int(dice.binomial(drawn, nulls)),
        distinct=drawn,
        low=float(amounts.min()) if drawn else None,
        high=float(amounts.max()) if drawn else None,
        mean=float(amounts.mean()) if drawn else None,
        deviation=float(amounts.std()) if drawn else None,
        quantiles=tuple(map(float, np.quantile(amounts, QUANTILES))) if drawn else (),
    )
    status = ColumnProfile(
        "text",
        nulls=0,
        distinct=len(statuses),
        top={name: int(n) for name, n in zip(statuses, counted, strict=True) if n},
    )
    profile = Profile(drawn, drawn, drawn, {"amount": amount, "status": status}, 0, 0)
    return Observed(
        str(START + timedelta(days=number)),
        profile,
        extracted=drawn,
        seconds=0.5,
        load_seconds=0.5,
        bytes=5_000 * drawn,
    )


def days(count: int, make: Callable[[int], Observed] = a_day) -> list[Observed]:
    """Days, one after the other."""
    return [make(number) for number in range(count)]


def found_in(
    history: Sequence[Observed],
    today: Observed | Sequence[Observed],
    statistics: Statistics = CLEAN,
    known: Sequence[Finding] = (),
    *,
    daily: bool = True,
    rules: Sequence[str] = ("amount__ge",),
) -> list[Finding]:
    """What is odd about today."""
    subject = Subject(
        "shop", "cleaned/shop", "run", statistics, ("amount", "status"), rules, daily=daily
    )
    judged = [today] if isinstance(today, Observed) else list(today)
    return judge(subject, judged, history, known)


def checks(found: Sequence[Finding]) -> set[str]:
    """The checks that found something."""
    return {each.check_name for each in found}


def with_column(seen: Observed, name: str, **changes: object) -> Observed:
    """An observation of which a column is another one."""
    columns = {**seen.profile.columns, name: replace(seen.profile.columns[name], **changes)}  # type: ignore[arg-type] # fields of a column
    return replace(seen, profile=replace(seen.profile, columns=columns))
