"""What is in ``deploy/``: it is what Prometheus takes, and speaks of metrics that there are."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from platform_assets.observability.metrics import declared_metrics, freshness

DEPLOY = Path(__file__).resolve().parents[3] / "deploy"
PROMETHEUS = DEPLOY / "prometheus"
RULES, TESTS = PROMETHEUS / "rules.yml", PROMETHEUS / "rules.test.yml"
METRICS = {metric.name: metric for told in declared_metrics().values() for metric in told}
NAMED = re.compile(r"\bplatform_assets_[a-z_]+")
# What Grafana puts in: variables, and an interval that follows the zoom.
FILLED_IN = {"$asset": ".*", "$layer": ".*", "$__rate_interval": "5m"}

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="Prometheus is not installed"
)


def run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((DEPLOY / "grafana/dashboard.json").read_text("utf-8"))
    return found


def shown() -> Iterator[tuple[str, str]]:
    """Title and expression of everything that the dashboard asks for."""
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", []):
            expression = target["expr"]
            for variable, value in FILLED_IN.items():
                expression = expression.replace(variable, value)
            yield panel["title"], expression


def unknown_in(expression: str) -> list[str]:
    """What an expression asks of metrics that there are not, or of labels that they have not."""
    # The name of the scrape job is no metric.
    bare = expression.replace('job="platform_assets"', "")
    wrong = [name for name in NAMED.findall(bare) if name not in METRICS]
    for name, selector in re.findall(r"\b(platform_assets_[a-z_]+)\{([^}]*)\}", bare):
        labels = re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"", selector)
        wrong += [
            f"{name}{{{x}}}" for x in labels if name in METRICS and x not in METRICS[name].labels
        ]
    return wrong


@needs_promtool
def test_prometheus_takes_the_files() -> None:
    assert "SUCCESS" in run("promtool", "check", "config", PROMETHEUS / "prometheus.yml")
    assert f"{len(rules())} rules found" in run("promtool", "check", "rules", RULES)
    run("promtool", "test", "rules", TESTS)


@pytest.mark.skipif(shutil.which("amtool") is None, reason="Alertmanager is not installed")
def test_alertmanager_takes_its_file() -> None:
    run("amtool", "check-config", DEPLOY / "alertmanager" / "alertmanager.yml")


@needs_promtool
def test_the_test_of_a_rule_notices_that_the_rule_is_gone(tmp_path: Path) -> None:
    """For each rule: without it, the rules' own tests fail."""
    told = yaml.safe_load(RULES.read_text(encoding="utf-8"))
    tests = yaml.safe_load(TESTS.read_text(encoding="utf-8"))
    for rule in rules():
        name = rule["alert"]
        own = [each for each in tests["tests"] if each["name"].split(" ")[0] == name]
        expected = [e["exp_samples"] for test in own for e in test["promql_expr_test"]]
        assert any(expected), f"no test makes {name} fire"
        for samples in expected:
            assert all(name in sample["labels"] for sample in samples)
    groups = [{"name": "none", "rules": [{"alert": "None", "expr": "vector(0) > 1"}]}]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({**told, "groups": groups}))
    shutil.copy(TESTS, tmp_path)
    without = ["promtool", "test", "rules", tmp_path / TESTS.name]
    done = subprocess.run(without, capture_output=True, text=True, check=False, timeout=120)
    failed = set(re.findall(r'alertname="(\w+)"', done.stdout + done.stderr))
    assert {rule["alert"] for rule in rules()} <= failed


def test_a_problem_is_told_within_two_minutes_at_the_shipped_intervals() -> None:
    told = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text(encoding="utf-8"))["global"]
    route = yaml.safe_load((DEPLOY / "alertmanager/alertmanager.yml").read_text("utf-8"))["route"]
    for name, pace in {
        "PlatformAssetsPartitionsFailed": 0.0,
        "PlatformAssetsBreakerOpen": 0.0,
        "PlatformAssetsNotScraped": 0.0,
        # They are judged at a pace of their own, and a scrape tells what was judged before it.
        "PlatformAssetsDataLate": freshness.PACE.total_seconds() + seconds(told["scrape_interval"]),
    }.items():
        (rule,) = [rule for rule in rules() if rule["alert"] == name]
        longest = (
            pace
            + seconds(told["scrape_interval"])
            # Until it is looked at first, and again when it has stayed for long enough.
            + 2 * seconds(told["evaluation_interval"])
            + seconds(rule.get("for", "0s"))
            + seconds(route["group_wait"])
        )
        assert longest <= 120, name


