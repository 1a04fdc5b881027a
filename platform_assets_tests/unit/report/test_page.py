"""The page as a file: nothing that comes from outside becomes markup, and nothing is fetched."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
import typer
from typer.core import TyperGroup

from platform_assets.cli.main import app
from platform_assets.report import page
from platform_assets.report.catalogue import traced
from platform_assets.report.commands import for_failure
from platform_assets.report.model import Facts, Unreadable, Watch
from platform_assets.report.page import content_policy, duration, render, size, write
from platform_assets.report.views import Anchors, asset_url
from platform_assets_tests.report_facts import DAYS, HOSTILE, NOW, alert, everything, facts, failure

VOID = {"meta", "link", "input", "img", "br"}
UNCLOSED = {"tr", "th", "td"}
"""Elements whose end the HTML standard lets out."""


class Read(HTMLParser):
    """A page as a browser's parser takes it apart."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.unbalanced: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID | UNCLOSED:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag in UNCLOSED:
            return
        if not self._open or self._open.pop() != tag:
            self.unbalanced.append(tag)

    def handle_data(self, data: str) -> None:
        self.texts.setdefault(self._open[-1] if self._open else "", []).append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def plain() -> Read:
    return Read(render(everything()))


@pytest.fixture(scope="module")
def hostile() -> Read:
    return Read(render(everything(HOSTILE)))


def test_hostile_names_texts_and_rules_stay_text(plain: Read, hostile: Read) -> None:
    kinds = [Counter(tag for tag, _ in each.elements) for each in (plain, hostile)]
    assert kinds[0] == kinds[1], "a text has become an element"
    assert not hostile.unbalanced
    assert not hostile.all("img")
    names = {name for _, attributes in hostile.elements for name in attributes}
    assert not [name for name in names if name.startswith("on") or name == "style"]
    told = " ".join("".join(texts) for texts in hostile.texts.values())
    assert str(7919 * 7907) not in told, "a template inside of a text was run"
    assert HOSTILE in told


def test_lineage_for_the_script_is_data_and_holds_no_end_tag() -> None:
    html = render(everything(HOSTILE))
    (data,) = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', html, re.DOTALL)
    assert "<" not in data
    told = json.loads(data)
    assert f"cleaned/orders {HOSTILE}" in [name for name, _ in told["assets"]]


