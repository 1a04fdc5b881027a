"""A real retailer's year through the example's own command, and the same layout in miniature."""

from __future__ import annotations

import csv
import json
from decimal import Decimal
from pathlib import Path

import dagster as dg
import pytest
from typer.testing import CliRunner

from examples.online_retail.__main__ import app
from examples.online_retail.dataset import invoice_lines
from platform_assets.warehouse.tables import cleaned_table, quarantine_view
from platform_assets_tests.integration.online_retail import (
    ROOT,
    Outcome,
    evaluations,
    materialized,
    run,
)

BY_DAY = (ROOT / "../shared/data/online_retail/by-day").resolve()
LAYERS = ("raw", "cleaned", "quarantine")
DAYS = 374

# From ../shared/data/README.md, and on purpose not from the example: it is what is tested.
CONTROL_TOTALS: dict[str, int | str] = {
    "rows": 541_909,
    "total": "9747747.934",
    "total_without_cancellations": "10644560.424",
    "rows_without_customer": 135_080,
    "customers": 4_372,
    "surplus_copies": 5_268,
    "cancellation_lines": 9_288,
    "cancelled_invoices": 3_836,
    "negative_quantities_not_cancelled": 1_336,
    "negative_prices": 2,
    "zero_prices": 2_515,
    "empty_days": 69,
}

with_the_year = pytest.mark.skipif(
    not BY_DAY.is_dir(), reason=f"the real year is not here: there is no folder {BY_DAY}"
)


# --- the year ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def year(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """The whole year, through Dagster."""
    return run(BY_DAY, tmp_path_factory.mktemp("year"), "--json")


