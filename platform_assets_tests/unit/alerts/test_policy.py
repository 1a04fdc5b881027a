"""``alerts.yaml``: what it may say, and every mistake that is refused."""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import pytest

from platform_assets.alerts import policy_options as options
from platform_assets.alerts.matching import Match
from platform_assets.alerts.policy import default_policy, load_policy
from platform_assets.alerts.routing import Means
from platform_assets.alerts.signals import Kind, Severity
from platform_assets.errors import SettingsError
from platform_assets_tests.alerting import ERROR, INFO, WARN, failed

ROOT = Path(__file__).resolve().parents[3]
ENVIRONMENT = {
    "SLACK_URL": "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ",
    "PAGERDUTY_URL": "pagerduty://A1BRTD4JD@IntegrationKey1234",
    "SMTP_PASSWORD": "correct-horse",
    "HOOK": "https://hooks.example.com/in/abcdef0123456789",
    "TOKEN": "t0ken-of-the-hook",
}


@pytest.fixture
def load(tmp_path):
    def read(text, environment=ENVIRONMENT):
        file = tmp_path / "alerts.yaml"
        file.write_text(text)
        return load_policy(file, tmp_path / "data", environment)

    return read


def one(more="", to="console"):
    """A file of one route."""
    return f"routes:\n  - name: team\n    to: {to}\n" + "".join(
        f"    {line}\n" for line in more.splitlines()
    )


def test_without_a_file_there_are_console_and_file(tmp_path):
    policy = load_policy(tmp_path / "alerts.yaml", tmp_path / "data")
    assert policy == default_policy(tmp_path / "data")
    assert [each.target.means for each in policy.routes] == [Means.CONSOLE, Means.FILE]
    assert policy.routes[1].target.address == str(tmp_path / "data" / "alerts.jsonl")
    assert [each.name for each in policy.routes_of(failed(severity=INFO))] == ["console", "file"]


def test_the_shipped_example_is_read_and_says_what_it_says_it_does(tmp_path):
    policy = load_policy(ROOT / "alerts.example.yaml", tmp_path, ENVIRONMENT)
    assert {each.target.means for each in policy.routes} == set(Means)
    assert policy.route("on-call").match is None
    assert [each.to for each in policy.escalations] == ["on-call", "on-call"]
    told = {each.name for each in policy.routes_of(failed(dataset="orders"))}
    assert "team" in told
    assert "on-call" not in told


EXAMPLES = re.findall(
    r"^```yaml\n(.*?)^```",
    (ROOT / "docs" / "how-to" / "be-told.md").read_text(encoding="utf-8"),
    re.MULTILINE | re.DOTALL,
)


@pytest.mark.parametrize("text", EXAMPLES)
def test_what_the_how_to_shows_is_read(load, text):
    assert load(text).routes


def test_the_how_to_names_every_key(load):
    told = "".join(EXAMPLES) + (ROOT / "docs" / "how-to" / "be-told.md").read_text("utf-8")
    for model in (
        options.Top,
        options.RouteOptions,
        options.MatchOptions,
        options.QuietOptions,
        options.BusinessOptions,
        options.EscalationOptions,
        options.OwnThresholds,
    ):
        for name, field in model.model_fields.items():
            assert re.search(rf"\b{field.alias or name}\b", told), name
    assert all(each in told for each in Kind)


