"""Messages on their way to real receivers, which fail; and who sends them is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from werkzeug import Response

from platform_assets.alerts.book import Book
from platform_assets.alerts.database import Database
from platform_assets.alerts.incidents import What
from platform_assets.alerts.routing import FallOver, Means, Target
from platform_assets_tests.alerting import START, after, failed, over, policy, route
from platform_assets_tests.servers import free_port

SECRET = "s3cret-of-the-hook"


@pytest.fixture
def book(tmp_path):
    return Book(Database(tmp_path / "watch.sqlite"), "http://ui")


def to_file(path, name="file", **more):
    return route(name, target=Target(Means.FILE, str(path)), **more)


def to_webhook(url, name="hook", **more):
    return route(name, target=Target(Means.WEBHOOK, url), **more)


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_webhook_gets_the_facts_once_under_an_id_of_its_own(book, httpserver):
    httpserver.expect_request("/in", method="POST").respond_with_data("ok")
    headers = {"Authorization": f"Bearer {SECRET}"}
    target = Target(Means.WEBHOOK, httpserver.url_for("/in"), headers)
    chosen = policy(route("hook", target=target))
    book.take([failed(run_id="r1", command="fix it", downstream=("marts/revenue",))], chosen, START)
    assert book.deliver(chosen, START).sent == 1
    assert book.deliver(chosen, START).sent == 0
    book.take([over(failed(), after(minutes=47))], chosen, after(minutes=47))
    book.deliver(chosen, after(minutes=47))
    (begun, _), (ended, _) = httpserver.log
    told, end = begun.json, ended.json
    assert begun.headers["Idempotency-Key"] == told["id"] != end["id"]
    assert begun.headers["Authorization"] == f"Bearer {SECRET}"
    expected = {
        "what": "begun", "severity": "error", "subject": "cleaned/orders",
        "partitions": ["2025-01-01"], "owners": ["team:tests"], "command": "fix it",
        "downstream": ["marts/revenue"], "run_url": "http://ui/runs/r1", "over_at": None,
        "detail": "too many rows are bad",
    }  # fmt: skip
    assert expected.items() <= told.items()
    assert (end["what"], end["seconds"], end["incident"]) == ("recovered", 2820, told["incident"])
    assert SECRET not in (book.database.file).read_bytes().decode("latin-1")


def test_what_fails_is_tried_again_later_and_then_elsewhere(book, httpserver, tmp_path):
    httpserver.expect_request("/down").respond_with_data("", status=503)
    chosen = policy(
        to_webhook(httpserver.url_for("/down"), fallback="file"),
        to_file(tmp_path / "a.jsonl", match=None),
    )
    book.take([failed()], chosen, START)
    now, attempts = START, []
    while not (tmp_path / "a.jsonl").exists():
        before = len(httpserver.log)
        book.deliver(chosen, now)
        attempts += [now] * (len(httpserver.log) - before)
        now += timedelta(seconds=5)
    assert len(attempts) == 3
    pauses = [b - a for a, b in pairwise(attempts)]
    assert all(timedelta(seconds=8) <= each <= timedelta(seconds=41) for each in pauses)
    assert pauses == sorted(pauses)
    assert now - START < timedelta(minutes=2)
    ids = {each.json["id"] for each, _ in httpserver.log}
    assert ids == {each["id"] for each in lines(tmp_path / "a.jsonl")}
    # Who was told there that it began is told there that it is over.
    book.take([over(failed(), now)], chosen, now)
    assert book.deliver(chosen, now).sent == 1
    assert [each["what"] for each in lines(tmp_path / "a.jsonl")] == ["begun", "recovered"]
    assert book.figures(now).failures == {"hook": 3}
    assert [each.error for each in book.deliveries(list(ids))] == ["HTTP 503"] * 3 + [""]


def test_a_fallback_that_is_gone_is_not_waited_for(book, httpserver, tmp_path):
    httpserver.expect_ordered_request("/in").respond_with_data("", status=404)
    httpserver.expect_ordered_request("/in").respond_with_data("ok")
    hook = httpserver.url_for("/in")
    both = policy(to_webhook(hook, fallback="file"), to_file(tmp_path / "a", match=None))
    book.take([failed()], both, START)
    book.deliver(both, START)
    alone = policy(to_webhook(hook))
    book.take([over(failed(), after(minutes=1))], alone, after(minutes=1))
    assert book.deliver(alone, after(minutes=1)).sent == 1
    assert httpserver.log[-1][0].json["what"] == "recovered"


def test_a_refusal_is_not_asked_again_but_the_next_route_at_once(book, httpserver, tmp_path):
    httpserver.expect_request("/gone").respond_with_data("", status=404)
    chosen = policy(
        to_webhook(httpserver.url_for("/gone"), fallback="file"),
        to_file(tmp_path / "a.jsonl", match=None),
    )
    book.take([failed()], chosen, START)
    assert book.deliver(chosen, START).sent == 1
    assert len(httpserver.log) == len(lines(tmp_path / "a.jsonl")) == 1


def test_a_receiver_that_asks_for_time_gets_it_and_a_redirect_is_not_followed(book, httpserver):
    httpserver.expect_ordered_request("/in").respond_with_response(
        Response(status=429, headers={"Retry-After": "60"})
    )
    httpserver.expect_ordered_request("/in").respond_with_response(
        Response(status=302, headers={"Location": httpserver.url_for("/elsewhere")})
    )
    chosen = policy(
        to_webhook(httpserver.url_for("/in")), fall_over=FallOver(5, timedelta(hours=1))
    )
    book.take([failed()], chosen, START)
    book.deliver(chosen, START)
    book.deliver(chosen, after(seconds=59))
    assert len(httpserver.log) == 1
    book.deliver(chosen, after(seconds=60))
    assert len(httpserver.log) == 2
    (unsent,) = book.unsent()
    assert unsent.stuck


def test_what_no_route_takes_is_kept_shown_and_sent_once_one_does(book, tmp_path):
    closed = f"http://127.0.0.1:{free_port()}/"
    chosen = policy(to_webhook(closed), fall_over=FallOver(1, timedelta(minutes=5)))
    book.take([failed()], chosen, START)
    result = book.deliver(chosen, START)
    assert (result.sent, result.failed, result.unsent, result.stuck) == (0, 1, 1, 1)
    (unsent,) = book.unsent()
    assert unsent.error == "connection refused (ConnectionError)"
    assert book.figures(after(hours=1)).lag_seconds(after(hours=1)) == 3600
    for hours in range(1, 50):
        book.deliver(chosen, after(hours=hours))
    assert book.unsent()[0].attempts == 50
    open_again = policy(to_file(tmp_path / "a.jsonl", name="hook"))
    book.deliver(open_again, after(hours=60))
    assert [each["id"] for each in lines(tmp_path / "a.jsonl")] == [unsent.message.id]
    assert book.unsent() == []
    assert book.figures(after(hours=60)).lag_seconds(after(hours=60)) == 0


def test_one_route_that_hangs_back_does_not_hold_up_another(book, httpserver, tmp_path):
    httpserver.expect_request("/down").respond_with_data("", status=503)
    chosen = policy(to_webhook(httpserver.url_for("/down")), to_file(tmp_path / "a.jsonl"))
    book.take([failed(f"cleaned/a{n}") for n in range(4)], chosen, START)
    assert book.deliver(chosen, START).sent == 4
    assert len(httpserver.log) == 1


def test_a_route_that_is_gone_leaves_its_messages_to_be_seen(book):
    book.take([failed()], policy(route("old")), START)
    book.deliver(policy(route("new")), START)
    (unsent,) = book.unsent()
    assert unsent.stuck
    assert unsent.error == "there is no route old any more"
    book.discard(unsent.message.id)
    assert book.unsent() == []


def test_a_file_has_each_message_once_and_whole_lines(book, tmp_path):
    file = tmp_path / "new" / "a.jsonl"
    chosen = policy(to_file(file))
    book.take([failed("cleaned/a"), failed("cleaned/b")], chosen, START)
    a, b = book.messages()
    # Somebody died when it was written, and before that was recorded; another while writing.
    file.parent.mkdir()
    file.write_text(f'{{"id": "{a.id}"}}\n{{"id": "{b.id}", "rou')
    book.deliver(chosen, START)
    first, broken, second = file.read_text().splitlines()
    assert json.loads(first) == {"id": a.id}
    assert broken.endswith('"rou')
    assert json.loads(second)["id"] == b.id


KILLED = """
import os, signal, sys
from pathlib import Path
from platform_assets.alerts import delivery, senders
from platform_assets.alerts.book import Book
from platform_assets.alerts.database import Database
from platform_assets.alerts.senders import send_safely
from platform_assets_tests.alerting import START
from platform_assets_tests.integration.test_alert_delivery import to_webhook, policy

