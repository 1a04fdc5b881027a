"""From a ``sources.yaml`` and files to cleaned rows: commands, code location and runs."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import dagster as dg
import duckdb
import pytest
from click.testing import Result
from typer.testing import CliRunner

from platform_assets.assets.build import build_definitions
from platform_assets.cli.main import app
from platform_assets.cli.ranges import examine_range
from platform_assets.contracts import compile_contract
from platform_assets.declared.catalogue import catalogue, declared_sources, every_dataset
from platform_assets.demo import generate
from platform_assets.errors import PartitionError
from platform_assets.extensions import extension_file
from platform_assets.resources import lake_config
from platform_assets.resources.declared import all_connections
from platform_assets.scaffold import ModuleOptions, propose, render_module, sampled
from platform_assets.sources.base import Access, SourceColumn
from platform_assets.sources.looking import Look
from platform_assets.warehouse.lake import connect
from platform_assets_tests.conftest import Installation
from platform_assets_tests.unit.scaffold.support import judge, load_dataset, write_csv

ROOT = Path(__file__).resolve().parents[2]
D1, D2 = "2025-01-01", "2025-01-02"
SOURCES = """\
connections:
  files: {kind: folder, path: delivered}
datasets:
  - name: shops
    kind: csv
    connection: files
    path: shops.csv
    contract: infer
  - name: sales
    kind: csv
    connection: files
    path: sales/{partition}.csv
    partitions: {daily: {start: 2025-01-01, end: 2025-01-02}}
    key: sale_id
    max_bad_share: 0.7
    contract:
      columns:
        sale_id: int
        shop_id: {type: int, references: shops.shop_id}
        amount: {type: "decimal(18, 2)", ge: 0}
