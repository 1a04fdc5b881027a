"""The how-to's model in SQL: added to a copy of the dbt project, built, and built on."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from platform_assets.assets.dbt_project import PROJECT_DIR
from platform_assets_tests.integration.order_versions import (
    D1,
    D2,
    TABLES,
    Publish,
    Run,
    Shop,
    Version,
    dbt_runner,
)

HOW_TO = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "add-an-aggregate.md"


def test_the_documented_model_is_built_day_by_day(tmp_path: Path) -> None:
    (model,) = re.findall(r"^```sql\n(.*?)^```", HOW_TO.read_text("utf-8"), re.M | re.S)
    project = tmp_path / "dbt"
    shutil.copytree(PROJECT_DIR, project, ignore=shutil.ignore_patterns("target", "*.py"))
    (project / "models" / "aggregated" / "country_orders.sql").write_text(model, "utf-8")
    with (
        dbt_runner(tmp_path / "logs", project) as dbt,
        Shop.open(tmp_path, dbt, tables=(*TABLES, "country_orders")) as shop,
    ):
        shop.publish(Publish(D1, {"a": Version(1), "b": Version(1, status="cancelled")}))
        shop.do(Run([D1]))
        shop.publish(Publish(D2, {"a": Version(2, day=2), "c": Version(2, day=2)}))
        shop.do(Run([D2]))
        assert shop.lake.execute(
            "SELECT CAST(order_date AS VARCHAR), country, orders "
            "FROM lake.aggregated.country_orders ORDER BY ALL"
        ).fetchall() == [("2025-01-03", "GB", 2)]
