"""Messages to services as they really are: mail, Slack, PagerDuty, Opsgenie, Alertmanager."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
import requests
from aiosmtpd.controller import Controller

from platform_assets.alerts.book import Book
from platform_assets.alerts.database import Database
from platform_assets.alerts.message import trial
from platform_assets.alerts.policy import load_policy
from platform_assets.alerts.routing import Means, Target
from platform_assets.alerts.senders import send_safely
from platform_assets_tests.alerting import START, WARN, after, failed, late, over, policy, route
from platform_assets_tests.servers import free_port


@pytest.fixture
def book(tmp_path):
    return Book(Database(tmp_path / "watch.sqlite"), "http://ui")


@contextmanager
def mail_server(received):
    class Handler:
        async def handle_DATA(self, server, session, envelope):  # aiosmtpd's name
            received.append(envelope)
            return "250 OK"

    controller = Controller(Handler(), hostname="127.0.0.1", port=free_port())
    controller.start()
    try:
        yield controller.port
    finally:
        controller.stop()


def declared(tmp_path, to):
    file = tmp_path / "alerts.yaml"
    file.write_text(f"routes:\n  - name: team\n    group_wait: 0\n    to: {to}\n")
    return load_policy(file, tmp_path)


def test_mail_is_sent(book, tmp_path):
    received = []
    with mail_server(received) as port:
        chosen = declared(
            tmp_path, f"mailto://127.0.0.1:{port}?from=platform@example.com&to=team@example.com"
        )
        book.take([failed(detail="a <b> & c")], chosen, START)
        assert book.deliver(chosen, START).sent == 1
    (envelope,) = received
    content = envelope.content.decode()
    assert envelope.rcpt_tos == ["team@example.com"]
    assert "Subject: ERROR cleaned/orders 2025-01-01: the partition was stopped" in content
    assert f"Idempotency-Key: {book.messages()[0].id}" in content


def test_mail_that_cannot_be_sent_is_tried_again(book, tmp_path):
    chosen = declared(
        tmp_path, f"mailto://127.0.0.1:{free_port()}?from=platform@example.com&to=t@example.com"
    )
    book.take([failed()], chosen, START)
    assert book.deliver(chosen, START).failed == 1
    (unsent,) = book.unsent()
    assert unsent.error.startswith("Connection error while submitting email")
    assert "t@example.com" not in unsent.error


def test_slack_is_told_in_its_own_words(book, tmp_path, httpserver, monkeypatch):
    from apprise.plugins.slack import NotifySlack

    monkeypatch.setattr(NotifySlack, "webhook_url", httpserver.url_for("/services"))
    monkeypatch.setenv("SLACK_URL", "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ")
    httpserver.expect_request(
        "/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ", method="POST"
    ).respond_with_data("ok")
    chosen = declared(tmp_path, "${SLACK_URL}")
    book.take([failed()], chosen, START)
    assert book.deliver(chosen, START).sent == 1
    assert "cleaned/orders" in httpserver.log[0][0].get_data(as_text=True)


def test_pagerduty_opens_and_resolves_one_incident(book, tmp_path, httpserver, monkeypatch):
    from apprise.plugins import pagerduty

    monkeypatch.setitem(pagerduty.PAGERDUTY_API_LOOKUP, "us", httpserver.url_for("/v2/enqueue"))
    monkeypatch.setenv("PAGERDUTY_URL", "pagerduty://A1BRTD4JD@IntegrationKey1234")
    httpserver.expect_request("/v2/enqueue").respond_with_json({}, status=202)
    chosen = declared(tmp_path, "${PAGERDUTY_URL}")
    book.take([failed(detail="x" * 5000)], chosen, START)
    book.deliver(chosen, START)
    book.take([over(failed(), after(minutes=1))], chosen, after(minutes=1))
    book.deliver(chosen, after(minutes=1))
    begun, ended = (each.json for each, _ in httpserver.log)
    incident = book.incidents(only_open=False)[0].id
    assert (begun["event_action"], begun["dedup_key"]) == ("trigger", incident)
    assert begun["payload"]["severity"] == "critical"
    assert len(begun["payload"]["summary"]) <= 1024
    assert (ended["event_action"], ended["dedup_key"]) == ("resolve", incident)


def test_opsgenie_opens_and_closes_one_alert(book, tmp_path, httpserver, monkeypatch):
    from apprise.plugins import opsgenie

    monkeypatch.setitem(opsgenie.OPSGENIE_API_LOOKUP, "us", httpserver.url_for("/v2/alerts"))
    monkeypatch.setenv("OPSGENIE_URL", "opsgenie://0123456789abcdef")
    accepted = {"requestId": "1", "result": "ok", "took": 0.1}
    httpserver.expect_request("/v2/alerts").respond_with_json(accepted, status=202)
    chosen = declared(tmp_path, "${OPSGENIE_URL}")
    book.take([failed()], chosen, START)
    incident = book.incidents()[0].id
    httpserver.expect_request(f"/v2/alerts/{incident}/close").respond_with_json(accepted, 202)
    book.deliver(chosen, START)
    book.take([over(failed(), after(minutes=1))], chosen, after(minutes=1))
    assert book.deliver(chosen, after(minutes=1)).sent == 1
    opened, closed = (each for each, _ in httpserver.log)
    assert opened.json["alias"] == incident
    assert closed.args["identifierType"] == "alias"
    assert closed.headers["Authorization"] == "GenieKey 0123456789abcdef"


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory):
    """A real Alertmanager."""
    folder, port = tmp_path_factory.mktemp("alertmanager"), free_port()
    (folder / "config.yml").write_text("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                "prometheus-alertmanager", f"--config.file={folder}/config.yml",
                f"--storage.path={folder}/data", f"--web.listen-address=127.0.0.1:{port}",
                "--cluster.listen-address=",
            ],
            stdout=log, stderr=log,
        )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    try:
        session = requests.Session()
        retry = requests.adapters.Retry(total=100, backoff_factor=0.05, backoff_max=0.2)
        session.mount("http://", requests.adapters.HTTPAdapter(max_retries=retry))
        assert session.get(f"{url}/-/ready", timeout=10).ok
        yield url
    finally:
        process.terminate()
        process.wait(timeout=30)


def alerts_at(url, **labels):
    filters = [f'{name}="{value}"' for name, value in labels.items()]
    answer = requests.get(f"{url}/api/v2/alerts", params={"filter": filters}, timeout=10)
    return answer.json()


def test_alertmanager_keeps_one_alert_per_incident_until_it_is_over(book, alertmanager):
    chosen = policy(route("am", target=Target(Means.ALERTMANAGER, alertmanager)))
    # Alertmanager has a clock of its own.
    now = datetime.now(UTC) - timedelta(minutes=5)
    source = late("source/shop", at=now, severity=WARN)
    effect = late("raw/orders", at=now, cause=source.fingerprint)
    book.take([source], chosen, now)
    book.deliver(chosen, now)
    (alert,) = alerts_at(alertmanager, service="platform-assets")
    assert alert["labels"]["severity"] == "warn"
    assert alert["labels"]["subject"] == "source/shop"
    assert alert["annotations"]["summary"].startswith("WARN source/shop")
    # It becomes an error, and what it began with goes first: it stays one alert.
    book.take([effect], chosen, now + timedelta(minutes=1))
    book.deliver(chosen, now + timedelta(minutes=1))
    (alert,) = alerts_at(alertmanager, service="platform-assets")
    assert alert["labels"]["severity"] == "error"
    end = now + timedelta(minutes=2)
    book.take([over(source, end)], chosen, end)
    book.take([over(effect, end)], chosen, end)
    book.deliver(chosen, end)
    assert alerts_at(alertmanager, service="platform-assets") == []


def test_alertmanager_is_told_anew_what_is_there_and_gets_all_of_a_storm(book, alertmanager):
    chosen = policy(route("am", target=Target(Means.ALERTMANAGER, alertmanager)))
    now = datetime.now(UTC) - timedelta(hours=1)
    storm = [failed(f"storm/a{n}", at=now) for n in range(300)]
    book.take(storm, chosen, now)
    assert book.deliver(chosen, now).sent == 6
    assert len(alerts_at(alertmanager, layer="storm")) == 300
    first = alerts_at(alertmanager, subject="storm/a7")[0]["endsAt"]
    book.deliver(chosen, now + timedelta(minutes=4))
    assert alerts_at(alertmanager, subject="storm/a7")[0]["endsAt"] == first
    book.deliver(chosen, now + timedelta(minutes=6))
    assert alerts_at(alertmanager, subject="storm/a7")[0]["endsAt"] > first


def test_a_trial_is_seen_and_goes_by_itself(alertmanager):
    target, now = Target(Means.ALERTMANAGER, alertmanager), datetime.now(UTC)
    assert not send_safely(target, trial("am", now), (), now).error
    (alert,) = alerts_at(alertmanager, alertname="test")
    ends = datetime.fromisoformat(alert["endsAt"])
    assert ends - datetime.now(UTC) < timedelta(minutes=6)
