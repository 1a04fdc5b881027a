"""Statistics at the gate, on a real lake: profiles, findings, what they stop, what teaches them."""

from __future__ import annotations

import random
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import dagster as dg
import pandas as pd
import pytest

from platform_assets.assets.build import build_definitions
from platform_assets.assets.runs import QUIET
from platform_assets.contracts import Contract, EventTime, Field, Key
from platform_assets.dataset import Dataset
from platform_assets.errors import PartitionError
from platform_assets.partitions import Daily
from platform_assets.quality import findings, profiles
from platform_assets.quality.findings import Standing
from platform_assets.quality.policy import Statistics
from platform_assets.quality.profile import QUANTILES
from platform_assets.resources import FolderResource
from platform_assets.sources.files import CsvFiles
from platform_assets.warehouse.ledger import Status
from platform_assets_tests.conftest import Installation
from platform_assets_tests.support import Site

START = date(2025, 3, 3)
HISTORY = 24
ROWS = 300
ASSET = "cleaned/sales"
COLUMNS = ["sale_id", "amount", "pieces", "channel", "email", "gift", "sold_at", "noted_on"]


class Sale(Contract):
    """Every kind of column that a profile tells apart."""

    sale_id: str = Key()
    amount: Decimal = Field(decimal=(10, 2), nullable=True)
    pieces: float = Field()
    channel: str = Field()
    email: str = Field(pii="hash")
    gift: bool = Field()
    sold_at: datetime = EventTime()
    noted_on: date = Field(nullable=True)


def sales(**options: Any) -> Dataset:
    values: dict[str, Any] = {
        "name": "sales",
        "contract": Sale,
        "source": CsvFiles("sales/{partition}.csv"),
        "partitions": Daily(START, START + timedelta(days=60)),
        **options,
    }
    return Dataset(**values)


def key(day: int) -> str:
    return str(START + timedelta(days=day))


def a_day(day: int, rows: int = ROWS, *, times: float = 1.0) -> str:
    dice = random.Random(day)
    midnight = datetime.combine(START + timedelta(days=day), datetime.min.time())
    lines = [",".join(COLUMNS)]
    for number in range(rows):
        amount = "" if dice.random() < 0.02 else f"{dice.gammavariate(2, 25) * times:.2f}"
        sold = midnight + timedelta(seconds=dice.randrange(86_400))
        lines.append(
            f"S{day:03}-{number:05},{amount},{dice.choice([0.0, 1.5, 2.25])},"
            f"{dice.choice(['web', 'web', 'app'])},p{number}@example.org,"
            f"{dice.choice(['true', 'false'])},{sold},{sold.date()}"
        )
    return "".join(f"{line}\n" for line in lines)


def prepare(site: Site) -> None:
    """Days of sales that were published, of which none is odd."""
    days = [key(day) for day in range(HISTORY)]
    for day in range(HISTORY):
        site.deliver(key(day), a_day(day), "sales")
    _, report = site.run(sales(), days)
    assert not report.failed
    assert findings.find(site.lake) == []


@pytest.fixture
def with_history(copied: Site) -> Site:
    """Days of sales that were published, of which none is odd."""
    return copied


def test_a_profile_is_what_pandas_says(with_history: Site) -> None:
    seen = profiles.newest(with_history.lake, ASSET, key(3))
    assert seen is not None
    path = with_history.path("sales", key(3))
    frame = pd.read_csv(path, parse_dates=["sold_at"])
    columns = seen.profile.columns
    amount = columns["amount"]
    assert seen.profile.rows == len(frame) == ROWS
    assert amount.nulls == frame["amount"].isna().sum() > 0
    assert amount.low == pytest.approx(frame["amount"].min())
    assert amount.high == pytest.approx(frame["amount"].max())
    assert amount.mean == pytest.approx(frame["amount"].mean())
    assert amount.deviation == pytest.approx(frame["amount"].std(ddof=0))
    assert amount.distinct == pytest.approx(frame["amount"].nunique(), rel=0.1)
    assert amount.quantiles == pytest.approx(frame["amount"].quantile(QUANTILES).tolist(), rel=0.1)
    assert columns["pieces"].zeros == (frame["pieces"] == 0).sum()
    assert columns["pieces"].top == {
        f"{value}": rows for value, rows in frame["pieces"].value_counts().items()
    }
    assert columns["channel"].top == frame["channel"].value_counts().to_dict()
    assert set(columns["gift"].top) == {"true", "false"}
    hours = (frame["sold_at"] - pd.Timestamp(key(3))).dt.total_seconds() / 3600
    assert columns["sold_at"].mean == pytest.approx(hours.mean())
    assert (seen.profile.before, seen.profile.after) == (0, 0)