def seconds(text: str) -> float:
    return float(text[:-1]) * {"s": 1, "m": 60}[text[-1]]


def test_a_rule_says_how_bad_it_is_and_what_to_do() -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(names) == len(set(names))
    for rule in rules():
        assert rule["labels"]["severity"] in {"warn", "error"}
        assert set(rule["annotations"]) == {"summary", "description"}
        assert rule["annotations"]["description"].endswith(".")
        # A partition or a run in a label would make an alert of each.
        assert not re.search(r"\$labels\.(partition|run)", json.dumps(rule))


def test_rules_speak_of_metrics_that_there_are() -> None:
    wrong = {rule["alert"]: unknown_in(rule["expr"]) for rule in rules()}
    assert not {name: found for name, found in wrong.items() if found}
    assert unknown_in("platform_assets_nothing > 1") == ["platform_assets_nothing"]
    assert unknown_in('platform_assets_lake_snapshots{run="1"}') == [
        "platform_assets_lake_snapshots{run}"
    ]
    assert unknown_in('up{job="platform_assets"}') == []


def test_the_commands_that_rules_name_are_there() -> None:
    from platform_assets.cli.main import app
    from platform_assets.cli.reference import pages

    commands = pages(app)["commands.md"]
    for rule in rules():
        for command in re.findall(r"`(platform-assets [^`]*)`", rule["annotations"]["description"]):
            assert f"## `{command}" in commands, command


@needs_promtool
def test_the_dashboard_asks_for_what_there_is(tmp_path: Path) -> None:
    expressions = dict(enumerate(shown()))
    assert len(expressions) > 30
    wrong = {title: unknown_in(expression) for title, expression in expressions.values()}
    assert not {title: found for title, found in wrong.items() if found}
    # promtool parses what is in rules.
    told = [{"record": f"shown_{n}", "expr": asked} for n, (_, asked) in expressions.items()]
    file = tmp_path / "shown.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "shown", "rules": told}]}))
    assert f"{len(told)} rules found" in run("promtool", "check", "rules", file)
    file.write_text(yaml.safe_dump({"groups": [{"name": "x", "rules": [
        {"record": "x", "expr": "sum(rate(platform_assets_lake_snapshots)"}
    ]}]}))  # fmt: skip
    with pytest.raises(AssertionError, match="unclosed left parenthesis"):
        run("promtool", "check", "rules", file)


def test_the_dashboard_is_one_that_can_be_read() -> None:
    told = dashboard()
    ids = [panel["id"] for panel in told["panels"]]
    assert len(ids) == len(set(ids))
    assert [each["name"] for each in told["templating"]["list"]] == ["source", "layer", "asset"]
    occupied: set[tuple[int, int]] = set()
    for panel in told["panels"]:
        assert panel["title"]
        assert panel["type"] == "row" or panel["description"]
        place = panel["gridPos"]
        own = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not own & occupied
        assert place["x"] + place["w"] <= 24
        occupied |= own


def test_what_metrics_there_are_is_seen_by_somebody() -> None:
    """Each metric is in a rule or on the dashboard, or known to be for questions of one's own."""
    asked = {name for rule in rules() for name in NAMED.findall(rule["expr"])}
    asked |= {name for _, expression in shown() for name in NAMED.findall(expression)}
    assert set(METRICS) - asked == {
        "platform_assets_acknowledged_incidents",
        "platform_assets_breaker_failing_since_timestamp_seconds",
        "platform_assets_build_info",
        "platform_assets_lake_catalog_bytes",
        "platform_assets_lake_newest_snapshot_timestamp_seconds",
        "platform_assets_last_failure_timestamp_seconds",
        "platform_assets_last_publish_timestamp_seconds",
        "platform_assets_last_success_timestamp_seconds",
        "platform_assets_newest_partition_timestamp_seconds",
        "platform_assets_newest_signal_timestamp_seconds",
        "platform_assets_oldest_unfinished_backfill_timestamp_seconds",
        "platform_assets_published_partitions",
        "platform_assets_published_rows",
        "platform_assets_sent_messages",
        "platform_assets_source_read_timestamp_seconds",
        "platform_assets_stream_success",
    }
