"""Late because of: the asset or source nearest the beginning that lacks what is missing."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from platform_assets.pipeline.lateness import CLEANED_MISSING, Fact, Lineage, Made, end_of
from platform_assets.pipeline.upstream import RAW_MISSING
from platform_assets.warehouse.ledger import UPSTREAM

DAY, BEFORE = "2025-01-09", "2025-01-08"
MISSING = end_of(DAY)
RAW, CLEANED, FACTS, MART, VIEW = (
    "raw/orders", "cleaned/orders", "aggregated/facts", "aggregated/mart", "staging/view",
)  # fmt: skip
MADE = {
    RAW: Made(RAW, connection="shop", is_cut=True),
    CLEANED: Made(CLEANED, (RAW,), is_cut=True),
    VIEW: Made(VIEW, (CLEANED,), is_cut=True, is_kept=False),
    FACTS: Made(FACTS, (VIEW,), is_cut=True),
    MART: Made(MART, (FACTS,), is_cut=False),
}
AT = datetime(2025, 1, 10, 6, tzinfo=UTC)


def there(day: str | None, **failed: str) -> Fact:
    return Fact(day, day, AT, None, AT, {key.replace("_", "-")[1:]: v for key, v in failed.items()})


def lineage(**facts: Fact) -> Lineage:
    names = {"raw": RAW, "cleaned": CLEANED, "facts": FACTS, "mart": MART}
    return Lineage(MADE, {names[name]: fact for name, fact in facts.items()})


def test_the_source_is_the_root_of_all_that_lacks_what_it_did_not_bring() -> None:
    found = lineage(raw=there(BEFORE), cleaned=there(BEFORE), facts=there(BEFORE))
    for asset in (CLEANED, FACTS, MART):
        assert found.lacks(asset, MISSING)
        assert found.roots(asset, MISSING) == ("source/shop",)
    # Where nothing was ever there it is no other.
    assert lineage().roots(MART, MISSING) == ("source/shop",)


def test_what_was_stopped_by_its_own_rule_is_its_own_root() -> None:
    failed = there(BEFORE, _2025_01_09="quantity__ge")
    found = lineage(raw=there(DAY), cleaned=failed, facts=there(BEFORE, _2025_01_09=UPSTREAM))
    assert found.stopped_by(CLEANED, MISSING) == "quantity__ge"
    assert found.roots(CLEANED, MISSING) == (CLEANED,)
    assert found.roots(FACTS, MISSING) == (CLEANED,)
    assert found.roots(MART, MISSING) == (CLEANED,)


@pytest.mark.parametrize("stopped_by", [UPSTREAM, RAW_MISSING, CLEANED_MISSING])
def test_a_refusal_is_no_rule_of_its_own(stopped_by: str) -> None:
    found = lineage(raw=there(BEFORE), cleaned=there(BEFORE, _2025_01_09=stopped_by))
    assert found.stopped_by(CLEANED, MISSING) == ""
    assert found.roots(CLEANED, MISSING) == ("source/shop",)


@pytest.mark.parametrize(("stopped_by", "root"), [("source", "source/shop"), ("schema_drift", RAW)])
def test_a_load_that_fails_is_the_sources_or_its_own(stopped_by: str, root: str) -> None:
    found = lineage(raw=there(BEFORE, _2025_01_09=stopped_by), cleaned=there(BEFORE))
    assert found.roots(CLEANED, MISSING) == (root,)


def test_what_nobody_has_made_is_its_own_root() -> None:
    found = lineage(raw=there(DAY), cleaned=there(DAY), facts=there(BEFORE))
    assert found.roots(FACTS, MISSING) == (FACTS,)
    assert not found.lacks(CLEANED, MISSING)


def test_an_older_failure_explains_nothing() -> None:
    found = lineage(raw=there(BEFORE), cleaned=there(BEFORE, _2025_01_01="quantity__ge"))
    assert found.roots(CLEANED, MISSING) == ("source/shop",)


def test_two_sources_are_two_roots_and_each_is_named_once() -> None:
    made = {
        **MADE,
        "raw/b": Made("raw/b", connection="erp", is_cut=True),
        "cleaned/b": Made("cleaned/b", ("raw/b",), is_cut=True),
        "aggregated/both": Made("aggregated/both", (FACTS, "cleaned/b", CLEANED), is_cut=True),
    }
    found = Lineage(made, {})
    assert found.roots("aggregated/both", MISSING) == ("source/shop", "source/erp")
    assert found.sources("aggregated/both") == ("source/shop", "source/erp")


def test_what_the_platform_does_not_make_explains_nothing() -> None:
    foreign = Made("other/table", is_kept=False)
    own = Made("aggregated/x", ("other/table", "gone/away"), is_cut=False)
    found = Lineage({m.asset: m for m in (foreign, own)}, {"aggregated/x": there(None)})
    assert found.reach("aggregated/x") == AT
    assert found.roots("aggregated/x", AT + timedelta(days=1)) == ("aggregated/x",)
    assert found.sources("aggregated/x") == ()


def whole(**options: Any) -> Fact:
    return Fact("all", "all", AT, None, AT, **options)


def test_a_whole_table_reaches_as_far_as_what_it_was_made_from() -> None:
    made = {
        "raw/p": Made("raw/p", connection="shop"),
        "cleaned/p": Made("cleaned/p", ("raw/p",)),
        "aggregated/p": Made("aggregated/p", ("cleaned/p",)),
    }
    later = replace(whole(), passed_at=AT + timedelta(days=3))
    # The rows were cleaned and aggregated again, and nobody has looked at the source since.
    found = Lineage(made, {"raw/p": whole(), "cleaned/p": later, "aggregated/p": later})
    assert found.reach("aggregated/p") == AT
    moment = AT + timedelta(days=1)
    assert found.lacks("aggregated/p", moment)
    assert found.roots("aggregated/p", moment) == ("source/shop",)
    # The source was looked at, and the cleaning has failed.
    stopped = replace(whole(), failed={"all": "rule"})
    found = Lineage(made, {"raw/p": later, "cleaned/p": stopped, "aggregated/p": later})
    assert found.reach("aggregated/p") == AT
    assert found.roots("aggregated/p", moment) == ("cleaned/p",)
    assert Lineage(made, {"aggregated/p": later}).reach("aggregated/p") is None


def test_a_whole_table_has_not_what_was_published_after_it_was_made() -> None:
    facts = replace(there(DAY), published_at=AT + timedelta(hours=1))
    found = lineage(raw=there(DAY), cleaned=there(DAY), facts=facts, mart=whole())
    assert found.reach(MART) == end_of(BEFORE)
    assert found.roots(MART, MISSING) == (MART,)
    made_after = replace(whole(), passed_at=AT + timedelta(hours=2))
    found = lineage(raw=there(DAY), cleaned=there(DAY), facts=facts, mart=made_after)
    assert found.reach(MART) == end_of(DAY)
    assert not found.lacks(MART, MISSING)
