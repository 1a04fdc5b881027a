"""Receivers that accept and never answer: they cost their own messages time, and nobody else's."""

from __future__ import annotations

import fcntl
import itertools
import re
import socketserver
import threading
import time
from contextlib import contextmanager
from datetime import timedelta

import pytest

from platform_assets.alerts.book import Book
from platform_assets.alerts.database import Database
from platform_assets.alerts.delivery import BUDGET, SHARES, deliver
from platform_assets.alerts.message import trial
from platform_assets.alerts.routing import FallOver, Means, Target
from platform_assets.alerts.senders import PATIENCE, send_safely
from platform_assets.sensors.alerting.loop import BUDGET as LOOKS
from platform_assets.sensors.alerting.loop import Round
from platform_assets_tests.alerting import START, after, failed, policy, route
from platform_assets_tests.integration.test_alert_delivery import lines, to_file, to_webhook
from platform_assets_tests.servers import free_port

SOON = timedelta(seconds=3)
IMPATIENT = timedelta(milliseconds=400)
FOUR = [failed(f"cleaned/a{n}") for n in range(4)]


@pytest.fixture
def book(tmp_path):
    return Book(Database(tmp_path / "watch.sqlite"))


@contextmanager
def hanging():
    """A server that accepts, reads and never answers; gives its port and what it heard."""
    heard, done = [], threading.Event()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            heard.append(self.request.recv(65_536).decode())
            done.wait()

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}).start()
        try:
            yield server.server_address[1], heard
        finally:
            done.set()
            server.shutdown()


def timed(book, chosen, now):
    """A round, and that it ended within its budget."""
    began = time.monotonic()
    result = book.deliver(chosen, now, SOON)
    assert time.monotonic() - began < SOON.total_seconds()
    return result


def test_a_receiver_that_hangs_holds_up_no_other_and_falls_over(book, httpserver, tmp_path):
    httpserver.expect_request("/in").respond_with_data("ok")
    backup = tmp_path / "backup.jsonl"
    with hanging() as (port, heard):
        chosen = policy(
            to_webhook(f"http://127.0.0.1:{port}/", name="stuck", fallback="backup"),
            to_webhook(httpserver.url_for("/in"), name="works"),
            to_file(backup, name="backup", match=None),
            fall_over=FallOver(2, timedelta(minutes=5)),
        )
        book.take(FOUR, chosen, START)
        first = timed(book, chosen, START)
        assert (first.sent, first.failed, first.unsent, first.left) == (4, 1, 4, 0)
        assert len(httpserver.log) == 4
        stuck = {each.message.id for each in book.unsent()}
        # Twice on one route, and then on the next one, in the same round.
        second = timed(book, chosen, after(seconds=30))
        assert (second.sent, second.failed, second.unsent) == (1, 1, 3)
        # The others should have gone out five minutes ago: one failure each is enough.
        for minutes in (6, 7, 8):
            timed(book, chosen, after(minutes=minutes))
        keys = re.findall(r"Idempotency-Key: (\w+)", "".join(heard))
    assert len(heard) == len(keys) == 5
    assert set(keys) == stuck
    told = [each["id"] for each in lines(backup)]
    assert sorted(told) == sorted(stuck)
    works = [each.headers["Idempotency-Key"] for each, _ in httpserver.log]
    assert len(works) == len(set(works)) == 4
    assert book.unsent() == []
    figures = book.figures(after(minutes=8))
    assert figures.sent == {"backup": 4, "works": 4}
    assert figures.failures == {"stuck": 5}
    assert (figures.unsent, figures.oldest_unsent_at) == (0, None)
    assert figures.slowest_seconds >= 8 * 60
    errors = {each.error for each in book.deliveries(list(stuck)) if not each.succeeded}
    assert errors == {"timeout (ReadTimeout)"}