def test_the_policy_allows_what_is_in_the_page_and_nothing_else(plain: Read) -> None:
    (policy,) = [
        each["content"]
        for each in plain.all("meta")
        if each.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy == content_policy()
    assert policy is not None
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    scripts = [
        text
        for text in plain.texts["script"]
        if not text.startswith("{")  # the lineage
    ]
    for text in (*plain.texts["style"], *scripts):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy


def test_the_page_fetches_nothing(plain: Read) -> None:
    loading = {"img", "iframe", "object", "embed", "video", "audio", "source", "form"}
    assert not loading & {tag for tag, _ in plain.elements}
    for tag, attributes in plain.elements:
        assert "src" not in attributes, tag
        if tag == "link":
            assert str(attributes["href"]).startswith("data:")
        if tag == "use":
            assert str(attributes["href"]).startswith("#")
    style = "".join(plain.texts["style"])
    assert "url(" not in style
    assert "@import" not in style
    assert "http" not in style


def test_ids_are_unique_and_every_link_inside_leads_somewhere(plain: Read, hostile: Read) -> None:
    for read in (plain, hostile):
        ids = Counter(str(a["id"]) for _, a in read.elements if "id" in a)
        assert [each for each, number in ids.items() if number > 1] == []
        for tag, attributes in read.elements:
            href = str(attributes.get("href", ""))
            if tag in ("a", "use") and href.startswith("#"):
                assert href[1:] in ids, href
            for name in ("aria-labelledby", "aria-describedby", "for"):
                for target in str(attributes.get(name) or "").split():
                    assert target in ids


def test_links_to_the_ui_are_quoted() -> None:
    assert asset_url("http://ui", "cleaned/a b?#/c") == "http://ui/assets/cleaned/a%20b%3F%23/c"
    told = Read(render(everything(HOSTILE)))
    outside = [str(a["href"]) for a in told.all("a") if not str(a["href"]).startswith("#")]
    assert outside
    assert all(re.fullmatch(r"http://localhost:3000(/[\w./%~-]*)?", href) for href in outside)


def test_headings_are_in_order(plain: Read) -> None:
    levels = [int(tag[1]) for tag, _ in plain.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


@pytest.mark.parametrize("name", ["lake", "freshness", "watch", "lineage"])
def test_what_cannot_be_read_is_said_and_the_rest_is_told(name: str) -> None:
    html = render(replace(everything(), **{name: Unreadable("It is <gone>.")}))
    assert "It is &lt;gone&gt;." in html
    assert "cannot be told" in html
    assert "customers" in html
    assert not Read(html).unbalanced


def test_what_can_be_read_is_not_called_unreadable(plain: Read) -> None:
    assert "cannot be told" not in " ".join(plain.texts.get("strong", ()))


def test_a_platform_without_anything_has_a_page() -> None:
    html = render(facts())
    assert "Nothing is declared yet" in html
    assert not Read(html).unbalanced


def test_a_long_list_is_cut_and_says_so() -> None:
    many = everything()
    assert not isinstance(many.watch, Unreadable)
    html = render(replace(many, watch=Watch(list(many.watch.alerts) * 100)))
    assert "100 more are not shown" in html
    assert "100 more are not shown" not in render(many)


def test_one_alert_is_shown_for_each_incident() -> None:
    root, other = alert("raw/a", title="the root", following=1), alert("raw/b", title="behind it")
    html = render(facts(watch=Watch([root, replace(other, is_root=False)])))
    assert "the root" in html
    assert "1 more follows from it" in html
    assert "behind it" not in html


@pytest.mark.parametrize(("minutes", "is_said"), [(9, False), (11, True)])
def test_an_alert_loop_that_stopped_is_said(minutes: int, is_said: bool) -> None:
    looked_at = NOW - timedelta(minutes=minutes)
    html = render(facts(watch=Watch([], looked_at)))
    assert ("Nobody has looked since" in html) is is_said
    assert f"{looked_at:%Y-%m-%d %H:%M}" in html


def test_anchors_of_different_keys_differ() -> None:
    anchors = Anchors()
    found = [anchors.of(*key) for key in (("a b",), ("a-b",), ("a", "b"), ("a-b--2",), ("A B",))]
    assert len(set(found)) == len(found)
    assert anchors.of("a b") == found[0]


def test_lineage_names_each_column_once() -> None:
    told = traced(everything(), {"aggregated/daily_sales": "n1"})
    assert told["columns"] == [[0, "order_id"], [1, "order_id"], [2, "order_id"]]
    assert told["edges"] == [[0, 1], [2, 0]]
    assert told["assets"][2] == ["aggregated/daily_sales", "n1"]  # type: ignore[index] # a list
    assert traced(replace(everything(), lineage=Unreadable("")), {}) == {}


@pytest.mark.parametrize(
    ("key", "partitions", "stopped_by", "expected"),
    [
        (
            "cleaned/orders",
            ("2026-01-01", "2026-01-02"),
            "status__isin",
            [
                "platform-assets quarantine list --dataset orders --status blocked",
                "platform-assets backfill --from 2026-01-01 --to 2026-01-02 --select "
                '\'key:"cleaned/orders"+ or key:"quarantine/orders"\'',
            ],
        ),
        (
            "raw/products",
            ("all",),
            "source",
            [
                "platform-assets backfill --from 2025-01-01 --to 2025-01-01 --select "
                "'key:\"raw/products\"+'"
            ],
        ),
        (
            "history/versions",
            ("2026-01-01",),
            "consistent",
            [
                "platform-assets backfill --from 2026-01-01 --to 2026-01-01 --select "
                '\'key:"cleaned/versions"+ or key:"quarantine/versions" '
                'or key:"history/versions"\''
            ],
        ),
        ("aggregated/sales", ("2026-01-01",), "upstream", []),
    ],
)
def test_what_to_type_about_a_failure(
    key: str, partitions: tuple[str, ...], stopped_by: str, expected: list[str]
) -> None:
    told = for_failure(
        failure(key, *partitions, stopped_by=stopped_by),
        "2025-01-01",
        {"status__isin"},
        {"quarantine/orders", "history/versions", "quarantine/versions"},
    )
    assert told == expected


def test_a_command_quotes_what_a_shell_would_run() -> None:
    told = for_failure(failure("cleaned/a; rm -rf /", DAYS[0], stopped_by="x"), DAYS[0], {"x"}, ())
    assert told[0] == (
        f"platform-assets quarantine list --dataset 'a; rm -rf /' --partition {DAYS[0]}"
    )


def test_every_command_that_a_page_names_exists() -> None:
    told = everything()
    assert not isinstance(told.lake, Unreadable)
    assert not isinstance(told.watch, Unreadable)
    long = replace(
        told,
        lake=replace(
            told.lake,
            failures=list(told.lake.failures) * 200,
            rejected=list(told.lake.rejected) * 200,
            findings=list(told.lake.findings) * 200,
        ),
        watch=Watch(list(told.watch.alerts) * 200),
    )
    pages = [render(long), render(facts()), render(facts(lake=Unreadable("")))]
    named = {
        words for html in pages for words in re.findall(r"platform-assets ((?:[a-z-]+ ?)+)", html)
    }
    assert len(named) > 5
    for words in named:
        group: object = typer.main.get_group(app)
        for word in words.split():
            if not isinstance(group, TyperGroup) or word.startswith("--"):
                break  # what the command is given
            assert word in group.commands, words
            group = group.commands[word]


def test_figures_are_for_people() -> None:
    assert [size(n) for n in (0, 999, 3_680_000, 2e15)] == ["0 B", "999 B", "3.68 MB", "2 PB"]
    assert [duration(s) for s in (0.045, 61, 7384)] == ["0.045 s", "1 min 1 s", "2 h 3 min"]


def test_a_page_is_replaced_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "new" / "page.html"
    write("one", target)
    assert (target.read_text(), oct(target.stat().st_mode & 0o777)) == ("one", "0o644")
    monkeypatch.setattr(os, "fsync", _full)
    with pytest.raises(OSError, match="full"):
        write("two", target)
    assert target.read_text() == "one"
    assert list(target.parent.iterdir()) == [target], "a temporary file is left"


def _full(descriptor: int) -> None:
    raise OSError("the disk is full")


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


TEXTS = [
    *((ink, back) for ink in ("ink", "faint", "link") for back in ("back", "card", "soft")),
    *(
        (state, back)
        for state in ("failed", "late", "odd", "never-run", "unknown", "ok")
        for back in ("card", f"{state}-back")
    ),
    ("ink", "failed-back"),
    ("ink", "late-back"),
    ("ink", "odd-back"),
    ("faint", "failed-back"),
    ("faint", "late-back"),
    ("faint", "odd-back"),
]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_the_contrast_that_aa_asks_for(scheme: str) -> None:
    style = (Path(page.__file__).parent / "static" / "page.css").read_text(encoding="utf-8")
    light, dark = style.split("@media (prefers-color-scheme: dark)", 1)
    told = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", light))
    if scheme == "dark":
        told |= dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", dark.split("\n}", 1)[0]))
    for ink, back in TEXTS:
        assert _contrast(told[ink], told[back]) >= 4.5, f"{ink} on {back}"
    # Strokes that mean something.
    for ink in ("bars", "focus", "failed"):
        assert _contrast(told[ink], told["card"]) >= 3, ink


def test_facts_of_everything_show_every_state() -> None:
    told: Facts = everything()
    html = render(told)
    for state in ("failed", "late", "odd", "never run", "ok"):
        assert f"</svg>{state}</span>" in html