@with_the_year
@pytest.mark.xdist_group("online_retail")
class TestYear:
    def test_every_control_total_is_reproduced(self, year: Outcome) -> None:
        totals = year.said["totals"]
        assert year.said["known_data_set"] is True
        for name, layer in (("expected", "raw"), ("raw", "cleaned_and_quarantine")):
            assert {k: v[name] for k, v in totals.items()} == CONTROL_TOTALS, name
            assert {k: v[layer] for k, v in totals.items()} == CONTROL_TOTALS, layer
        assert (year.status, year.said["ok"]) == (0, True), year.err

    def test_the_ledger_adds_up(self, year: Outcome) -> None:
        ledger = year.said["ledger"]
        assert ledger["extracted"] == 541_909
        assert ledger["cleaned"] + ledger["quarantined"] + ledger["deduplicated"] == 541_909
        assert (ledger["quarantined"], ledger["deduplicated"]) == (1_338, 0)
        assert (ledger["partitions"], ledger["failed"], ledger["adds_up"]) == (DAYS, 0, True)

    def test_business_is_kept_and_dirt_is_not(self, year: Outcome) -> None:
        broken = year.query(
            "SELECT rule, count(*) FROM (SELECT unnest(rules) AS rule FROM "
            f"{quarantine_view(invoice_lines.name)}) WHERE rule <> 'unit_price__gt' "
            "GROUP BY rule ORDER BY rule"
        )
        assert broken == [("only_cancellations_are_negative", 1_336), ("unit_price__ge", 2)]
        assert year.figure("cancellation_lines", "cleaned") == 9_288
        assert year.figure("negative_quantities_not_cancelled", "cleaned") == 0

    def test_dagster_shows_every_day_of_every_asset(
        self, year: Outcome, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for layer in LAYERS:
            shown, runs = materialized(year.lake, layer, monkeypatch)
            assert shown == set(invoice_lines.partitions.keys()), layer
            assert runs == [dg.DagsterRunStatus.SUCCESS]

    def test_the_checks_state_the_known_dirt_of_the_year_and_of_each_day(
        self, year: Outcome, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        known = {
            "only_cancellations_are_negative": (1_336, "error", "alert", False),
            "unit_price__ge": (2, "error", "alert", False),
            # Free goods, and the two.
            "unit_price__gt": (2_515 + 2, "info", "pass", True),
            "invoice_no__str_matches": (0, "error", "pass", True),
        }
        for name, (rows, severity, action, passed) in known.items():
            of_run, of_days = evaluations(year.lake, name, monkeypatch)
            assert len(of_days) == DAYS
            said = {key: value.value for key, value in of_run.metadata.items()}
            assert (said["rows_broken"], said["rows_judged"]) == (rows, 541_909), name
            assert (said["severity"], said["action"], of_run.passed) == (severity, action, passed)
            assert sum(int(each.metadata["rows_broken"].value) for each in of_days) == rows
            assert sum(int(each.metadata["rows_judged"].value) for each in of_days) == 541_909
            failing = {each.partition for each in of_days if not each.passed}
            assert bool(failing) is not passed
        of_run, of_days = evaluations(year.lake, "reconciliation", monkeypatch)
        sums = {
            term: sum(int(each.metadata[f"rows_{term}"].value) for each in of_days)
            for term in ("extracted", "cleaned", "quarantined", "deduplicated")
        }
        assert sums == {
            "extracted": 541_909,
            "cleaned": 540_571,
            "quarantined": 1_338,
            "deduplicated": 0,
        }
        assert of_run.passed
        assert all(each.passed for each in of_days)

    def test_a_second_run_changes_nothing_but_the_ledger(self, year: Outcome) -> None:
        fingerprint = (
            f"SELECT count(*), sum(hash(c)::HUGEINT) FROM {cleaned_table(invoice_lines.name)} AS c"
        )
        before = year.query(fingerprint)
        again = run(BY_DAY, year.lake, "--json", "--engine-only")
        assert again.status == 0, again.err
        assert year.query(fingerprint) == before
        statuses = year.query(
            "SELECT status, count(*) FROM lake.platform.ledger "
            f"WHERE run_id = '{again.said['run_id']}' GROUP BY status"
        )
        assert statuses == [("unchanged", 2 * DAYS)]

    def test_a_tenth_of_a_penny_is_noticed(self, tmp_path: Path) -> None:
        folder = tmp_path / "by-day"
        folder.mkdir()
        for file in BY_DAY.glob("*.csv"):
            (folder / file.name).symlink_to(file)
        changed = folder / "2011-06-15.csv"
        text = changed.read_text(encoding="utf-8")
        changed.unlink()
        header, first, rest = text.split("\n", 2)
        fields = next(csv.reader([first]))
        first = first.replace(f",{fields[5]},", f",{Decimal(fields[5]) + Decimal('0.001')},")
        changed.write_text("\n".join((header, first, rest)), encoding="utf-8")

        outcome = run(folder, tmp_path / "lake", "--json", "--engine-only")

        assert outcome.status == 1
        wrong = {name for name, each in outcome.said["totals"].items() if not each["agrees"]}
        assert wrong == {"total", "total_without_cancellations"}
        assert outcome.said["ledger"]["adds_up"] is True


# --- in miniature --------------------------------------------------------------------------

HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"


def line(
    day: str,
    invoice: str = "536365",
    quantity: str = "2",
    price: str = "0.125",
    customer: str = "17850.0",
    description: str = '"LANTERN, ""RED"""',
) -> str:
    return (
        f"{invoice},85123A,{description},{quantity},{day} 08:26:00,{price},{customer},"
        "United Kingdom"
    )


def deliver(folder: Path, day: str, *lines: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / f"{day}.csv").write_text("\n".join((HEADER, *lines, "")), encoding="utf-8")


def three_files(folder: Path) -> Path:
    """A cancelled invoice, no second of December, a dirty row among 20."""
    deliver(
        folder,
        "2010-12-01",
        line("2010-12-01"),
        line("2010-12-01"),
        line("2010-12-01", invoice="C536379", quantity="-1"),
    )
    deliver(
        folder,
        "2010-12-03",
        *[line("2010-12-03", invoice=f"{600_000 + n}", customer="12346.0") for n in range(19)],
        line("2010-12-03", quantity="-7", price="0.0", customer="", description="damages"),
    )
    deliver(folder, "2010-12-05", line("2010-12-05", price="0.0", customer="", description=""))
    return folder


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """The three files, to be changed."""
    return three_files(tmp_path / "by-day")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """The three files, published; not to be changed."""
    folder = tmp_path_factory.mktemp("small")
    return run(three_files(folder / "by-day"), folder / "lake", "--json", "--engine-only")


def test_figures_of_another_folder_are_counted_without_expectation(small: Outcome) -> None:
    assert small.status == 0, small.err
    assert small.said["known_data_set"] is False
    totals = small.said["totals"]
    assert {name: each["raw"] for name, each in totals.items()} == {
        "rows": 24,
        "total": "5.125",  # 21 lines of 2 x 0.125, one of them taken back by half
        "total_without_cancellations": "5.250",
        "rows_without_customer": 2,
        "customers": 2,
        "surplus_copies": 1,
        "cancellation_lines": 1,
        "cancelled_invoices": 1,
        "negative_quantities_not_cancelled": 1,
        "negative_prices": 0,
        "zero_prices": 2,
        "empty_days": DAYS - 3,
    }
    for name, each in totals.items():
        assert (each["expected"], each["agrees"]) == (None, True), name
        assert each["cleaned_and_quarantine"] == each["raw"], name


def test_a_missing_day_is_an_empty_partition(small: Outcome) -> None:
    ledger = small.said["ledger"]
    assert (ledger["partitions"], ledger["failed"]) == (DAYS, 0)
    assert (ledger["extracted"], ledger["cleaned"], ledger["quarantined"]) == (24, 23, 1)
    attempt = small.query(
        "SELECT status, extracted FROM lake.platform.ledger "
        "WHERE asset = 'cleaned/invoice_lines' AND partition = '2010-12-02'"
    )
    assert attempt == [("published", 0)]


def test_a_cancellation_is_published_and_dirt_is_quarantined_whole(small: Outcome) -> None:
    assert small.query(
        "SELECT quantity, unit_price, customer_id, description "
        f"FROM {cleaned_table(invoice_lines.name)} WHERE invoice_no = 'C536379'"
    ) == [(-1, Decimal("0.125"), 17850, 'LANTERN, "RED"')]
    [(rules, file, number, original)] = small.query(
        "SELECT rules, source_file, row_number, original_row "
        f"FROM {quarantine_view(invoice_lines.name)}"
    )
    assert (rules, file, number) == (
        ["unit_price__gt", "only_cancellations_are_negative"],
        "2010-12-03.csv",
        20,
    )
    assert json.loads(original) == {
        "InvoiceNo": "536365",
        "StockCode": "85123A",
        "Description": "damages",
        "Quantity": "-7",
        "InvoiceDate": "2010-12-03 08:26:00",
        "UnitPrice": "0.0",
        "CustomerID": None,
        "Country": "United Kingdom",
    }


@pytest.mark.parametrize(
    ("damage", "wrong"),
    [
        ("DELETE FROM {table} WHERE invoice_no = 'C536379'", "rows"),
        ("UPDATE {table} SET unit_price = 0.126 WHERE invoice_no = 'C536379'", "total"),
    ],
    ids=["a line is lost", "a line is altered"],
)
def test_what_happens_to_published_rows_is_noticed(
    shop: Path, tmp_path: Path, damage: str, wrong: str
) -> None:
    published = run(shop, tmp_path / "lake", "--json", "--engine-only")
    assert published.status == 0, published.err
    with published.opened() as connection:
        connection.execute(damage.format(table=cleaned_table(invoice_lines.name)))
    again = run(shop, published.lake, "--json", "--engine-only")
    assert (again.status, again.said["ok"]) == (1, False)
    assert again.said["totals"][wrong]["agrees"] is False
    assert again.said["ledger"]["adds_up"] is (wrong != "rows")


def test_a_day_of_dirt_fails_alone_and_is_published_once_it_is_corrected(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver(shop, "2010-12-06", line("2010-12-06", quantity="-3"), line("2010-12-06"))
    stopped = run(shop, tmp_path / "lake", "--json")
    assert stopped.status == 1, stopped.err
    assert stopped.said["failed"] == [
        {
            "asset": "cleaned/invoice_lines",
            "partition": "2010-12-06",
            "stopped_by": "only_cancellations_are_negative",
        }
    ]
    assert stopped.figure("rows", "raw") == 26
    assert stopped.figure("rows", "cleaned_and_quarantine") == 24
    for layer, missing in (("raw", set()), ("cleaned", {"2010-12-06"})):
        shown, runs = materialized(stopped.lake, layer, monkeypatch)
        assert set(invoice_lines.partitions.keys()) - shown == missing, layer
        assert runs == [dg.DagsterRunStatus.FAILURE]

    deliver(shop, "2010-12-06", line("2010-12-06", quantity="3"), line("2010-12-06"))
    corrected = run(shop, tmp_path / "lake", "--json", "--engine-only")
    assert corrected.status == 0, corrected.err
    assert corrected.figure("rows", "cleaned") == 25


def test_a_file_that_cannot_be_read_is_named_to_people_within_80_columns(
    shop: Path, tmp_path: Path
) -> None:
    deliver(shop, "2010-12-06")
    (shop / "2010-12-06.csv").write_text("InvoiceNo;StockCode\n1;2\n", encoding="utf-8")
    deliver(shop, "2012-01-01", line("2012-01-01"))
    outcome = run(shop, tmp_path / "lake", "--engine-only")
    assert outcome.status == 1
    assert f"{shop}/2010-12-06.csv, line 1" in outcome.out
    assert "1 CSV files are of none of the dataset's days" in outcome.out
    assert "24 rows extracted = 23 cleaned + 1 quarantined + 0 deduplicated" in outcome.out
    table, _, _ = outcome.out.partition("Ledger:")
    assert max(len(row) for row in table.splitlines()) <= 80
    assert "…" not in table


@pytest.mark.parametrize("there", ["nothing", "file", "empty", "other"])
def test_an_input_that_is_none_is_refused_before_anything_is_made(
    there: str, tmp_path: Path
) -> None:
    data = tmp_path / "by-day [2011]"
    if there == "file":
        data.write_text("no folder", encoding="utf-8")
    elif there != "nothing":
        data.mkdir()
    if there == "other":
        (data / "sales.csv").write_text(HEADER, encoding="utf-8")
    arguments = ["--data", str(data), "--lake", str(tmp_path / "lake"), "--json"]
    outcome = CliRunner().invoke(app, arguments)
    assert (outcome.exit_code, outcome.stdout) == (2, "")
    assert isinstance(outcome.exception, SystemExit)
    assert outcome.stderr.startswith("error: ")
    assert f"--data {data}" in outcome.stderr
    assert "fix: " in outcome.stderr
    assert not (tmp_path / "lake").exists()
