"""The status page in a real browser, from a file: on a phone, by keyboard, without script."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from platform_assets.report.page import render, write
from platform_assets_tests.e2e.conftest import CHROMIUM
from platform_assets_tests.report_facts import HOSTILE, NOW, everything

pytestmark = [
    pytest.mark.browser,
    pytest.mark.xdist_group("browser"),
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH: apt-get install chromium"),
]

AUDIT = (Path(__file__).parent / "audit.js").read_text(encoding="utf-8")
SIZES = {"small phone": (320, 640), "phone": (390, 844), "tablet": (820, 1180), "desk": (1280, 900)}
WAIT = 10_000


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A page of one of everything, and one whose every text is hostile."""
    folder = tmp_path_factory.mktemp("page")
    pages = {"plain": everything(), "hostile": everything(HOSTILE)}
    for name, facts in pages.items():
        write(render(facts), folder / f"{name}.html")
    return {name: folder / f"{name}.html" for name in pages}


Open = Callable[..., Page]


@pytest.fixture
def opened(browser: Browser, files: dict[str, Path]) -> Iterator[Open]:
    """Opens a page; at the end nothing was asked of a network, and nothing was complained of."""
    asked: list[str] = []
    said: list[str] = []
    contexts = []

    def refused(route: Route) -> None:
        asked.append(route.request.url)
        route.continue_() if route.request.url.startswith("file:") else route.abort()

    def open_page(
        name: str = "plain", size: str = "desk", *, age: timedelta = timedelta(), **options: Any
    ) -> Page:
        width, height = SIZES[size]
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        context.set_default_timeout(WAIT)
        context.route("**/*", refused)
        page = context.new_page()
        page.clock.set_fixed_time(NOW + age)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: said.append(f"dialog {dialog.message}"))
        page.goto(files[name].as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert said == []
    assert all(url.startswith("file:") for url in asked), asked
    assert len(asked) == len(contexts), "more than the page itself was asked for"


def unfold(page: Page) -> None:
    """Open all that can be opened."""
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")


@pytest.mark.parametrize("name", ["plain", "hostile"])
@pytest.mark.parametrize("size", SIZES)
def test_nothing_is_wider_than_the_screen(opened: Open, name: str, size: str) -> None:
    page = opened(name, size)
    for _ in range(2):
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= SIZES[size][0]
        unfold(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", ["phone", "desk"])
def test_the_audit_finds_nothing(opened: Open, size: str, scheme: str) -> None:
    page = opened("plain", size, color_scheme=scheme)
    assert page.evaluate(AUDIT) == []
    unfold(page)
    assert page.evaluate(AUDIT) == []


def test_the_audit_finds_what_is_wrong(opened: Open) -> None:
    page = opened()
    page.evaluate("""() => {
        const add = (tag, told) => document.querySelector("main").append(
            Object.assign(document.createElement(tag), told));
        add("h5", { textContent: "too deep" });
        add("a", { href: "#nowhere" });
        add("input", {});
        add("p", { id: "main", textContent: "twice", className: "pale" });
        const pale = new CSSStyleSheet();
        pale.replaceSync(".pale { color: #999; background: #bbb; }");
        document.adoptedStyleSheets = [pale];
    }""")
    found = {each.partition(":")[0] for each in page.evaluate(AUDIT)}
    assert found >= {"from h3 to h5", "leads nowhere", "no name", "no label", "id twice"}
    assert any(each.startswith("contrast") for each in found)


def test_keys_lead_through_the_page(opened: Open) -> None:
    page = opened()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    expect(page.get_by_role("link", name="Skip to the content")).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    reached = []
    for _ in range(60):
        page.keyboard.press("Tab")
        told = page.evaluate("""() => {
            const own = document.activeElement, style = getComputedStyle(own);
            const rect = own.querySelector("rect");
            const shown = own.matches(":focus-visible") && (style.outlineStyle !== "none"
                || (rect && getComputedStyle(rect).strokeWidth === "3px"));
            return [own.tagName.toLowerCase(), own.closest("section")?.id ?? "", shown];
        }""")
        if told[0] == "body":
            break
        reached.append(told)
    assert all(shown for _, _, shown in reached), "focus is not to be seen"
    sections = list(dict.fromkeys(section for _, section, _ in reached if section))
    assert sections == ["health", "alerts", "work", "numbers", "cost", "lineage", "dictionary"]
    assert ["summary", "dictionary"] in [told[:2] for told in reached]
    assert ["input", "lineage"] in [told[:2] for told in reached]


def test_search_leaves_what_fits(opened: Open) -> None:
    page = opened()
    rows = page.locator(".health tbody tr:visible")
    assert rows.count() == 5
    page.get_by_label("Find", exact=True).fill("customers")
    expect(rows).to_have_count(1)
    expect(page.get_by_text("1 in health")).to_be_visible()
    page.get_by_label("Find", exact=True).fill("mail personal")
    expect(page.locator(".entry:visible").first).to_be_visible()
    expect(rows).to_have_count(0)
    page.get_by_label("Find", exact=True).fill("")
    expect(rows).to_have_count(5)


def test_a_link_opens_what_it_leads_to(opened: Open) -> None:
    page = opened()
    page.locator(".health").get_by_role("link", name="customers").click()
    entry = page.locator("#dictionary details[open]")
    expect(entry).to_have_count(1)
    expect(entry.get_by_text("The number. plain")).to_be_in_viewport()


def test_a_column_is_traced(opened: Open) -> None:
    page = opened()
    page.get_by_label("Trace a column").fill("cleaned/orders plain.order_id")
    expect(page.locator("#traced")).to_contain_text("Made from: raw/orders plain.order_id.")
    expect(page.locator("#traced")).to_contain_text("Goes into: aggregated/daily_sales.order_id.")
    assert page.locator("#graph .node.on").count() == 3
    assert page.locator("#graph .lines path.on").count() == 2
    page.get_by_role("button", name="Clear").click()
    assert page.locator("#graph .on").count() == 0


def test_an_old_page_says_so_and_a_new_one_does_not(opened: Open) -> None:
    assert not opened(age=timedelta(minutes=59)).locator("#old").is_visible()
    told = opened(age=timedelta(hours=3)).locator("#old")
    expect(told).to_have_text("This page is 3 h 0 min old: what it says may be so no longer.")


def test_a_command_can_be_copied(opened: Open) -> None:
    page = opened(permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy: ack plain").click()
    expect(page.get_by_text("Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == "ack plain"


def test_everything_is_there_without_script(opened: Open) -> None:
    page = opened(java_script_enabled=False)
    expect(page.get_by_role("heading", level=1)).to_have_text("4 of 5 need you")
    for name in ("Health", "Open alerts", "To do", "Volume and quality", "Cost", "Lineage"):
        expect(page.get_by_role("heading", name=name).first).to_be_visible()
    assert not page.get_by_label("Find", exact=True).is_visible()
    page.locator("#numbers summary").first.click()
    expect(page.locator("#numbers table").first).to_be_visible()


def test_paper_gets_no_navigation(opened: Open) -> None:
    page = opened()
    page.emulate_media(media="print")
    assert not page.get_by_role("navigation").is_visible()
    expect(page.get_by_role("table", name="Health")).to_be_visible()


def test_the_policy_is_in_force(browser: Browser, files: dict[str, Path]) -> None:
    """On a page of its own: the browser complains of what is tried here, as it should."""
    page = browser.new_page()
    page.goto(files["plain"].as_uri())
    # The policy forbids the driver to wait for a condition, which it would have to evaluate.
    broken = page.evaluate("""() => new Promise((resolve) => {
        const broken = [];
        addEventListener("securitypolicyviolation", (event) => {
            broken.push(event.effectiveDirective);
            if (broken.length === 2) resolve(broken);
        });
        const picture = document.createElement("img");
        picture.src = "http://127.0.0.1:9/x.png";
        document.body.append(picture);
        const style = document.createElement("style");
        style.textContent = "body { display: none; }";
        document.body.append(style);
    })""")
    assert sorted(broken) == ["img-src", "style-src-elem"]
    refusal = page.evaluate("""() => {
        try { document.body.innerHTML = "<b>x</b>"; } catch (error) { return error.name; }
    }""")
    assert refusal == "TypeError"
    page.close()