"""


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200"})


@pytest.fixture
def delivered(installation: Installation) -> Path:
    """Two datasets without code, and what was delivered for them."""
    folder = installation.root / "delivered"
    write_csv(folder / "shops.csv", {"shop_id": ["1", "2"], "city": ["Leeds", "York"]})
    sales = {"sale_id": ["1", "2", "3"], "shop_id": ["1", "2", "9"], "amount": ["5.00", "x", "1"]}
    write_csv(folder / "sales" / f"{D1}.csv", sales)
    write_csv(folder / "sales" / f"{D2}.csv", {name: values[:1] for name, values in sales.items()})
    Path("sources.yaml").write_text(SOURCES)
    return folder


def definitions() -> dg.Definitions:
    """What ``platform_assets.definitions`` does, without the shop of the code."""
    sources = declared_sources()
    return build_definitions(
        [entry.dataset() for entry in sources.entries], resources=all_connections(sources)
    )


def run(name: str, partition: str | None, instance: dg.DagsterInstance) -> bool:
    keys = [dg.AssetKey([layer, name]) for layer in ("raw", "cleaned", "quarantine")]
    job = definitions().resolve_implicit_global_asset_job_def()
    return job.execute_in_process(
        instance=instance, asset_selection=keys, partition_key=partition, raise_on_error=False
    ).success


def test_from_a_file_of_declarations_to_cleaned_rows(
    installation: Installation, delivered: Path, instance: dg.DagsterInstance
) -> None:
    assert call("datasets", "infer").exit_code == 0
    assert run("shops", None, instance)
    assert run("sales", D1, instance)
    assert run("sales", D2, instance)
    with connect(lake_config(installation.settings)) as lake:
        cleaned = lake.execute(
            "SELECT sale_id, shop_id, CAST(amount AS VARCHAR), _partition "
            "FROM lake.cleaned.sales ORDER BY ALL"
        ).fetchall()
        rejected = lake.execute(
            "SELECT count(*) FROM lake.platform.quarantine WHERE dataset = 'sales'"
        ).fetchone()
    assert cleaned == [(1, 1, "5.00", D1), (1, 1, "5.00", D2)]
    assert rejected == (2,)


def test_loading_contacts_no_source_and_an_unpinned_contract_says_what_to_do(
    installation: Installation, delivered: Path
) -> None:
    refused = call("datasets", "list")
    assert refused.exit_code == 2
    assert "not pinned" in refused.stderr
    assert "platform-assets datasets infer shops" in refused.stderr
    assert call("datasets", "infer").exit_code == 0
    shutil.rmtree(delivered)
    assert {dataset.name for dataset in every_dataset()} >= {"shops", "sales"}
    assert definitions().resolve_asset_graph().has(dg.AssetKey(["cleaned", "shops"]))


def test_a_pinned_contract_changes_only_when_asked(
    installation: Installation, delivered: Path
) -> None:
    first = call("datasets", "infer")
    assert "shops: 2 columns from 2 rows, in contracts/shops.yaml" in first.stdout
    pinned = Path("contracts/shops.yaml").read_text()
    write_csv(delivered / "shops.csv", {"shop_id": ["1", "2"], "city": ["Leeds", None]})
    assert "every inferred contract is pinned" in call("datasets", "infer").stdout
    assert Path("contracts/shops.yaml").read_text() == pinned
    again = call("datasets", "infer", "shops")
    assert "nullable: true" in again.stdout
    assert "nullable: true" in Path("contracts/shops.yaml").read_text()
    assert call("datasets", "infer", "--refresh").exit_code == 0
    wrong = call("datasets", "infer", "shop")
    assert wrong.exit_code == 2
    assert "did you mean shops?" in wrong.stderr


def test_the_list_says_where_each_is_declared(installation: Installation, delivered: Path) -> None:
    call("datasets", "infer")
    listed = {each["name"]: each for each in json.loads(call("datasets", "list", "--json").stdout)}
    assert listed["sales"] == {
        "name": "sales",
        "kind": "csv",
        "connection": "files",
        "cursor": None,
        "key": ["sale_id"],
        "partitions": "daily from 2025-01-01 to 2025-01-02",
        "declared": "sources.yaml:9",
    }
    assert listed["orders"]["declared"] == "platform_assets.datasets.orders"
    assert listed["shops"]["partitions"] == "none"
    assert [each.dataset.name for each in catalogue()] == list(listed)
    assert "sources.yaml:9" in call("datasets", "list").stdout
    assert "sale_id__castable" in call("contracts", "show", "sales").stdout
    assert '"files"' in call("connections", "list", "--json").stdout


def test_the_example_loads(installation: Installation) -> None:
    shutil.copy(ROOT / "sources.example.yaml", "sources.yaml")
    generate(installation.settings.shop, start=date(2025, 1, 1), days=2, orders_per_day=40)
    inferred = call("datasets", "infer")
    assert inferred.exit_code == 0, inferred.stderr
    names = {entry.name: entry.dataset() for entry in declared_sources().entries}
    assert set(names) == {"web_orders", "web_products"}
    assert names["web_products"].compiled.key == ("product_id",)
    assert set(all_connections()) == {"shop", "deliveries"}


def test_a_source_that_is_down_hurts_only_itself(
    installation: Installation, delivered: Path
) -> None:
    more = SOURCES.replace("path: shops.csv", "path: gone.csv") + (
        "  - {name: towns, kind: csv, connection: files, path: shops.csv, contract: infer}\n"
    )
    Path("sources.yaml").write_text(more)
    inferred = call("datasets", "infer")
    assert inferred.exit_code == 1
    assert "nothing to take a sample of" in inferred.stderr
    assert "towns: 2 columns" in inferred.stdout
    assert [path.name for path in Path("contracts").iterdir()] == ["towns.yaml"]


@pytest.mark.parametrize("path", ["customers/{partition}.csv", "orders/{partition}.csv"])
def test_a_scaffold_is_a_dataset(installation: Installation, tmp_path: Path, path: str) -> None:
    generate(installation.settings.shop, start=date(2025, 1, 1), days=3, orders_per_day=200)
    target = tmp_path / "made" / "dataset.py"
    made = call(
        "datasets", "scaffold", "--connection", "shop", "--path", path, "--to", str(target)
    )  # fmt: skip
    assert made.exit_code == 0, made.stderr
    dataset = load_dataset(target.read_text(), tmp_path)
    assert dataset.name == path.split("/", maxsplit=1)[0]
    assert str(dataset.partitions) == "Daily(start=datetime.date(2025, 1, 1), end=None)"
    assert dataset.source.connection == "shop"
    if dataset.name == "customers":
        pii = {c.name: c.pii for c in dataset.compiled.columns if c.pii}
        assert pii == {"email": "hash", "full_name": "drop", "phone": "mask"}
        assert "@" not in target.read_text().replace("@ ", "")
    again = call(
        "datasets", "scaffold", "--connection", "shop", "--path", path, "--to", str(target)
    )  # fmt: skip
    assert again.exit_code == 2
    assert "there already" in again.stderr


@pytest.mark.parametrize(
    ("arguments", "what", "fix"),
    [
        (["--connection", "shop"], "one table or of one path", "--table orders"),
        (["--connection", "shop", "--path", "a.csv", "--table", "a"], "one table", "--table"),
        (["--connection", "shpo", "--path", "a.csv"], "no such connection", "did you mean shop?"),
        (["--connection", "shop", "--path", "a.txt"], "kind of source is not known", "--kind"),
        (["--connection", "shop", "--path", "a", "--kind", "cvs"], "not known", "mean csv?"),
        (["--connection", "shop", "--path", "nothing.csv"], "nothing to take a sample of", "path"),
    ],
)
def test_a_scaffold_of_nothing_is_refused(
    installation: Installation, arguments: list[str], what: str, fix: str
) -> None:
    installation.settings.shop.mkdir(parents=True)
    refused = call("datasets", "scaffold", *arguments)
    assert refused.exit_code == 2
    assert what in refused.stderr
    assert fix in refused.stderr


@dataclass(frozen=True)
class SqliteTable:
    """A real table of a real database, as the engine's scanner gives it."""

    file: Path
    table: str
    connection: str = "db"

    @contextmanager
    def look(self, access: Access) -> Iterator[Look]:
        """The table, attached as long as the block lasts."""
        access.engine.execute(f"LOAD '{extension_file('sqlite_scanner')}'")
        access.engine.execute(f"ATTACH '{self.file}' AS live (TYPE sqlite, READ_ONLY)")
        try:
            told = access.engine.execute(
                "SELECT name, CAST(required AS INT) = 0, CAST(pk AS INT) > 0 FROM sqlite_query("
                "'live', 'SELECT name, \"notnull\" OR pk AS required, pk FROM "
                f"pragma_table_info(''{self.table}'')')"
            ).fetchall()
            types = {
                name: kind
                for name, kind, *_ in access.engine.execute(
                    f"DESCRIBE live.{self.table}"
                ).fetchall()
            }
            yield Look(
                tuple(SourceColumn(name, types[name], bool(null)) for name, null, _ in told),
                f"live.{self.table}",
                tuple(name for name, _, key in told if key),
            )
        finally:
            access.engine.execute("DETACH live")