send, count = senders.send_safely, 0
def send_and_die(*arguments):
    global count
    outcome = send(*arguments)
    count += 1
    if count == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return outcome
delivery.send_safely = send_and_die
Book(Database(Path(sys.argv[1]))).deliver(policy(to_webhook(sys.argv[2])), START)
"""


@pytest.mark.faults
def test_killed_between_sending_and_recording_there_is_no_gap_and_one_id_each(book, httpserver):
    httpserver.expect_request("/in").respond_with_data("ok")
    url = httpserver.url_for("/in")
    chosen = policy(to_webhook(url))
    book.take([failed(f"cleaned/a{n}") for n in range(5)], chosen, START)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(book.database.file), url],
        env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert len(httpserver.log) == 3
    # The one that was being sent is claimed by who is no more: it is taken up at once.
    assert book.deliver(chosen, START).sent == 3
    sent = [each.headers["Idempotency-Key"] for each, _ in httpserver.log]
    assert set(sent) == {each.id for each in book.messages()}
    assert len(sent) == 6


def test_two_that_deliver_at_once_send_each_message_once(book, httpserver):
    from concurrent.futures import ThreadPoolExecutor

    httpserver.expect_request("/in").respond_with_data("ok")
    chosen = policy(to_webhook(httpserver.url_for("/in")))
    book.take([failed(f"cleaned/a{n}") for n in range(5)], chosen, START)
    books = [Book(Database(book.database.file)) for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(lambda each: each.deliver(chosen, START), books))
    assert sum(each.sent for each in results) == 5
    assert len(httpserver.log) == 5


def test_a_claim_of_another_machine_holds_for_a_while(book, tmp_path):
    from platform_assets.alerts.tables import MESSAGES

    chosen = policy(to_file(tmp_path / "a.jsonl"))
    book.take([failed()], chosen, START)
    with book.database.transaction() as connection:
        connection.execute(
            MESSAGES.update().values(claimed_by="elsewhere|1|2.0", claimed_until=after(minutes=2))
        )
    assert book.deliver(chosen, after(minutes=1)).sent == 0
    assert book.deliver(chosen, after(minutes=3)).sent == 1


def test_a_thousand_failures_are_taken_in_quickly_and_none_is_lost(book, tmp_path):
    chosen = policy(to_file(tmp_path / "a.jsonl"))
    storm = [failed(f"cleaned/a{n}", detail=f"error {n}\nline 2\nline 3") for n in range(1000)]
    began = time.process_time()
    book.take(storm, chosen, START)
    assert time.process_time() - began < 2
    book.deliver(chosen, START)
    told = lines(tmp_path / "a.jsonl")
    assert len(told) <= 10
    assert told[-1]["what"] == What.DIGEST
    assert told[-1]["messages"] + len(told) - 1 == 1000
    assert len(book.open_problems()) == len(book.incidents()) == 1000
    ends = [over(replace(each), after(minutes=30)) for each in storm]
    book.take(ends, chosen, after(minutes=30))
    book.deliver(chosen, after(minutes=30))
    assert len(lines(tmp_path / "a.jsonl")) <= 20
    assert book.open_problems() == []
    book.take([], chosen, after(hours=2))
    began = time.process_time()
    book.take([], chosen, after(hours=3))
    assert time.process_time() - began < 0.1
