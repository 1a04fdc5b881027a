"""``sources.yaml``: every entry is a dataset like one in code, and every mistake is pointed at."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from platform_assets.contracts import Contract, EventTime, Field, Key, compile_contract
from platform_assets.datasets import declared_in
from platform_assets.declared import load_sources
from platform_assets.declared.catalogue import catalogue, declared_sources
from platform_assets.declared.kinds import KINDS, kinds, named
from platform_assets.errors import ContractError
from platform_assets.partitions import Daily, Unpartitioned
from platform_assets.quality.policy import Calendar, Event, Statistics
from platform_assets.quality.promise import Freshness
from platform_assets.sources.files import CsvFiles
from platform_assets_tests.unit.declared.support import MINIMAL, load, refused, write

ROOT = Path(__file__).resolve().parents[3]
FULL = """\
datasets:
  - name: refunds
    kind: csv
    connection: shop
    path: refunds/{partition}.csv
    delimiter: ";"
    partitions: {daily: {start: 2025-01-01, end: 2025-02-01}}
    description: Money given back.
    owners: [team:finance]
    tags: {tier: "1"}
    max_bad_share: 0.05
    quarantine_retention: 90d
    key: refund_id
    event_time: refunded_at
    cursor: updated_at
    contract:
      description: Money given back for an order.
      unique: [order_id, reason]
      columns:
        refund_id: str
        order_id: {type: str, severity: warn, description: Of which order.}
        amount: {type: "decimal(18, 2)", ge: 0, le: 9999.99, source: Amount (GBP)}
        share: {type: float, in_range: {min_value: 0, max_value: 1}}
        pieces: {type: int, isin: [1, 2, 3], nullable: true}
        reason: {type: str, isin: ["no", late], str_matches: "[a-z]+$", nullable: true}
        country: {type: str, str_length: {min_value: 2, max_value: 2}}
        zip: {type: str, str_length: 5, unique: true}
        open: {type: bool, eq: true}
        day: {type: date, format: "%d/%m/%Y", ge: 2025-01-01}
        email: {type: str, nullable: true, pii: hash}
        refunded_at: {type: datetime, lt: 2030-01-01}
        updated_at: {type: datetime, ge: 2020-01-01 01:00:00+01:00}