def test_a_database_tells_its_types_and_its_key(tmp_path: Path) -> None:
    file = tmp_path / "shop.db"
    with sqlite3.connect(file) as made:
        made.execute(
            "CREATE TABLE lines (order_no INTEGER NOT NULL, line INTEGER NOT NULL, price DOUBLE, "
            "note TEXT, updated_at TIMESTAMP NOT NULL, PRIMARY KEY (order_no, line))"
        )
        made.executemany(
            "INSERT INTO lines VALUES (?, ?, ?, ?, '2025-01-01 10:00:00')",
            [(n // 2, n % 2, n * 0.5, "x" * (n % 5)) for n in range(5000)],
        )
    made.close()
    with (
        duckdb.connect() as engine,
        sampled(Access(engine), SqliteTable(file, "lines"), "lines", rows=1000) as sample,
    ):
        assert (sample.rows, sample.total) == (1000, 5000)
        proposal = propose(sample, "lines")
        options = ModuleOptions("platform_assets.sources.files:CsvFiles", "lines.csv", "db")
        dataset = load_dataset(render_module(proposal, options), tmp_path)
        assert judge(sample, compile_contract(dataset.contract, "lines")).broken == ()
    assert dataset.compiled.key == ("order_no", "line")
    types = {column.name: column.type.python.__name__ for column in dataset.compiled.columns}
    assert types == {
        "order_no": "int",
        "line": "int",
        "price": "float",
        "note": "str",
        "updated_at": "datetime",
    }
    assert "sampled from 5,000" in proposal.told
    assert dataset.compiled.cursor is not None


def test_a_range_that_a_dataset_does_not_have_is_refused(
    installation: Installation, delivered: Path
) -> None:
    call("datasets", "infer")
    selected = [("raw", "orders"), ("raw", "sales"), ("raw", "shops")]
    examine_range(every_dataset(), selected, D1, D2)
    examine_range(every_dataset(), selected[:1], D1, "2025-01-03")
    with pytest.raises(PartitionError, match="does not have all the days") as caught:
        examine_range(every_dataset(), selected, D1, "2025-01-03")
    assert caught.value.where == "dataset sales"
    assert "2025-01-01 to 2025-01-02" in caught.value.expected
    assert "--select" in caught.value.fix
