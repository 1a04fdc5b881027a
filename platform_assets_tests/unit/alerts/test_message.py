from dataclasses import replace
from datetime import time, timedelta
from zoneinfo import ZoneInfo

import pytest

from platform_assets.alerts.hours import QuietHours
from platform_assets.alerts.incidents import HELD, What
from platform_assets.alerts.message import lasted
from platform_assets.alerts.signals import Kind, Signal, Standing
from platform_assets_tests.alerting import (
    START,
    WARN,
    World,
    after,
    failed,
    over,
    policy,
    route,
    whats,
)

BLANK_DAY = ("2025-01-01", "2025-01-02", "2025-01-03", "2025-01-07")


def test_a_message_has_all_that_a_person_needs():
    signal = failed(
        detail="ContractError: 40 % of the rows are bad\n  where: cleaned/orders",
        downstream=tuple(f"marts/m{n}" for n in range(9)),
        owners=("team:finance", "anna@example.com"),
        run_id="r-1",
        command="platform-assets backfill --from 2025-01-01 --to 2025-01-07",
    )
    world = World()
    (message,) = world.at(after(minutes=3), *(replace(signal, partition=day) for day in BLANK_DAY))
    incident = message.incident
    assert message.title == "ERROR cleaned/orders (4 partitions): the partition was stopped"
    assert message.text == (
        "what: partition failed\n"
        "where: cleaned/orders\n"
        "4 partitions: 2025-01-01 to 2025-01-03, 2025-01-07\n"
        "since: 2025-01-06 08:00 UTC, 3 minutes so far\n"
        "error:\n"
        "  ContractError: 40 % of the rows are bad\n"
        "    where: cleaned/orders\n"
        "owner: team:finance, anna@example.com\n"
        "downstream: marts/m0, marts/m1, marts/m2, marts/m3, marts/m4 and 4 more\n"
        "run: http://ui/runs/r-1\n"
        "fix: platform-assets backfill --from 2025-01-01 --to 2025-01-07\n"
        f'take it on: platform-assets alerts ack {incident} --reason "..."\n'
        f"incident: {incident}"
    )
    assert "**error:**\n\n```\nContractError: 40 % of the rows are bad\n" in message.markdown
    assert "`platform-assets backfill --from 2025-01-01 --to 2025-01-07`" in message.markdown


def test_an_end_asks_for_nothing():
    world = World()
    world.at(START, failed(command="fix it"))
    (message,) = world.at(after(hours=2), over(failed(), after(hours=2)))
    assert message.title.startswith("OVER cleaned/orders 2025-01-01: ")
    assert "fix it" not in message.text
    assert "alerts ack" not in message.text
    assert "since: 2025-01-06 08:00 UTC, 2 hours over" in message.text


def test_no_message_is_without_bounds_or_with_a_secret():
    secret = "postgres://shop:hunter2@db/x of anna@example.com"
    signal = failed(
        partition=secret,
        title=f"{secret} " + "long " * 500,
        detail="\n".join([secret, "```", "x" * 5000, *map(str, range(500))]),
        command=f"try {secret}",
        part=secret,
        downstream=tuple(f"a{n}" for n in range(1000)),
    )
    world = World()
    (message,) = world.at(START, signal, *(failed(partition=f"p{n}") for n in range(1000)))
    (world_of_one,) = World().at(START, signal)
    for told in (message, world_of_one):
        everything = f"{told.title}{told.text}{told.markdown}{told.facts}"
        assert "hunter2" not in everything
        assert "anna" not in everything
        assert len(told.title) <= 200
        assert len(told.text) < 4000
        assert len(str(told.facts)) < 8000
    assert "… 495 more lines" in world_of_one.text
    assert world_of_one.markdown.count("```") == 2


def test_a_problem_without_a_run_or_an_asset_has_no_empty_lines():
    (message,) = World().at(START, Signal(Kind.HEARTBEAT, "daemon/sensor", START))
    assert message.title == "ERROR daemon/sensor: heartbeat"
    assert [line.partition(":")[0] for line in message.text.splitlines()] == [
        "what", "where", "since", "take it on", "incident",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, "less than a minute"),
        (60, "1 minute"),
        (2820, "47 minutes"),
        (7500, "2 hours 5 minutes"),
        (3600, "1 hour"),
        (90_061, "1 day 1 hour"),
    ],
)
def test_durations_are_told_in_words(seconds, told):
    assert lasted(seconds) == told


NIGHT = QuietHours(time(22), time(7), ZoneInfo("Europe/London"))


def test_a_quiet_route_gets_one_summary_in_the_morning_and_errors_at_once():
    world = World(policy(route(quiet_hours=NIGHT)))
    night = after(hours=15)
    warnings = [failed(f"cleaned/a{n}", severity=WARN, at=night) for n in range(3)]
    assert world.at(night, *warnings) == []
    assert {each.waits for each in world.said} == {HELD}
    assert whats(world.at(night, failed("cleaned/bad", at=night))) == [What.BEGUN]
    gone = night + timedelta(hours=1)
    assert world.at(gone, over(warnings[0], gone)) == []
    assert world.at(after(hours=22, minutes=59)) == []
    (summary,) = world.at(after(hours=23))
    assert summary.what is What.SUMMARY
    assert summary.title == "WARN: 3 messages while this route was quiet"
    assert "- OVER cleaned/a0 2025-01-01" in summary.text
    assert "- WARN cleaned/a1 2025-01-01" in summary.text
    assert world.state.waiting == ()
    # What is over after it is told as always.
    assert whats(world.at(after(hours=24), over(warnings[1], after(hours=24)))) == [What.RECOVERED]


def test_a_digest_counts_all_and_lists_the_first():
    storm = [failed(f"cleaned/a{n:03}", severity=WARN) for n in range(100)]
    told = World().at(START, *storm)
    digest = told[-1]
    assert digest.title == "WARN: 95 messages at once"
    assert "how many: 95 warn begun" in digest.text
    assert digest.text.count("\n- ") == 10
    assert "… and 85 more: platform-assets alerts list" in digest.text


def gone(signal, at):
    return replace(signal, standing=Standing.GONE, at=at)


def test_an_end_because_something_is_no_longer_defined_is_not_taken_for_good():
    world = World()
    check = failed("cleaned/orders", "", kind=Kind.CHECK_FAILED, part="tidy", title="not tidy")
    world.at(START, check)
    (message,) = world.at(after(hours=2), gone(check, after(hours=2)))
    assert message.what is What.RECOVERED
    assert message.title == (
        "OVER cleaned/orders: not tidy, over after 2 hours, as it is no longer defined"
    )
    assert "no longer defined: check tidy of cleaned/orders" in message.text
    assert message.facts["undefined"] == ["check tidy of cleaned/orders"]
    # It is defined again, fails again, and then is good: that is said as ever.
    world.at(after(hours=9), check)
    (message,) = world.at(after(hours=10), over(check, after(hours=10)))
    assert "no longer defined" not in message.title + message.text
    assert message.facts["undefined"] == []


def test_what_follows_from_something_may_be_gone_while_that_is_good():
    world = World()
    root, effect = failed("raw/a"), failed("cleaned/a")
    effect = replace(effect, cause=root.fingerprint)
    world.at(START, root, effect)
    end = after(hours=1)
    assert world.at(end, gone(effect, end)) == []
    (message,) = world.at(end, over(root, end))
    assert message.title.endswith(", over after 1 hour")
    assert "no longer defined: cleaned/a" in message.text
