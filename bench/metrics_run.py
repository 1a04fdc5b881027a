"""Scrapes of the metrics of a year: one process that makes it, serves it and asks it over HTTP.

Belongs here: the measured process. Does not belong here: the year (``metrics_site``).
"""

from __future__ import annotations

import argparse
import json
import threading
import time
import urllib.request
from contextlib import nullcontext
from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg

from bench import metrics_site as site
from platform_assets.observability.metrics import CodeLocation, exporter_of
from platform_assets.observability.metrics.server import METRICS_PATH, bind
from platform_assets.observability.metrics.streams import Streams
from platform_assets.partitions import Daily
from platform_assets.pipeline.freshness import Promised
from platform_assets.quality.promise import Freshness
from platform_assets.sources.retrying import Guard
from platform_assets.warehouse.lake import LakeConfig, connect

# Assets of which something was published since the last scrape, on an ordinary day.
FEW = 10


def _code_location(assets: int) -> CodeLocation:
    promise, cut = Freshness(by="08:00"), Daily(date(2020, 1, 1))
    promised = [Promised(f"cleaned/d{n}", promise, cut) for n in range(assets * 2 // 5)]
    return CodeLocation(
        severities=lambda: {},
        promised=lambda: promised,
        streams=lambda: Streams([], lambda _: nullcontext(), Guard()),
    )


def _scrape(url: str) -> tuple[float, str]:
    begun = time.perf_counter()
    with urllib.request.urlopen(url, timeout=60) as answer:
        text = answer.read().decode()
    return time.perf_counter() - begun, text


def main() -> None:
    """Print what scrapes took, as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--assets", type=int, required=True)
    parser.add_argument("--days", type=int, required=True)
    parser.add_argument("--scrapes", type=int, required=True)
    options = parser.parse_args()
    root: Path = options.folder
    config = LakeConfig(
        root / "lake" / "catalog.sqlite", root / "lake" / "files", root / "scratch", threads=2
    )
    (root / "dagster").mkdir(parents=True)
    told: dict[str, object] = {}
    with (
        connect(config) as lake,
        dg.DagsterInstance.local_temp(
            str(root / "dagster"),
            overrides={
                "telemetry": {"enabled": False},
                "event_log_storage": {
                    "module": "platform_assets.event_log",
                    "class": "PooledSqliteEventLogStorage",
                    "config": {"base_dir": str(root / "dagster" / "events")},
                },
            },
        ) as instance,
    ):
        told["attempts"] = site.fill_ledger(lake, options.assets, options.days)
        site.fill_quarantine(lake, options.assets)
        told["files"] = site.fill_catalog(lake, config, options.assets)
        told["runs"] = site.fill_instance(instance, options.days)
        exporter = exporter_of(
            config,
            instance,
            _code_location(options.assets),
            breakers=root / "breakers.sqlite",
            watch=root / "watch.sqlite",
        )
        begun = time.perf_counter()
        exporter.warm_up()
        told["warm_up"] = time.perf_counter() - begun
        with bind(exporter, "127.0.0.1", 0) as server:
            thread = threading.Thread(target=server.serve_forever, daemon=True)
            thread.start()
            url = f"http://127.0.0.1:{server.server_port}{METRICS_PATH}"
            _scrape(url)
            day = options.days
            for kind, published in (("none", 0), ("few", FEW), ("all", options.assets)):
                spent, cpu = [], 0.0
                for _ in range(options.scrapes):
                    if published:
                        site.publish_days(lake, published, options.days, day, day + 1)
                        day += 1
                    begun = time.process_time()
                    seconds, text = _scrape(url)
                    cpu += time.process_time() - begun
                    spent.append(seconds)
                told[kind], told[f"{kind}_cpu"] = spent, cpu / options.scrapes
            server.shutdown()
            thread.join()
        exporter.close()
    samples = [line for line in text.splitlines() if not line.startswith("#")]
    failing = [line for line in samples if "collector_success" in line and not line.endswith("1.0")]
    told |= {"samples": len(samples), "bytes": len(text), "failing": failing}
    told["at"] = datetime.now(UTC).isoformat()
    print(json.dumps(told))


if __name__ == "__main__":
    main()
