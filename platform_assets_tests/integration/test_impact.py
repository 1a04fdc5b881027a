"""What a bad publish touched, by a real ledger: small assets, every kind of edge."""

from __future__ import annotations

import pytest

from platform_assets.contracts import Contract, Field, Key
from platform_assets.errors import PartitionError
from platform_assets.observability.impact import Impact, Wiring, impact_of
from platform_assets.observability.lineage_graph import LineageGraph
from platform_assets.pipeline import load_raw
from platform_assets.pipeline.frames import Frame, build_frame
from platform_assets.warehouse.lake import Connection
from platform_assets_tests.rolled import back
from platform_assets_tests.support import D1, D2, Site, row, text, things

LOOSE = things(max_bad_share=1.0)
WIRING = Wiring(
    LineageGraph(
        {
            "cleaned/things": ["raw/things"],
            "quarantine/things": ["raw/things"],
            "staging/view": ["cleaned/things"],
            "aggregated/total": ["staging/view"],
        }
    ),
    cut=frozenset({"raw/things", "cleaned/things", "quarantine/things", "staging/view"}),
    views=frozenset({"staging/view"}),
    ledgers={"quarantine/things": "cleaned/things"},
)


class Total(Contract):
    """All things."""

    name: str = Key()
    things: int = Field(ge=0)


def _count(lake: Connection, partition: str) -> object:
    del partition
    query = "SELECT 'all' AS name, count(*) AS things FROM lake.cleaned.things"
    return lake.execute(query).to_arrow_table()


TOTAL = Frame("total", Total, _count, upstream=("cleaned/things",))  # type: ignore[arg-type] # a table


def build_total(site: Site, run: str) -> None:
    build_frame(TOTAL, site.lake, ["all"], run_id=run)


def touched(found: Impact) -> dict[tuple[str, str], tuple[str, int | None, bool]]:
    return {(t.asset, t.partition): (t.how, t.rows, t.is_standing) for t in found.touched}


@pytest.fixture
def filled(site: Site) -> Site:
    """Two days, a total over both, and then the first day again."""
    site.deliver(D1, text(row("a"), row("b"), row("bad", quantity=-1)))
    site.deliver(D2, text(row("c")))
    site.run(LOOSE, [D1, D2])
    build_total(site, "total-1")
    return site


def test_what_was_built_is_touched_by_its_kind_of_edge(filled: Site) -> None:
    found = impact_of(filled.lake, WIRING, "raw/things", D1)
    assert touched(found) == {
        ("cleaned/things", D1): ("same partition", 2, True),
        ("quarantine/things", D1): ("same partition", 1, True),
        ("staging/view", D1): ("view", None, True),
        ("aggregated/total", "all"): ("whole table", 1, True),
    }
    assert (found.bad.run_id, found.mended, found.untouched) == ("run-1", None, ())
    (total,) = [t for t in found.touched if t.asset == "aggregated/total"]
    assert total.since is not None
    assert (total.since.run_id, total.by) == ("total-1", ("staging/view",))
    assert total.since.at.tzinfo is not None


def test_what_was_not_built_since_is_not_touched(filled: Site) -> None:
    filled.deliver(D1, text(row("worse", quantity=100)))
    load_raw(filled.step(LOOSE), [D1])
    found = impact_of(filled.lake, WIRING, "raw/things", D1)
    assert found.touched == ()
    assert set(found.untouched) == set(WIRING.graph.assets) - {"raw/things"}


def test_what_was_mended_stands_until_it_is_made_again(filled: Site) -> None:
    bad = impact_of(filled.lake, WIRING, "cleaned/things", D1).bad
    filled.deliver(D1, text(row("a"), row("z")))
    filled.run(LOOSE, [D1])

    def look() -> dict[tuple[str, str], tuple[str, int | None, bool]]:
        found = impact_of(filled.lake, WIRING, "cleaned/things", D1, bad.committed)
        assert found.mended is not None
        return touched(found)

    # The view shows the mended rows already, the total is what it was.
    assert look() == {
        ("staging/view", D1): ("view", None, False),
        ("aggregated/total", "all"): ("whole table", 1, True),
    }
    build_total(filled, "total-2")
    assert look()["aggregated/total", "all"] == ("whole table", 1, False)
    # Of the publish that stands now, the new total was made.
    now = touched(impact_of(filled.lake, WIRING, "cleaned/things", D1))
    assert now["aggregated/total", "all"] == ("whole table", 1, True)


def test_a_rollback_counts_as_what_it_restored(filled: Site) -> None:
    filled.deliver(D1, text(row("worse", quantity=100)))
    filled.run(LOOSE, [D1])
    bad = impact_of(filled.lake, WIRING, "raw/things", D1)
    assert touched(bad)["cleaned/things", D1] == ("same partition", 1, True)
    back(filled, LOOSE)
    found = touched(impact_of(filled.lake, WIRING, "raw/things", D1))
    assert found["cleaned/things", D1] == ("same partition", 1, False)


def test_lookups_touch_every_day_that_was_judged_since(filled: Site) -> None:
    wiring = Wiring(
        LineageGraph({"cleaned/things": ["cleaned/people"], "aggregated/total": []}),
        cut=frozenset({"cleaned/things", "cleaned/people"}),
        lookups=frozenset({("cleaned/things", "cleaned/people")}),
    )
    people = things("people")
    filled.deliver(D1, text(row("p")), "people")
    filled.run(people, [D1])
    assert impact_of(filled.lake, wiring, "cleaned/people", D1).touched == ()
    for day in (D1, D2):
        filled.deliver(day, text(row(f"new {day}")))
    filled.run(LOOSE, [D1, D2])
    found = touched(impact_of(filled.lake, wiring, "cleaned/people", D1))
    assert found == {("cleaned/things", day): ("looked up", 1, True) for day in (D1, D2)}


def test_a_partition_that_was_never_published_is_named(filled: Site) -> None:
    with pytest.raises(PartitionError, match="no publish that could have touched"):
        impact_of(filled.lake, WIRING, "cleaned/things", "2025-03-01")
    with pytest.raises(PartitionError, match="its first one is of snapshot"):
        impact_of(filled.lake, WIRING, "cleaned/things", D1, at=0)