def test_no_profile_holds_personal_data(with_history: Site) -> None:
    seen = profiles.newest(with_history.lake, ASSET, key(3))
    assert seen is not None
    email = seen.profile.columns["email"]
    assert email.kind == "private"
    assert (email.nulls, email.distinct) == (0, pytest.approx(ROWS, rel=0.1))
    assert not (email.top)
    assert not (email.frequent)
    assert not (email.quantiles)
    assert not (email.mean)
    stored = with_history.select("SELECT profile FROM lake.platform.profiles")
    assert not any("example.org" in text for (text,) in stored)


def _next(site: Site, content: str, dataset: Dataset, day: int = HISTORY) -> Any:
    site.deliver(key(day), content, "sales")
    _, report = site.run(dataset, [key(day)])
    return report.entries[key(day)]


def test_an_ordinary_day_is_published_in_silence(with_history: Site) -> None:
    entry = _next(with_history, a_day(HISTORY), sales())
    assert entry.status is Status.PUBLISHED
    assert findings.find(with_history.lake) == []


def test_what_is_odd_is_published_with_a_finding(with_history: Site) -> None:
    entry = _next(with_history, a_day(HISTORY, times=100), sales())
    assert entry.status is Status.PUBLISHED
    found = findings.find(with_history.lake, partition=key(HISTORY))
    assert {f.check_name for f in found} == {"mean", "distribution"}
    mean = next(f for f in found if f.check_name == "mean")
    assert (mean.dataset, mean.column_name, mean.severity) == ("sales", "amount", "warn")
    assert mean.observed > 3000 > mean.expected_high
    assert mean.history == HISTORY
    # The day is mended at the source, and the findings about it are over.
    _next(with_history, a_day(HISTORY), sales())
    assert findings.find(with_history.lake) == []
    over = findings.find(with_history.lake, statuses=[Standing.OVER])
    assert {f.finding_id for f in over} == {f.finding_id for f in found}


def test_a_severe_finding_stops_its_partition_alone(with_history: Site) -> None:
    strict = sales(statistics=Statistics(severities={"volume": "error"}))
    good, bad = key(HISTORY), key(HISTORY + 1)
    with_history.deliver(good, a_day(HISTORY), "sales")
    with_history.deliver(bad, a_day(HISTORY + 1, 30), "sales")
    _, report = with_history.run(strict, [good, bad])
    assert report.entries[good].status is Status.PUBLISHED
    stopped = report.entries[bad]
    assert (stopped.status, stopped.stopped_by) == (Status.FAILED, "volume")
    found = findings.find(with_history.lake, check="volume")
    assert [f.partition for f in found] == [bad]
    assert f"checks accept {found[0].finding_id}" in stopped.message
    assert "a day" not in stopped.message
    assert not with_history.select(
        f"SELECT 1 FROM lake.cleaned.sales WHERE _partition = '{bad}' LIMIT 1"
    )
    # Nothing was learnt from what was not published.
    assert profiles.newest(with_history.lake, ASSET, bad) is None


def test_what_is_no_longer_odd_about_a_stopped_partition_is_over(with_history: Site) -> None:
    strict = sales(statistics=Statistics(severities={"volume": "error"}))
    _next(with_history, a_day(HISTORY, 30, times=100), strict)
    assert {f.check_name for f in findings.find(with_history.lake)} >= {"volume", "mean"}
    # Prices are mended, and rows are missing still: nothing of the batch is published again.
    assert _next(with_history, a_day(HISTORY, 30), strict).stopped_by == "volume"
    assert {f.check_name for f in findings.find(with_history.lake)} == {"volume"}