def test_everything_that_can_be_said_is_understood(load):
    policy = load(
        """
repeat_after: 2h
group_wait: 45s
otherwise: mail
reopen_within: 15m
retention: 30d
storm: {messages: 6, within: 5m}
fall_over: {failures: 2, after: 3m}
thresholds:
  quarantine_share: 0.1
  stream_lag: 1h
  datasets:
    "orders*": {quarantine_share: 0.01, duration_factor: 3}
routes:
  - name: team
    to: ${SLACK_URL}
    match: {kinds: [freshness, finding], severity: warn, owners: "team:*", layers: cleaned}
    quiet_hours: {from: "22:00", to: "07:00", timezone: Europe/London, below: error}
    business_days: {timezone: Europe/London, holidays: GB, below: warn}
    fallback: mail
    repeat_after: 0
  - name: mail
    to: mailto://me:${SMTP_PASSWORD}@mail.example.com?to=team@example.com
    match: {severity: error}
    group_wait: 0
  - name: hook
    to: {webhook: "${HOOK}", headers: {Authorization: "Bearer ${TOKEN}"}}
    match: none
escalate:
  - {to: hook, failures: 3, within: 1h, match: {datasets: [orders]}}
  - {to: hook, unacknowledged: 30m}
"""
    )
    team, mail, hook = policy.routes
    assert team.match == Match(
        kinds=(Kind.FRESHNESS, Kind.FINDING),
        severity=WARN,
        owners=("team:*",),
        layers=("cleaned",),
    )
    assert (team.quiet_hours.begin, team.quiet_hours.end) == (time(22), time(7))
    assert team.business_days.calendar.holidays == "GB"
    assert (team.repeat_after, team.group_wait) == (None, timedelta(seconds=45))
    assert (mail.repeat_after, mail.group_wait) == (timedelta(hours=2), timedelta(0))
    assert hook.match is None
    assert hook.target.headers == {"Authorization": "Bearer t0ken-of-the-hook"}
    assert policy.escalations[0].match == Match(severity=ERROR, datasets=("orders",))
    assert policy.escalations[1].unacknowledged == timedelta(minutes=30)
    assert policy.thresholds.of("orders_eu").quarantine_share == 0.01
    assert policy.thresholds.of("orders_eu").stream_lag == timedelta(hours=1)
    assert policy.thresholds.of("customers").quarantine_share == 0.1
    assert (policy.storm.messages, policy.fall_over.failures) == (6, 2)


def test_no_secret_is_shown(load):
    policy = load(
        "routes:\n"
        "  - {name: a, to: '${SLACK_URL}'}\n"
        "  - {name: b, to: 'mailto://me:${SMTP_PASSWORD}@mail.example.com?to=a@b.c'}\n"
        "  - name: c\n    to: {webhook: '${HOOK}', headers: {X-Key: '${TOKEN}'}}\n"
    )
    told = repr(policy) + "".join(each.target.shown for each in policy.routes)
    for secret in ("TIiajkdnlazkcOXrIdevi7FQ", "correct-horse", "abcdef0123456789", "t0ken"):
        assert secret not in told
    assert policy.routes[2].target.shown == "webhook https://hooks.example.com/***"