"""


class Refund(Contract):
    """The same in code."""

    refund_id: str = Key()
    order_id: str = Field(severity="warn", description="Of which order.")
    amount: Decimal = Field(ge=0, le=Decimal("9999.99"), decimal=(18, 2), source="Amount (GBP)")
    share: float = Field(in_range={"min_value": 0, "max_value": 1})
    pieces: int = Field(isin=[1, 2, 3], nullable=True)
    reason: str = Field(isin=["no", "late"], str_matches="[a-z]+$", nullable=True)
    country: str = Field(str_length={"min_value": 2, "max_value": 2})
    zip: str = Field(str_length=5, unique=True)
    open: bool = Field(eq=True)
    day: date = Field(format="%d/%m/%Y", ge=date(2025, 1, 1))
    email: str = Field(nullable=True, pii="hash")
    refunded_at: datetime = EventTime(lt=datetime(2030, 1, 1))
    updated_at: datetime = Field(cursor=True, ge=datetime(2020, 1, 1))

    class Config:
        """Of several columns."""

        unique = ["order_id", "reason"]  # noqa: RUF012 # as users write it


def test_an_entry_says_all_that_code_can(tmp_path: Path) -> None:
    (entry,) = load(tmp_path, FULL).entries
    dataset = entry.dataset()
    assert entry.where == f"{tmp_path}/sources.yaml:4"
    assert dataset.source == CsvFiles("refunds/{partition}.csv", "shop", ";")
    assert dataset.partitions == Daily(date(2025, 1, 1), date(2025, 2, 1))
    assert (dataset.description, dataset.owners) == ("Money given back.", ("team:finance",))
    assert (dataset.tags, dataset.max_bad_share) == ({"tier": "1"}, 0.05)
    assert dataset.quarantine_retention == timedelta(days=90)
    in_code = compile_contract(Refund, "refunds")
    assert dataset.compiled.rules == in_code.rules
    assert dataset.compiled.version == in_code.version
    assert dataset.compiled.description == "Money given back for an order."


def test_an_entry_says_as_little_as_possible(tmp_path: Path) -> None:
    (entry,) = load(tmp_path, MINIMAL).entries
    dataset = entry.dataset()
    assert dataset.partitions == Unpartitioned()
    assert dataset.max_bad_share == 0.10
    assert dataset.quarantine_retention is None
    assert "sources.yaml" in dataset.compiled.description


def test_an_entry_says_how_it_is_compared_with_its_history(tmp_path: Path) -> None:
    text = MINIMAL.replace(
        "    contract:",
        """    statistics:
      severities: {volume: error, duration: off}
      min_history: 21
      calendar: {holidays: GB, events: [{name: sale, first: 2025-07-01, last: 2025-07-03}]}
    contract:""",
    )
    statistics = load(tmp_path, text).entries[0].dataset().statistics
    assert statistics == Statistics(
        severities={"volume": "error", "duration": "off"},
        min_history=21,
        calendar=Calendar("GB", [Event("sale", date(2025, 7, 1), date(2025, 7, 3))]),
    )


def test_an_entry_says_how_fresh_it_is_promised_to_be(tmp_path: Path) -> None:
    text = MINIMAL.replace(
        "    contract:",
        """    freshness:
      by: "10:30"
      timezone: Europe/London
      days: business
      calendar: {holidays: GB}
      warn_before: 30m
    contract:""",
    )
    assert load(tmp_path, text).entries[0].dataset().freshness == Freshness(
        by="10:30",
        timezone="Europe/London",
        days="business",
        calendar=Calendar("GB"),
        warn_before=timedelta(minutes=30),
    )
    text = MINIMAL.replace("    contract:", "    freshness: {within: 2d, warn: 26h}\n    contract:")
    assert load(tmp_path, text).entries[0].dataset().freshness == Freshness(
        within=timedelta(days=2), warn=timedelta(hours=26)
    )
    assert load(tmp_path, MINIMAL).entries[0].dataset().freshness is None


def test_an_entry_says_what_a_failed_load_means_for_its_rows(tmp_path: Path) -> None:
    text = MINIMAL.replace("    contract:", "    on_failed_upstream: use_last_good\n    contract:")
    assert load(tmp_path, text).entries[0].dataset().on_failed_upstream == "use_last_good"
    assert load(tmp_path, MINIMAL).entries[0].dataset().on_failed_upstream == "refuse"


def test_what_is_not_there_declares_nothing(tmp_path: Path) -> None:
    assert load_sources(tmp_path / "sources.yaml").entries == ()
    (tmp_path / "sources.yaml").write_text("# nothing yet\n")
    assert load_sources(tmp_path / "sources.yaml").entries == ()


def test_a_contract_may_be_code(tmp_path: Path) -> None:
    text = MINIMAL.replace("{columns: {thing_id: str}}", f"{__name__}:Refund")
    assert load(tmp_path, text).entries[0].dataset().contract is Refund


def entry(old: str = "", new: str = "") -> str:
    assert old in MINIMAL
    return MINIMAL.replace(old, new)


def column(text: str) -> str:
    return MINIMAL.replace("{columns: {thing_id: str}}", f"{{columns: {{thing_id: {text}}}}}")


@pytest.mark.parametrize(
    ("text", "what", "place", "found", "fix"),
    [
        ("datasets: {}\n", "wrong form", "line 3, column 11 (datasets)", "a mapping", "correct"),
        ("dataset: []\n", "no such key", "line 3, column 1", "dataset", "rename it to datasets"),
        ("- a\n", "not a mapping", "line 1", "a list", "name: value"),
        ("datasets: [x]\n", "not a mapping", "(datasets[0])", "a scalar", "name: value"),
        (entry("kind: csv", "kind: cvs"), "no such kind", "column 11", "cvs", "rename it to csv"),
        (entry("    kind: csv\n"), "key is missing", "datasets[0]", "none", "add kind"),
        (entry("name: things", "name: 7"), "wrong form", "line 4", "7 (int)", "quotes"),
        (entry("path:", "paht:"), "no such key", "column 5", "paht", "rename it to path"),
        (entry("path: things/{partition}.csv", "delimiter: ;"), "missing", "", "none", "add path"),
        (entry("connection: files", "connection: file"), "connection that is not there",
         "line 6, column 17", "file", "rename it to files"),
        (entry("name: things", "name: Things"), "cannot be a table's name", "line 4", "'Things'",
         "rename the dataset"),
        (entry("{partition}", "*/{partition}"), "does not tell which partition", "line 4", "*",
         "write it like"),
        (entry("contract:", "quarantine_retention: 0d\n    contract:"), "are kept is none",
         "quarantine_retention)", "0:00:00", "ninety days"),
        (entry("contract:", "quarantine_retention: soon\n    contract:"), "wrong form",
         "quarantine_retention", "'soon'", ""),
        (entry("contract:", "max_bad_share: 10\n    contract:"), "not a share", "max_bad_share)",
         "10", "ten per cent"),
        (entry("contract:", "on_failed_upstream: ignore\n    contract:"), "wrong form",
         "on_failed_upstream", "'ignore'", ""),
        (entry("contract:", "statistics: {severities: {volum: error}}\n    contract:"),
         "cannot be judged so", "statistics", "volum", "rename it to volume"),
        (entry("contract:", "freshness: {by: 10:30}\n    contract:"), "wrong form",
         "freshness.by", "630", "quotes"),
        (entry("contract:", "freshness: {by: '25:00'}\n    contract:"), "cannot be promised so",
         "freshness", "25:00", "in quotes"),
        (entry("contract:", "freshness: {within: 2 hours}\n    contract:"), "wrong form",
         "freshness.within", "2 hours", ""),
        (entry("contract:", "freshness: {within: 2h, warn: 3h}\n    contract:"),
         "cannot be promised so", "freshness", "3h", "shorten"),
        (entry("contract:", "freshness: {from: 2h}\n    contract:"), "no such key",
         "freshness.from", "from", "correct the name"),
        (entry("contract:", "statistics: {calendar: {holidays: XX}}\n    contract:"),
         "holidays of that place", "line 4", "XX", "correct the code"),
        (entry("contract:", "partitions: daily\n    contract:"), "wrong form", "partitions",
         "'daily' (str)", ""),
        (entry("contract:", "partitions: {dayly: {}}\n    contract:"), "no such key",
         "partitions.dayly", "dayly", "rename it to daily"),
        (entry("contract:", "partitions: {daily: {begin: 2025-01-01}}\n    contract:"),
         "no such key", "daily.begin", "begin", "correct the name"),
        (entry("contract:", "partitions: {daily: {start: soon}}\n    contract:"), "wrong form",
         "daily.start", "'soon' (str)", "correct"),
        (MINIMAL + MINIMAL.removeprefix("datasets:\n"), "Two entries have one name", "line 9",
         "sources.yaml:4", "rename one"),
        (entry("contract:", "key: thing\n    contract:"), "not a column", "key)", "thing",
         "rename it to thing_id"),
        (entry("contract:", "key: [thing_id, x]\n    contract:"), "not a column", "key[1])", "x",
         "correct"),
        (column("{type: str, key: true}").replace("contract:", "key: thing_id\n    contract:"),
         "told twice", "columns.thing_id.key", "both", "take one"),
        (entry("contract: {columns: {thing_id: str}}", "contract: nowhere:Thing"),
         "class cannot be found", "contract", "nowhere:Thing", "importable"),
        (entry("contract: {columns: {thing_id: str}}", "contract: pathlib:Path"),
         "class cannot be found", "contract", "pathlib:Path", "importable"),
        (entry("contract: {columns: {thing_id: str}}", f"contract: {__name__}:Refund\n    key: a"),
         "is told in code", "key", __name__, "say it in the class"),
        (entry("contract: {columns: {thing_id: str}}", "contract: [infer]"),
         "neither columns", "contract", "a list", "datasets infer things"),
        (entry("{columns: {thing_id: str}}", "infer"), "not pinned", "sources.yaml:4", "none",
         "platform-assets datasets infer things"),
        (column("{type: text}"), "not one that a contract knows", "thing_id.type", "text", "str"),
        (column("decimal"), "not one that a contract knows", "thing_id)", "decimal",
         "decimal(18, 2)"),
        (column("decimal(1, 2)").replace("decimal(1, 2)", '"decimal(1, 2)"'), "precision and scale",
         "columns.thing_id)", "(1, 2)", ""),
        (column("{type: str, nulable: true}"), "no such key", "thing_id.nulable", "nulable",
         "rename it to nullable"),
        (column("[str]"), "neither a type nor a mapping", "thing_id)", "a list", "thing_id: str"),
        (column("{nullable: true}"), "key is missing", "thing_id", "none", "add type"),
        (column("{type: str, isin: [no]}"), "check is of the wrong form", "isin[0])",
         "False (bool)", "put it in quotes"),
        (column("{type: int, ge: '1'}"), "check is of the wrong form", "ge)", "'1' (str)",
         "without quotes"),
        (column("{type: int, ge: 0.5}"), "check is of the wrong form", "ge)", "0.5 (float)", "int"),
        (column("{type: str, isin: abc}"), "check is of the wrong form", "isin)", "'abc'",
         "[a, b]"),
        (column("{type: int, in_range: {min_value: 1}}"), "check is of the wrong form", "in_range",
         "a mapping", "max_value"),
        (column("{type: str, str_length: {min_val: 1}}"), "no such bound", "min_val)", "min_val",
         "min_value"),
        (column("{type: str, references: orders}"), "does not name a column", "columns.thing_id)",
         "'orders'", "a dot"),
        (column("{type: int, str_matches: a}"), "check of text", "things, column thing_id", "int",
         "str"),
        (entry("thing_id: str", "validate: str"), "cannot be called so", "columns.validate",
         "validate", "validate_"),
        (entry("thing_id: str", "_id: str"), "cannot be called so", "columns._id", "_id", "id_"),
        (entry("thing_id: str"), "no columns", "columns", "none", "infer"),
        ("connections: {Files: {kind: folder}}\n", "cannot be called so", "line 1, column 15",
         "Files", "rename"),
        ("connections: {lake: {kind: folder}}\n", "cannot be called so", "connections.lake",
         "the lake's", "rename"),
        ("connections: {shop: {kind: folder}}\n", "cannot be called so", "connections.shop",
         "connection in code", "rename"),
    ],
)  # fmt: skip
def test_a_mistake_is_pointed_at(
    tmp_path: Path, text: str, what: str, place: str, found: str, fix: str
) -> None:
    error = refused(tmp_path, text)
    assert what in error.what
    assert f"{tmp_path}/sources.yaml" in error.where
    assert place in error.where
    assert found in error.found
    assert fix in error.fix
    assert error.expected


def test_kinds_that_are_named_and_there_are_those_that_load() -> None:
    assert "csv" in kinds()
    assert set(kinds()) <= set(KINDS)
    assert named("platform_assets.nothing_of_the_sort:Thing") is None
    assert named("platform_assets.sources.files:NothingOfTheSort") is None


def test_loading_imports_the_sources_that_are_named_and_no_other(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from platform_assets.declared import load_sources;"
        "print([e.dataset().name for e in load_sources(Path(sys.argv[1])).entries]);"
        "print(sorted(m for m in sys.modules if m.startswith('platform_assets.sources.')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, write(tmp_path, MINIMAL)],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert done.stdout.splitlines()[0] == "['things']"
    loaded = done.stdout.splitlines()[1]
    assert "sources.files" in loaded
    assert not any(name in loaded for name in ("sources.tables", "sources.rest", "change_log"))


def test_five_hundred_entries_load_fast(tmp_path: Path) -> None:
    columns = "".join(
        f"        c{n}: {{type: {kind}, nullable: true}}\n"
        for n, kind in enumerate(["str", "int", "datetime", "'decimal(18, 2)'"] * 2)
    )
    text = "datasets:\n" + "".join(
        f"  - name: d{n}\n    kind: csv\n    connection: files\n    path: d{n}/{{partition}}.csv\n"
        f"    contract:\n      columns:\n        id: str\n{columns}"
        for n in range(500)
    )
    file = write(tmp_path, text)
    started = time.process_time()
    datasets = [listed.dataset for listed in catalogue(load_sources(file).entries)]
    assert len(datasets) == 500 + len(declared_in())
    # 1.5 s of a processor, measured on a busy machine; the bound leaves room for a busier one.
    assert time.process_time() - started < 4


def test_a_clash_with_code_is_refused(installation: object, tmp_path: Path) -> None:
    write(Path(), MINIMAL.replace("name: things", "name: orders"))
    with pytest.raises(ContractError, match="in code and in a file") as caught:
        declared_sources()
    assert caught.value.where == "sources.yaml, line 4, column 11 (datasets[0].name)"
    assert "platform_assets.datasets.orders" in caught.value.found
