"""The catalogue has what was promised, each once and told in words."""

from __future__ import annotations

import pytest

from platform_assets.drill.__main__ import choose
from platform_assets.drill.datasets import BY_NAME as DATASETS
from platform_assets.drill.datasets import scope
from platform_assets.drill.incident import Expect
from platform_assets.drill.incidents import BY_NAME, CATALOGUE
from platform_assets.drill.plan import DAYS_AFTER
from platform_assets.errors import SettingsError

# As issue 4 names them.
PROMISED = {
    "volume down 40 %", "volume doubled", "one country missing", "a column all null",
    "null share 1 to 6 %", "duplicated file", "file of yesterday again", "stale file: last week's",
    "half a file", "unit change: cents", "currency flipped for one market", "timezone shift 1 h",
    "new status value", "enum renamed", "key reused", "orphans", "type change", "column dropped",
    "column renamed", "columns swapped", "late rows", "future dates", "negative amounts",
    "outlier order", "encoding broken", "delimiter changed", "header missing", "clock skew",
    "source down", "source slow: no answer in time", "partial page from the API",
    "replayed change log",
}  # fmt: skip


def test_what_was_promised_is_there() -> None:
    assert set(BY_NAME) >= PROMISED
    assert len([each for each in CATALOGUE if each.expect is not Expect.SILENCE]) >= 40


def test_every_incident_is_there_once_and_fits_the_days() -> None:
    assert len(BY_NAME) == len(CATALOGUE)
    for incident in CATALOGUE:
        assert incident.story.endswith(".")
        assert incident.by
        assert incident.dataset in DATASETS
        assert incident.last < DAYS_AFTER


def test_datasets_that_refer_to_each_other_run_together() -> None:
    assert [each.name for each in scope("products")] == ["customers", "products", "orders"]
    assert [each.name for each in scope("tickets")] == ["tickets"]
    for incident in CATALOGUE:
        names = {each.name for each in scope(incident.dataset)}
        assert all(set(each.references) <= names for each in scope(incident.dataset))


def test_incidents_are_chosen_by_a_part_of_their_name() -> None:
    assert [each.name for each in choose(["HALF A FILE, at"])] == ["half a file, at a row's end"]
    assert choose([]) == list(CATALOGUE)


def test_a_name_that_nothing_has_is_refused() -> None:
    with pytest.raises(SettingsError, match="knows no such incident"):
        choose(["half a file", "flood"])