REFUSED = {
    "no routes": ("storm: {messages: 6}\n", ["There is no route", "line 1"]),
    "an empty file": ("", ["not a mapping"]),
    "unknown key": (one("fallbak: x"), ["no such key", "line 4", "rename it to fallback"]),
    "unknown kind": (one("match: {kinds: [late]}"), ["line 4", "kinds[0]", "freshness"]),
    "no match": (one("match: everything"), ["does not say what it takes", "line 4"]),
    "unknown severity": (one("match: {severity: fatal}"), ["line 4", "'info', 'warn' or 'error'"]),
    "unknown layer": (one("match: {layers: [gold]}"), ["line 4", "'aggregated'"]),
    "unknown route as fallback": (one("fallback: teem"), ["no such route", "rename it to team"]),
    "unknown route to escalate to": (
        one() + "escalate: [{to: oncall, failures: 3}]\n",
        ["no such route", "line 4", "oncall"],
    ),
    "unknown route otherwise": (one() + "otherwise: rest\n", ["no such route", "line 4"]),
    "a circle of fallbacks": (
        "routes:\n  - {name: a, to: console, fallback: b}\n"
        "  - {name: b, to: console, fallback: a}\n",
        ["round in a circle", "line 2", "a -> b -> a"],
    ),
    "a fallback on itself": (one("fallback: team"), ["round in a circle", "team -> team"]),
    "two of one name": (one() + one().partition("\n")[2], ["Two routes have one name", "line 4"]),
    "a route that nothing reaches": (one("match: none"), ["Nothing ever reaches", "line 4"]),
    "an unset variable": (one(to="${NOT_SET}"), ["not set", "line 3", "NOT_SET"]),
    "a variable without a name": (one(to="'${}'"), ["no name", "line 3"]),
    "nowhere": (one(to="screen"), ["leads nowhere", "line 3", "console"]),
    "two ways at once": (
        one(to="{file: a, webhook: 'http://b'}"),
        ["leads nowhere", "file, webhook"],
    ),
    "an unknown way": (one(to="{wehook: 'http://b'}"), ["no such key", "rename it to webhook"]),
    "a service that nobody knows": (one(to="slak://${TOKEN}/x"), ["apprise does not", "slak://"]),
    "no URL": (one(to="{webhook: 'ftp://x/y'}"), ["URL is none", "line 3", "http://"]),
    "headers of a file": (
        one(to="{file: a, headers: {X: y}}"),
        ["headers that are not sent", "line 3"],
    ),
    "a token that is written down": (
        one(to="slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"),
        ["secret is written", "line 3"],
    ),
    "a password that is written down": (
        one(to="mailto://me:hunter22@mail.example.com?to=a@b.c"),
        ["secret is written", "line 3"],
    ),
    "a key in a webhook's URL": (
        one(to="{webhook: 'https://x.example.com/in?api_key=abcdef'}"),
        ["secret is written", "line 3"],
    ),
    "no time span": (one("repeat_after: soon"), ["line 4", "such as 30m", "'soon'"]),
    "a bare number": (one("group_wait: 30"), ["line 4", "such as 30m"]),
    "no clock": (
        one("quiet_hours: {from: 22:00, to: '07:00', timezone: Europe/London}"),
        ["line 4", "in quotes"],
    ),
    "quiet for ever": (
        one("quiet_hours: {from: '07:00', to: '07:00', timezone: Europe/London}"),
        ["end when they begin", "line 4"],
    ),
    "no time zone": (
        one("quiet_hours: {from: '22:00', to: '07:00', timezone: Europe/Londn}"),
        ["no such time zone", "Europe/Londn"],
    ),
    "no country": (
        one("business_days: {timezone: Europe/London, holidays: XX}"),
        ["holidays", "line 4", "XX"],
    ),
    "an event that ends first": (
        one(
            "business_days:\n  timezone: UTC\n"
            "  events: [{name: w, first: 2025-02-01, last: 2025-01-01}]"
        ),
        ["ends before it begins", "line 6"],
    ),
    "an escalation without a when": (
        one() + "escalate: [{to: team}]\n",
        ["does not say when", "line 4", "neither"],
    ),
    "an escalation with two": (
        one() + "escalate: [{to: team, failures: 3, unacknowledged: 5m}]\n",
        ["does not say when", "both"],
    ),
    "a time that says nothing": (
        one() + "escalate: [{to: team, unacknowledged: 5m, within: 1h}]\n",
        ["says nothing", "within"],
    ),
    "one failure": (one() + "escalate: [{to: team, failures: 1}]\n", ["line 4", "2"]),
    "a share above one": (one() + "thresholds: {quarantine_share: 5}\n", ["line 4", "1"]),
    "a factor below one": (one() + "thresholds: {duration_factor: 0.5}\n", ["line 4", "1"]),
    "a storm of one": (one() + "storm: {messages: 1}\n", ["line 4", "2"]),
    "no retention": (one() + "retention: 0\n", ["line 4", "above 0"]),
    "a name with a blank": (one().replace("team", "my team"), ["line 2", "pattern"]),
}


@pytest.mark.parametrize(("text", "told"), REFUSED.values(), ids=REFUSED.keys())
def test_a_mistake_is_refused(load, text, told):
    with pytest.raises(SettingsError) as refused:
        load(text)
    message = str(refused.value)
    for each in (*told, "alerts.yaml", "expected: ", "found: ", "fix: "):
        assert each in message
    for secret in ("hunter22", "TIiajkdnlazkcOXrIdevi7FQ", "abcdef"):
        assert secret not in message


MONDAY = datetime(2025, 1, 6, tzinfo=UTC)


@pytest.mark.parametrize(
    ("hours", "severity", "held"),
    [
        (12, WARN, False),
        (22, WARN, True),
        (24 + 6, WARN, True),
        (24 + 7, WARN, False),
        (22, ERROR, False),
        # In summer the clock of London is an hour ahead.
        (181 * 24 + 21, WARN, True),
        (181 * 24 + 6, WARN, False),
    ],
)
def test_quiet_hours_may_span_midnight(load, hours, severity, held):
    (route,) = load(
        one("quiet_hours: {from: '22:00', to: '07:00', timezone: Europe/London}")
    ).routes
    assert route.holds(severity, MONDAY + timedelta(hours=hours)) is held


@pytest.mark.parametrize(
    ("day", "held"), [(0, False), (4, False), (5, True), (6, True), (-5, True), (-12, True)]
)
def test_no_business_is_done_at_weekends_and_on_holidays(load, day, held):
    (route,) = load(one("business_days: {timezone: Europe/London, holidays: GB}")).routes
    assert route.holds(Severity.WARN, MONDAY + timedelta(days=day)) is held
    assert not route.holds(Severity.ERROR, MONDAY + timedelta(days=day))
