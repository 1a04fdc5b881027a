"""The UI as a person uses it: pages are opened, clicked and read.

Belongs here: where things are on Dagster's pages; an upgrade that moves them is mended here. Does
not belong here: what should be seen (``test_browser``).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from playwright.sync_api import Locator, Page, expect

SECONDS = 1000.0
SETTLED_SECONDS, SETTLING_ATTEMPTS = 2.0, 20
GREEN, RED = "--color-accent-green", "--color-accent-red"

# A closed group is a box with its name; an edge is a curve from the right side of one box to the
# left side of another. What is drawn is read, so that a graph without its edges cannot pass.
_DRAWN_EDGES = r"""
() => {
  const boxes = [...document.querySelectorAll('svg foreignObject')]
    .map(e => ({name: (e.textContent.match(/^[a-z_]+/) || [''])[0],
                x: +e.getAttribute('x'), y: +e.getAttribute('y'),
                w: +e.getAttribute('width'), h: +e.getAttribute('height')}))
    .filter(box => box.name);
  const at = (x, y, side) => boxes.find(
    b => Math.abs(x - (side === 'right' ? b.x + b.w : b.x)) < 30 && b.y <= y && y <= b.y + b.h);
  return [...document.querySelectorAll('svg path[marker-end]')].map(path => {
    const numbers = path.getAttribute('d').match(/-?[\d.]+/g).map(Number);
    const from = at(numbers[0], numbers[1], 'right');
    const to = at(...numbers.slice(-2), 'left');
    return [from ? from.name : '?', to ? to.name : '?'];
  });
}
"""


def span(partitions: Sequence[str]) -> str:
    """A range of partitions as it is typed into the UI."""
    return f"[{partitions[0]}...{partitions[-1]}]"


@dataclass(frozen=True)
class Ui:
    """One browser tab on the product.

    Attributes:
        page: The tab.
        url: Where the UI is.
        pictures: Folder that pictures for the docs are written to; None: none are taken.
    """

    page: Page
    url: str
    pictures: Path | None

    def open_graph(self) -> None:
        """Open the graph of all assets, its groups closed."""
        self.page.goto(f"{self.url}/asset-groups")
        expect(self.page.locator("svg path[marker-end]").first).to_be_attached()

    def open_groups(self) -> None:
        """Show the assets inside of the graph's groups."""
        self.page.keyboard.press("Alt+e")

    def edges(self) -> set[tuple[str, str]]:
        """The edges that are drawn between closed groups, by the groups' names."""
        return {(source, target) for source, target in self.page.evaluate(_DRAWN_EDGES)}

    def materialize(self, selection: str, partitions: Sequence[str]) -> str:
        """Select assets in the graph, launch them over a range, and give the backfill's name."""
        page = self.page
        self.open_graph()
        page.locator(".CodeMirror").first.click()
        page.keyboard.type(selection)
        page.keyboard.press("Enter")
        expect(page).to_have_url(re.compile("asset-groups~"))
        page.get_by_role("button", name="Materialize all").click()
        launch = page.get_by_role("button", name="Launch backfill")
        expect(launch).to_be_visible()
        field = page.get_by_placeholder("ex: ")
        # Of more than 90 partitions the dialog hides the older ones.
        older = page.get_by_text("Show all partitions")
        expect(older.or_(field).first).to_be_visible()
        if older.is_visible():
            older.click()
        field.fill(span(partitions))
        field.press("Enter")
        expect(page.get_by_text(f"{len(partitions)} partitions", exact=True)).to_be_visible()
        launch.click()
        toast = page.get_by_text("Created backfill")
        expect(toast).to_be_visible()
        return toast.inner_text().split()[-1]

    def open_asset(self, key: str, view: str, **query: str) -> None:
        """Open a tab of an asset's page."""
        self.page.goto(f"{self.url}/assets/{key}?{urlencode({'view': view, **query})}")

    def open_partitions(self, key: str, partitions: Sequence[str], chosen: str) -> None:
        """Open an asset's partitions, show a range of them and choose one."""
        self.open_asset(key, "partitions", partition=chosen)
        field = self.page.get_by_placeholder("ex: ")
        field.fill(span(partitions))
        field.press("Enter")
        expect(self.page.get_by_text(f"{len(partitions)} Partitions Selected")).to_be_visible()

    def open_check_partitions(self, key: str, check: str, partitions: Sequence[str]) -> None:
        """Open a check's partitions and show a range of them."""
        self.open_asset(key, "checks", checkDetail=check)
        # The asset has a tab of that name too, above the check's, and is shown first.
        expect(self.page.get_by_text("Execution history", exact=True)).to_be_visible()
        self.page.get_by_text("Partitions", exact=True).last.click()
        field = self.page.get_by_placeholder("ex: ")
        field.fill(span(partitions))
        field.press("Enter")
        expect(self.page.get_by_text(f"{len(partitions)} Partitions Selected")).to_be_visible()

    def dot(self, partition: str) -> Locator:
        """The coloured dot beside a partition in the list."""
        name = self.page.locator(f"[data-tooltip='{partition}']").first
        return name.locator("xpath=following-sibling::div").first

    def expect_colour(self, partition: str, colour: str) -> None:
        """Wait until a partition's dot has a colour."""
        expect(self.dot(partition)).to_have_attribute("style", re.compile(re.escape(colour)))

    def check(self, name: str) -> Locator:
        """A check in the list of an asset's checks: its icon, name and state."""
        title = self.page.locator(f"[title='{name}']").first
        return title.locator("xpath=ancestor::div[.//*[@role='img']][1]")

    def value(self, label: str) -> Locator:
        """The value beside a label in a table of metadata."""
        row = self.page.locator("tr", has=self.page.get_by_text(label, exact=True)).last
        return row.locator("td").nth(1)

    def picture(self, name: str) -> None:
        """Take a picture for the docs, where pictures are asked for, once nothing moves any more.

        Icons and texts come one after the other: the page is done when two pictures are equal.
        """
        if self.pictures is None:
            return
        self.page.mouse.move(0, 0)
        self.page.wait_for_load_state("networkidle")
        before = b""
        for _ in range(SETTLING_ATTEMPTS):
            taken = self.page.screenshot(animations="disabled")
            if taken == before:
                (self.pictures / f"{name}.png").write_bytes(taken)
                return
            before = taken
            self.page.wait_for_timeout(SETTLED_SECONDS * SECONDS)
        raise AssertionError(f"{name}: the page never came to rest")
