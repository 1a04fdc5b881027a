"""``platform-assets checks``: what it shows and takes, and its exit status."""

from __future__ import annotations

import json
from datetime import date, timedelta

import pytest

from platform_assets.datasets.customers import customers
from platform_assets.demo import generate
from platform_assets.pipeline import Step, clean, load_raw
from platform_assets.resources import lake_config
from platform_assets.warehouse.lake import connect
from platform_assets_tests.conftest import Installation
from platform_assets_tests.integration.test_cli import call

START = date(2025, 1, 1)
DAYS = [str(START + timedelta(days=day)) for day in range(25)]
LAST = DAYS[-1]


@pytest.fixture
def short_day(installation: Installation) -> Installation:
    """Customers of 25 days, of whom the last day has hardly any."""
    settings = installation.settings
    generate(settings.shop, start=START, days=len(DAYS), orders_per_day=2500)
    file = settings.shop / "customers" / f"{LAST}.csv"
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:20]))
    with connect(lake_config(settings)) as lake:
        step = Step(customers, lake, "run-1", {"shop": settings.shop})
        load_raw(step, DAYS)
        clean(step, DAYS)
    return installation


@pytest.mark.usefixtures("short_day")
def test_a_finding_is_listed_and_accepted() -> None:
    table = call("checks", "list")
    assert table.exit_code == 1, "something is odd"
    assert "volume" in table.output
    told = json.loads(call("checks", "list", "--json", "--check", "volume").stdout)
    assert [(each["partition"], each["dataset"], each["status"]) for each in told] == [
        (LAST, "customers", "open")
    ]
    assert told[0]["observed"] == 19
    assert told[0]["expected_low"] > 19
    assert json.loads(call("checks", "list", "--json", "--partition", DAYS[0]).stdout) == []
    assert json.loads(call("checks", "list", "--json", "--run", "run-2").stdout) == []

    ids = [each["finding_id"] for each in json.loads(call("checks", "list", "--json").stdout)]
    done = call("checks", "accept", *ids, "--reason", "a strike", "--author", "ada")
    assert done.exit_code == 0, done.output
    assert f"accepted: customers {LAST}" in done.output
    quiet = call("checks", "list")
    assert quiet.exit_code == 0, quiet.output
    fine = json.loads(call("checks", "list", "--json", "--status", "accepted").stdout)
    assert {(each["reason"], each["author"]) for each in fine} == {("a strike", "ada")}
    assert "a strike" in call("checks", "list", "--status", "accepted").output


@pytest.mark.usefixtures("short_day")
def test_a_profile_is_shown_without_personal_data() -> None:
    shown = call("checks", "profile", "customers")
    assert shown.exit_code == 0, shown.output
    assert f"customers {LAST}: " in shown.output
    assert "country" in shown.output
    told = json.loads(
        call("checks", "profile", "customers", "--partition", DAYS[0], "--json").stdout
    )
    assert told["partition"] == DAYS[0]
    assert set(told["profile"]["columns"]["country"]["top"]) >= {"GB", "DE"}
    assert "@" not in json.dumps(told)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("checks", "list", "--status", "odd"), "open, accepted, over"),
        (("checks", "accept", "beef", "--reason", "fine"), "There is no such finding"),
        (("checks", "profile", "customers"), "never published"),
        (("checks", "profile", "custmers"), "customers"),
    ],
)
@pytest.mark.usefixtures("installation")
def test_what_cannot_be_shown_is_refused(arguments: tuple[str, ...], named: str) -> None:
    called = call(*arguments)
    assert called.exit_code == 2
    assert named in called.stderr
