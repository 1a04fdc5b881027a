"""What a new user does first, done in a real browser against the really started product.

Meanwhile data goes late there: it is seen and told everywhere, comes, and is over everywhere. Only
the product does that: its sensors look, decide, send and load, at default intervals.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import expect

from platform_assets_tests.e2e.conftest import RUN_SECONDS, Shop
from platform_assets_tests.e2e.product import Installation, Server, wait_until
from platform_assets_tests.e2e.story import Story
from platform_assets_tests.e2e.ui import GREEN, RED, Ui

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

RULE = "status__isin"
# What the product promises: from a failure to its message, at default intervals.
TOLD = timedelta(seconds=120)
LOADED_SECONDS = 240.0


def _reachable(edges: set[tuple[str, str]], start: str) -> set[str]:
    found, seen = {start}, set[str]()
    while found - seen:
        seen |= found
        found |= {target for source, target in edges if source in found}
    return seen


def test_graph_shows_the_layers_wired(ui: Ui) -> None:
    ui.open_graph()
    edges = ui.edges()
    assert {("raw", "cleaned"), ("raw", "quarantine")} <= edges
    assert "?" not in {end for edge in edges for end in edge}, edges
    assert "aggregated" in _reachable(edges, "cleaned")
    assert "aggregated" not in _reachable(edges, "quarantine"), "a rejected row is counted"
    ui.open_groups()
    for asset in ("customers", "products", "orders", "fct_orders", "daily_sales"):
        expect(ui.page.locator("svg").get_by_text(asset, exact=True).first).to_be_visible()


@pytest.mark.parametrize("asset", ["cleaned/orders", "quarantine/orders", "aggregated/daily_sales"])
def test_range_from_the_ui_turns_green_but_for_the_spoiled_day(
    ui: Ui, filled: Shop, asset: str
) -> None:
    ui.open_partitions(asset, filled.asked, filled.good[-1])
    for day in filled.good:
        ui.expect_colour(day, GREEN)
    ui.expect_colour(filled.spoiled, RED)
    expect(ui.page.get_by_text(f"Materialized ({len(filled.good)})")).to_be_visible()
    expect(ui.page.get_by_text("Failed (1)")).to_be_visible()
    if asset == "cleaned/orders":
        truth = filled.truth.partitions["orders"][filled.good[-1]]
        expect(ui.value("rows_cleaned")).to_have_text(str(truth.cleaned))
        ui.picture("partitions")


def test_raw_rows_of_the_spoiled_day_are_kept(ui: Ui, filled: Shop) -> None:
    ui.open_partitions("raw/orders", filled.asked, filled.spoiled)
    for day in filled.asked:
        ui.expect_colour(day, GREEN)
    truth = filled.truth.partitions["orders"][filled.spoiled]
    expect(ui.value("rows_extracted")).to_have_text(str(truth.rows))


def test_spoiled_day_names_the_rule(ui: Ui, filled: Shop) -> None:
    ui.open_partitions("cleaned/orders", filled.asked, filled.spoiled)
    expect(ui.page.get_by_text("did not materialize this asset")).to_be_visible()
    ui.page.get_by_role("button", name="View logs").click()
    truth = filled.truth.partitions["orders"][filled.spoiled]
    for text in (
        f"{filled.spoiled}: stopped by {RULE}",
        f"Too many rows break a rule: {RULE}",
        f"found: {truth.by_rule[RULE]:,} of {truth.rows:,} rows",
        f"platform-assets quarantine list --dataset orders --partition {filled.spoiled}",
    ):
        expect(ui.page.get_by_text(text).last).to_be_visible()


def test_checks_say_which_rule_was_broken_how_often(ui: Ui, filled: Shop) -> None:
    truths = [filled.truth.partitions["orders"][day] for day in filled.asked]
    broken = sum(truth.by_rule.get(RULE, 0) for truth in truths)
    judged = sum(truth.rows for truth in truths)
    ui.open_asset("cleaned/orders", "checks", checkDetail=RULE)
    expect(ui.check(RULE)).to_contain_text("Failed")
    expect(ui.page.get_by_text(f"{broken:,} of {judged:,} rows break: status in")).to_be_visible()
    for name, state in {"reconciliation": "Succeeded", "partitions_published": "Failed"}.items():
        expect(ui.check(name)).to_contain_text(state)
    ui.picture("checks")


def test_a_check_has_a_result_for_each_day(ui: Ui, filled: Shop) -> None:
    def is_over() -> bool:
        """Unlike other pages, this one does not follow a run that goes on."""
        ui.open_check_partitions("cleaned/orders", RULE, filled.asked)
        return ui.page.get_by_text("In Progress (0)", exact=True).is_visible()

    wait_until("the end of the runs that judge orders", is_over, RUN_SECONDS)
    expect(ui.page.get_by_text(f"Passed ({len(filled.good)})")).to_be_visible()
    expect(ui.page.get_by_text("Failed (1)", exact=True)).to_be_visible()
    for day in filled.good:
        ui.expect_colour(day, GREEN)
    ui.expect_colour(filled.spoiled, RED)
    ui.page.locator(f"[data-tooltip='{filled.spoiled}']").first.click()
    truth = filled.truth.partitions["orders"][filled.spoiled]
    said = f"{truth.by_rule[RULE]:,} of {truth.rows:,} rows break: status in"
    expect(ui.page.get_by_text(said).first).to_be_visible()


def test_a_check_lists_the_partitions_that_were_stopped(ui: Ui, filled: Shop) -> None:
    ui.open_asset("cleaned/orders", "checks", checkDetail="partitions_published")
    truth = filled.truth.partitions["orders"][filled.spoiled]
    stopped = ui.page.get_by_role("row").filter(has_text=filled.spoiled).last
    for text in (RULE, str(truth.rows), str(truth.quarantined), "fix: see the rows"):
        expect(stopped).to_contain_text(text)
    ui.picture("failed-partition")


def test_quarantine_counts_the_rejected_rows(ui: Ui, filled: Shop) -> None:
    truths = {day: filled.truth.partitions["orders"][day] for day in filled.good}
    dirtiest = max(truths, key=lambda day: truths[day].quarantined)
    truth = truths[dirtiest]
    assert truth.quarantined > 0, "the shop is too small to show any dirt"
    ui.open_partitions("quarantine/orders", filled.asked, dirtiest)
    expect(ui.value("rows_quarantined")).to_have_text(str(truth.quarantined))
    for rule, rows in truth.by_rule.items():
        expect(ui.value("rules_broken")).to_contain_text(f'"{rule}": {rows}')
    ui.picture("quarantine")


def test_graph_shows_what_failed(ui: Ui, filled: Shop) -> None:
    ui.page.set_viewport_size({"width": 1600, "height": 1000})
    ui.open_graph()
    ui.open_groups()
    expect(ui.page.locator("svg").get_by_text("daily_sales", exact=True)).to_be_visible()
    ui.picture("asset-graph")
    ui.open_asset("cleaned/orders", "lineage")
    expect(ui.page.get_by_text("(1 failed)").first).to_be_visible()


def _status(installation: Installation, ui: Ui) -> str:
    """How the status page shows the visits, made anew."""
    page = installation.folder / "status.html"
    installation.command("report", "--out", str(page))
    ui.page.goto(page.as_uri())
    row = ui.page.locator("#health tr", has=ui.page.get_by_text("visits", exact=True)).first
    return row.locator(".state").inner_text().strip().lower()


def _expect_freshness(ui: Ui, state: str) -> None:
    ui.open_asset("cleaned/visits", "checks", checkDetail="freshness")
    expect(ui.check("freshness")).to_contain_text(state)


def test_late_data_is_seen_and_told_until_it_comes(
    installation: Installation, story: Story | None, server: Server, ui: Ui
) -> None:
    if story is None:
        pytest.skip("pictures show the shop and nothing else")
    latest = story.watched + TOLD
    left = (latest - datetime.now(UTC)).total_seconds()
    wait_until("the alert of late visits", lambda: bool(story.told), left)
    assert story.heard[0] >= story.deadline, "nobody is told before the deadline"
    assert story.heard[0] <= latest, "it was told too late"
    (first,) = story.told
    assert first["title"].startswith("ERROR")
    assert "cleaned/visits" in first["text"], "what is late"
    assert str(story.day) in first["text"], "which partition"
    assert "team:web" in first["text"], "whose it is"
    ui.page.goto(f"{server.url}/locations/platform_assets/sensors/freshness")
    expect(ui.page.get_by_text("0 runs requested").first).to_be_visible()
    _expect_freshness(ui, "Failed")
    assert _status(installation, ui) == "late"

    story.deliver()
    wait_until(
        "the message that visits are there",
        lambda: any(title.startswith("OVER") for title in story.titles()),
        LOADED_SECONDS,
    )
    _expect_freshness(ui, "Succeeded")
    assert _status(installation, ui) == "ok"
    assert len(story.told) == 2, "one message when it began, one when it was over"