def test_what_was_fine_is_published_by_the_next_run(with_history: Site) -> None:
    strict = sales(statistics=Statistics(severities={"volume": "error"}))
    assert _next(with_history, a_day(HISTORY, 30), strict).status is Status.FAILED
    ids = [f.finding_id for f in findings.find(with_history.lake)]
    accepted = findings.accept(with_history.lake, ids, reason="a strike", author="ada")
    assert {(f.status, f.reason, f.author) for f in accepted} == {
        (Standing.ACCEPTED, "a strike", "ada")
    }
    _, report = with_history.run(strict, [key(HISTORY)])
    assert report.entries[key(HISTORY)].status is Status.PUBLISHED
    # As few rows are expected from now on; still fewer are not.
    assert (
        _next(with_history, a_day(HISTORY + 1, 35), strict, HISTORY + 1).status is Status.PUBLISHED
    )
    assert _next(with_history, a_day(HISTORY + 2, 2), strict, HISTORY + 2).status is Status.FAILED


@pytest.mark.parametrize(
    ("ids", "reason", "author", "named"),
    [
        (["beef"], "fine", "ada", "no such finding"),
        ([""], "fine", "ada", "begin so"),
        (None, " ", "ada", "no reason"),
        (None, "fine", "", "no author"),
    ],
)
def test_nothing_is_accepted_without_a_word(
    with_history: Site, ids: list[str] | None, reason: str, author: str, named: str
) -> None:
    _next(with_history, a_day(HISTORY, times=100), sales())
    known = [f.finding_id for f in findings.find(with_history.lake)]
    with pytest.raises(PartitionError) as refused:
        findings.accept(with_history.lake, ids or known, reason=reason, author=author)
    assert named in f"{refused.value.what} {refused.value.found}"
    assert len(findings.find(with_history.lake)) == len(known)


def test_a_rule_cannot_have_the_name_of_a_check() -> None:
    import pandera.pandas as pandera

    from platform_assets.errors import ContractError

    class Odd(Contract):
        """A contract with a check that is called as one of the statistics' own."""

        name: str = Key()

        @pandera.dataframe_check
        @classmethod
        def volume(cls, frame: pd.DataFrame) -> pd.Series:
            """Always fine."""
            return frame["name"].notna()

    with pytest.raises(ContractError, match="volume"):
        Dataset(name="odd", contract=Odd, source=CsvFiles("odd.csv"))


def test_dagster_shows_checks_and_scores(
    installation: Installation, instance: dg.DagsterInstance
) -> None:
    folder = installation.root / "delivered"
    days = [key(day) for day in range(HISTORY + 1)]
    for day in range(HISTORY):
        _write(folder, day, a_day(day))
    _write(folder, HISTORY, a_day(HISTORY, 30))
    definitions = build_definitions([sales()], {"files": FolderResource(path=str(folder))})
    job = definitions.get_implicit_global_asset_job_def()
    result = job.execute_in_process(
        run_config=QUIET,
        instance=instance,
        tags={
            "dagster/asset_partition_range_start": days[0],
            "dagster/asset_partition_range_end": days[-1],
        },
    )
    assert result.success
    results = {each.check_name: each for each in result.get_asset_check_evaluations()}
    volume = results["volume"]
    assert (volume.passed, volume.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert volume.metadata["partitions_odd"].value == 1
    assert "expected" in (volume.description or "")
    assert results["mean"].passed
    cleaned = dg.AssetKey(["cleaned", "sales"])
    scores = {
        each.partition: each.metadata["quality_score"].value
        for event in result.get_asset_materialization_events()
        if (each := event.step_materialization_data.materialization).asset_key == cleaned
    }
    assert scores[days[0]] == 100.0
    odd = {f.check_name for f in _found(installation)}
    assert scores[days[-1]] == pytest.approx(100 - 10 * len(odd))


def _write(folder: Any, day: int, content: str) -> None:
    path = folder / "sales" / f"{key(day)}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def _found(installation: Installation) -> list[findings.Finding]:
    from platform_assets.resources import lake_config
    from platform_assets.warehouse.lake import connect

    with connect(lake_config(installation.settings)) as lake:
        return findings.find(lake)
