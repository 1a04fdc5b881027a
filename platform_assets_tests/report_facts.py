"""Facts of a small platform, for tests of the status page: one of everything that it can show.

Belongs here: what several test modules need. Does not belong here: an assertion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from platform_assets.alerts.signals import Severity
from platform_assets.quality.findings import Finding
from platform_assets.quality.freshness import FreshnessState, Level
from platform_assets.report.model import (
    Alert,
    Asset,
    ColumnTold,
    Cost,
    Facts,
    Failure,
    Lake,
    Point,
    Published,
    Rejected,
    Unit,
    Watch,
)

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>{{7919*7907}}</script><!--"
DAYS = tuple(str((NOW - timedelta(days=n)).date()) for n in range(60, 0, -1))


def asset(key: str, *made_from: str, **options: Any) -> Asset:
    """An asset of the layer that its key says; of a dataset where that layer has any."""
    layer, _, name = key.partition("/")
    of_dataset = layer in ("raw", "cleaned", "quarantine")
    told = {"layer": layer, "dataset": name if of_dataset else "", "made_from": made_from}
    return Asset(key=key, **{**told, **options})


def unit(name: str, *made_from: str, kind: str = "dataset", **options: Any) -> Unit:
    """A dataset or an aggregate, made from units that are given by the asset that people read."""
    main = f"{'cleaned' if kind == 'dataset' else 'aggregated'}/{name}"
    assets = (f"raw/{name}", main) if kind == "dataset" else (main,)
    return Unit(name, kind, main, assets, made_from=made_from, **options)


def failure(key: str, *partitions: str, stopped_by: str = "status__isin") -> Failure:
    """Partitions that failed for one reason."""
    return Failure(key, stopped_by, partitions, "Too many rows\n  found: 3 of 4", NOW)


def finding(key: str, partition: str = DAYS[-1], **options: Any) -> Finding:
    """Something odd about a partition."""
    values: dict[str, Any] = {
        "dataset": key.rpartition("/")[2],
        "asset": key,
        "partition": partition,
        "run_id": "r",
        "check_name": "volume",
        "column_name": "rows",
        "severity": "warn",
        "observed": 5,
        "expected_low": 20,
        "expected_high": 90,
        "history": 56,
        "confidence": 0.99,
        "message": "volume of rows: 5; expected 20 to 90",
    }
    return Finding(**{**values, **options})


def points(*rows: int | None) -> list[Point]:
    """Partitions of so many rows, the last at yesterday; None: it failed."""
    days = DAYS[-len(rows) :]
    return [
        Point(day, n or 0, (n or 0) + 2, 1, 1, None if n is None else 97.5, n is None)
        for day, n in zip(days, rows, strict=True)
    ]


def alert(key: str, **options: Any) -> Alert:
    """An open problem."""
    values: dict[str, Any] = {
        "kind": "duration",
        "subject": key,
        "partition": DAYS[-1],
        "severity": Severity.WARN,
        "title": "takes twice as long as usual",
        "detail": "usual: 3 min",
        "since": NOW,
        "command": "platform-assets alerts ack 1",
    }
    return Alert(**{**values, **options})


def late(key: str, **options: Any) -> FreshnessState:
    """A promise that is not kept."""
    values: dict[str, Any] = {
        "level": Level.LATE,
        "message": f"{DAYS[-1]} was promised by 08:00 and is not there",
        "expected": DAYS[-1],
        "deadline": NOW,
    }
    return FreshnessState(key, **{**values, **options})


def lake(units: Sequence[Unit], **options: Any) -> Lake:
    """A lake in which everything was published."""
    values: dict[str, Any] = {
        "published": {key: Published(60, 0, DAYS[-1], NOW) for u in units for key in u.assets},
        "failures": [],
        "points": {u.main: points(*range(100, 160)) for u in units},
        "costs": [Cost(u.main, 60, 600.0, 10.0, 20.0, 5_000_000) for u in units],
        "rejected": [],
        "findings": [],
    }
    return Lake(**{**values, **options})


def facts(
    units: Sequence[Unit] = (), assets: Sequence[Asset] | None = None, **options: Any
) -> Facts:
    """Facts in which everything is well."""
    graph = [asset(key) for u in units for key in u.assets] if assets is None else assets
    values: dict[str, Any] = {
        "made_at": NOW,
        "version": "0.1.0",
        "ui_url": "http://localhost:3000",
        "some_day": DAYS[0],
        "assets": {each.key: each for each in graph},
        "units": units,
        "lake": lake(units),
        "freshness": {},
        "watch": Watch([], NOW),
        "lineage": {},
    }
    return Facts(**{**values, **options})


def everything(text: str = "plain") -> Facts:
    """One of everything that a page can show; all that comes from outside holds a text."""
    columns = (
        ColumnTold("order_id", "VARCHAR", f"The number. {text}", ("key",), (f"unique {text}",)),
        ColumnTold(f"mail {text}", "VARCHAR", "", pii="hash"),
    )
    bad, fine = f"orders {text}", "customers"
    orders = unit(
        bad,
        f"cleaned/{fine}",
        owners=(f"team:{text}",),
        contract=f"Order {text}",
        severities={f"rule {text}": "error"},
        table_rules=(f"a is after b {text}",),
    )
    customers = unit(fine, description=f"Customers. {text}")
    sales = unit("daily_sales", f"cleaned/{bad}", kind="aggregate")
    slow, new = unit("slow"), unit("new")
    units = [customers, orders, slow, new, sales]
    graph = [
        asset("source/shop", layer="source", dataset=""),
        asset(f"raw/{fine}", "source/shop"),
        asset(f"cleaned/{fine}", f"raw/{fine}", columns=columns),
        asset(f"raw/{bad}", "source/shop"),
        asset(f"cleaned/{bad}", f"raw/{bad}", f"cleaned/{fine}", columns=columns),
        asset("raw/slow", "source/shop"),
        asset("cleaned/slow", "raw/slow"),
        asset("raw/new", "source/shop"),
        asset("cleaned/new", "raw/new"),
        asset("aggregated/daily_sales", f"cleaned/{bad}", columns=columns[:1]),
    ]
    told = lake(units)
    ran = {key: value for key, value in told.published.items() if not key.endswith("/new")}
    return facts(
        units,
        graph,
        lake=replace(
            told,
            published=ran,
            failures=[
                replace(
                    failure(f"cleaned/{bad}", DAYS[-3], DAYS[-2], stopped_by=f"rule {text}"),
                    message=f"Too many rows {text}\n  fix: correct them",
                ),
                failure("aggregated/daily_sales", DAYS[-3], DAYS[-2], stopped_by="upstream"),
            ],
            points={key: each for key, each in told.points.items() if not key.endswith("/new")}
            | {f"cleaned/{bad}": points(*[100] * 56, None, None, 7, 0)},
            rejected=[Rejected(bad, f"rule {text}", 4, 1200, 2, DAYS[-3], DAYS[-2])],
            findings=[finding(f"cleaned/{fine}", message=f"volume of rows: 5 {text}")],
        ),
        freshness={"cleaned/slow": late("cleaned/slow", newest_event=NOW, message=f"late {text}")},
        watch=Watch(
            [
                alert(
                    "cleaned/slow", title=f"takes long {text}", detail=text, command=f"ack {text}"
                ),
                alert(
                    "sensor/arrival", severity=Severity.ERROR, partition="", owners=("ops@example",)
                ),
            ],
            NOW,
        ),
        lineage={
            (f"cleaned/{bad}", "order_id"): ((f"raw/{bad}", "order_id"),),
            ("aggregated/daily_sales", "order_id"): ((f"cleaned/{bad}", "order_id"),),
        },
    )