def test_routes_take_turns_and_what_there_is_no_time_for_is_sent_next_time(book, tmp_path):
    chosen = policy(to_file(tmp_path / "a", name="a"), to_file(tmp_path / "b", name="b"))
    book.take(FOUR, chosen, START)
    # Each look at the clock is a second later.
    ticks = itertools.count()
    short = deliver(book.database, chosen, START, timedelta(seconds=24), lambda: next(ticks))
    assert (short.sent + short.left, short.unsent) == (8, short.left)
    assert 2 <= short.sent < 8
    assert f"{short.left} still to be sent ({short.left} that" in Round([], short).text
    assert abs(len(lines(tmp_path / "a")) - len(lines(tmp_path / "b"))) <= 1
    rest = book.deliver(chosen, after(seconds=30))
    assert (rest.sent, rest.unsent, rest.left) == (short.left, 0, 0)
    assert "no time" not in Round([], rest).text
    for name in "ab":
        told = [each["id"] for each in lines(tmp_path / name)]
        assert len(told) == len(set(told)) == 4


def test_a_route_that_failed_the_last_time_comes_after_all_others(book, tmp_path):
    chosen = policy(
        to_webhook(f"http://127.0.0.1:{free_port()}/", name="down"),
        to_file(tmp_path / "a", name="works"),
    )
    book.take(FOUR[:1], chosen, START)
    assert book.deliver(chosen, START).failed == 1
    book.take(FOUR[1:], chosen, after(minutes=1))
    book.deliver(chosen, after(minutes=1))
    told = [each.id for each in book.messages()]
    assert [each.route for each in book.deliveries(told)] == ["down", *["works"] * 4, "down"]
    # It works again: what it was not sent is sent, in order.
    again = policy(to_file(tmp_path / "b", name="down"), to_file(tmp_path / "a", name="works"))
    assert book.deliver(again, after(minutes=20)).sent == 4
    subjects = [each["subject"] for each in lines(tmp_path / "b")]
    assert subjects == [each.subject for each in FOUR]


def test_alertmanager_is_told_anew_only_while_there_is_time(book, httpserver):
    httpserver.expect_request("/api/v2/alerts").respond_with_data("")
    target = Target(Means.ALERTMANAGER, httpserver.url_for("/"))
    chosen = policy(route("am", target=target))
    book.take(FOUR[:1], chosen, START)
    book.deliver(chosen, START)
    before = len(httpserver.log)
    later = after(minutes=6)
    ticks = itertools.count(step=20)
    deliver(book.database, chosen, later, timedelta(seconds=24), lambda: next(ticks))
    assert len(httpserver.log) == before
    book.deliver(chosen, later)
    assert len(httpserver.log) == before + 1


@pytest.mark.parametrize(
    ("means", "address"),
    [
        (Means.WEBHOOK, "http://127.0.0.1:{}/"),
        (Means.ALERTMANAGER, "http://127.0.0.1:{}"),
        (Means.APPRISE, "json://127.0.0.1:{}/"),
        (Means.APPRISE, "mailto://127.0.0.1:{}?from=a@example.com&to=b@example.com"),
    ],
)
def test_no_receiver_is_waited_for_longer_than_was_said(means, address):
    with hanging() as (port, heard):
        target = Target(means, address.format(port))
        began = time.monotonic()
        outcome = send_safely(target, trial("team", START), (), START, IMPATIENT)
        assert time.monotonic() - began < 2
    assert outcome.error
    assert not outcome.permanent
    assert len(heard) == 1


def test_a_file_that_somebody_keeps_locked_is_waited_for_no_longer(tmp_path):
    target = Target(Means.FILE, str(tmp_path / "a.jsonl"))
    with (tmp_path / "a.jsonl").open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        outcome = send_safely(target, trial("team", START), (), START, IMPATIENT)
        assert "TimeoutError" in outcome.error
        assert not outcome.permanent
    assert not send_safely(target, trial("team", START), (), START, IMPATIENT).error
    assert len(lines(tmp_path / "a.jsonl")) == 1


def test_a_tick_has_time_for_all_of_a_round():
    from dagster._grpc.utils import default_sensor_grpc_timeout

    from platform_assets.sensors.alerting.checks import SECONDS

    longest = LOOKS.total_seconds() + SECONDS + BUDGET.total_seconds()
    assert longest < default_sensor_grpc_timeout() - 5
    assert BUDGET / SHARES == PATIENCE
