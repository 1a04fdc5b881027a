"""The book of alerts and its commands: acknowledged, silenced, shown, pruned."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from platform_assets.alerts.book import Book
from platform_assets.alerts.database import METADATA, Database
from platform_assets.alerts.incidents import What
from platform_assets.alerts.matching import Match
from platform_assets.alerts.policy import default_policy
from platform_assets.alerts.signals import Kind
from platform_assets.cli.main import app
from platform_assets.errors import SettingsError
from platform_assets_tests.alerting import (
    START,
    WARN,
    after,
    failed,
    late,
    over,
    policy,
    route,
    whats,
)

HOURLY = policy(route(repeat_after=timedelta(hours=1)))


@pytest.fixture
def book(tmp_path):
    return Book(Database(tmp_path / "watch.sqlite"))


def test_tables_that_are_imported_late_are_made(tmp_path):
    database = Database(tmp_path / "watch.sqlite")
    late_table = sa.Table("_test_late", METADATA, sa.Column("number", sa.Integer))
    try:
        database.ensure(late_table)
        database.ensure(late_table)
        with database.transaction() as connection:
            connection.execute(late_table.insert().values(number=1))
    finally:
        METADATA.remove(late_table)


def test_what_was_read_and_what_was_decided_on_it_are_one_transaction(book, monkeypatch):
    from platform_assets.alerts import outbox

    def fail(*_):
        raise RuntimeError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(outbox, "put", fail)
        with pytest.raises(RuntimeError):
            book.take([failed()], HOURLY, START, {"log": "7"})
    assert (book.cursor("log"), book.open_problems(), book.messages()) == (None, [], [])
    assert whats(book.take([failed()], HOURLY, START, {"log": "7"})) == [What.BEGUN]
    assert book.cursor("log") == "7"
    assert Book(Database(book.database.file)).take([], HOURLY, after(minutes=1)) == []


def test_who_takes_an_incident_on_hears_when_it_is_over(book):
    book.take([failed()], HOURLY, START)
    (incident,) = book.incidents()
    acked = book.ack(incident.id[:6], by="anna", reason="on it", now=after(minutes=5))
    assert (acked.ack.by, book.incidents()[0].ack.reason) == ("anna", "on it")
    assert book.take([], HOURLY, after(hours=5)) == []
    assert book.figures(after(hours=5)).acknowledged == 1
    told = book.take([over(failed(), after(hours=6))], HOURLY, after(hours=6))
    assert whats(told) == [What.RECOVERED]
    with pytest.raises(SettingsError, match="is over"):
        book.ack(incident.id, by="anna", reason="on it", now=after(hours=7))


@pytest.mark.parametrize("beginning", ["zzz", ""])
def test_an_incident_that_is_none_is_refused(book, beginning):
    book.take([failed(), failed("cleaned/b")], HOURLY, START)
    with pytest.raises(SettingsError, match=r"incident[\s\S]*fix: "):
        book.ack(beginning, by="anna", reason="x", now=START)


def test_a_silence_holds_until_it_is_ended(book):
    made = book.silence(
        Match(kinds=(Kind.FRESHNESS,), datasets=("ord*",)),
        until=after(hours=9), author="anna", reason="migration", now=START,
    )  # fmt: skip
    assert book.take([late("cleaned/orders")], HOURLY, after(minutes=1)) == []
    assert whats(book.take([failed()], HOURLY, after(minutes=1))) == [What.BEGUN]
    assert book.silences(after(minutes=1)) == [made]
    figures = book.figures(after(minutes=1))
    assert (figures.silences, figures.silenced) == (1, 1)
    assert book.unsilence(made.id[:4], after(minutes=2)).until == after(minutes=2)
    assert whats(book.take([], HOURLY, after(minutes=2))) == [What.BEGUN]
    with pytest.raises(SettingsError, match="no such silence"):
        book.unsilence(made.id, after(minutes=3))


def test_the_numbers_are_counted(book):
    assert book.figures(START).taken_at is None
    book.take(
        [failed(), failed(partition="2025-01-02"), late("raw/a", severity=WARN)], HOURLY, START
    )
    figures = book.figures(after(minutes=3))
    assert figures.incidents == {"error": 1, "warn": 1}
    assert figures.problems == {"partition_failed": 2, "freshness": 1}
    assert (figures.taken_at, figures.signal_at) == (START, START)
    assert (figures.unsent, figures.lag_seconds(after(minutes=3))) == (2, 180)
    book.deliver(HOURLY, after(minutes=3))
    figures = book.figures(after(minutes=3))
    assert (figures.unsent, figures.sent) == (0, {"team": 2})
    assert figures.slowest_seconds == pytest.approx(180, abs=10)


def test_what_is_long_over_is_forgotten_and_what_is_open_or_unsent_is_not(book):
    book.take([failed(), failed("cleaned/open")], HOURLY, START)
    book.deliver(HOURLY, START)
    book.take([over(failed(), after(hours=1))], HOURLY, after(hours=1))
    book.deliver(HOURLY, after(hours=1))
    assert len(book.incidents(only_open=False)) == 2
    gone = policy(route("gone"))
    book.take([failed("cleaned/unsent", at=after(days=1))], gone, after(days=1))
    book.take([], HOURLY, after(days=100))
    (a, b) = book.incidents(only_open=False)
    assert {p.signal.subject for p in book.problems()} == {"cleaned/open", "cleaned/unsent"}
    assert {each.message.at for each in book.unsent() if each.message.route == "gone"} == {
        after(days=1)
    }
    assert a.is_open
    assert b.is_open


@pytest.fixture
def command(installation):
    runner = CliRunner()

    def run(*arguments, code=0):
        result = runner.invoke(app, ["alerts", *arguments])
        assert result.exit_code == code, result.output
        return result.output

    run.book = Book(Database(installation.settings.watch))
    run.policy = default_policy(installation.settings.data_dir)
    return run


def test_the_commands_show_and_do(command):
    now = datetime.now(UTC) - timedelta(hours=1)
    assert "nothing is wrong" in command("list")
    signal = failed(at=now, detail="password=hunter2", command="platform-assets backfill")
    command.book.take([signal, failed(partition="2025-01-02", at=now)], command.policy, now)
    (told,) = json.loads(command("list", "--json", code=1))["incidents"]
    assert told["problems"] == 2
    assert told["partitions"] == ["2025-01-01", "2025-01-02"]
    incident = told["incident"]
    assert incident[:8] in command("list", code=1)
    assert "taken on" in command("ack", incident[:5], "--reason", "on it", "--by", "anna")
    assert "taken on by anna" in command("list", code=1)
    command.book.take([], command.policy, now + timedelta(minutes=1))
    command.book.deliver(command.policy, now + timedelta(minutes=1))
    shown = command("show", incident[:5])
    assert "password=***" in shown
    assert "hunter2" not in shown
    assert "by file: sent" in shown
    assert json.loads(command("show", incident, "--json"))["acknowledged_by"] == "anna"
    ends = [over(each, now) for each in (signal, failed(partition="2025-01-02", at=now))]
    command.book.take(ends, command.policy, now + timedelta(minutes=2))
    command.book.deliver(command.policy, now + timedelta(minutes=2))
    assert "nothing is wrong" in command("list")
    assert incident[:8] in command("list", "--all")


def test_a_silence_is_made_shown_and_ended(command):
    told = command("silence", "--dataset", "orders", "--for", "2h", "--reason", "migration")
    assert "datasets orders" in told
    (made,) = json.loads(command("list", "--json"))["silences"]
    assert "migration" in command("list")
    assert "no longer silenced" in command("unsilence", made["id"][:6])
    assert json.loads(command("list", "--json"))["silences"] == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["silence", "--for", "2h", "--reason", "x"], "Everything would be silenced"),
        (["silence", "--for", "soon", "--reason", "x", "--layer", "raw"], "not a time span"),
        (["silence", "--for", "1h", "--reason", "x", "--kind", "latte"], "not a kind"),
        (["unsilence", "nothing"], "no such silence"),
        (["show", "nothing"], "no such incident"),
        (["ack", "nothing", "--reason", "x"], "no such incident"),
        (["discard", "nothing"], "no such message"),
        (["test", "nothing"], "no such route"),
    ],
)
def test_bad_input_is_explained(command, arguments, told):
    assert told in command(*arguments, code=2)


def test_a_route_is_tried(command, installation):
    assert "sent by file" in command("test", "file")
    assert "TEST of a route" in (installation.settings.data_dir / "alerts.jsonl").read_text()
    closed = "routes:\n  - {name: hook, to: {webhook: 'http://127.0.0.1:9/secret-path'}}\n"
    (installation.root / "alerts.yaml").write_text(closed)
    told = command("test", "hook", code=1)
    assert "connection refused" in told
    assert "secret-path" not in told


def test_a_mistake_in_the_policy_keeps_nobody_from_seeing_what_is_wrong(command, installation):
    now = datetime.now(UTC)
    command.book.take([failed(at=now)], command.policy, now)
    (installation.root / "alerts.yaml").write_text("rotues: []\n")
    incident = command.book.incidents()[0].id
    told = command("list", code=1)
    assert "rename it to routes" in told
    assert incident[:8] in told
    command("ack", incident, "--reason", "on it")


def test_what_no_route_takes_is_shown_as_told_to_nobody(command, installation):
    now = datetime.now(UTC)
    (installation.root / "alerts.yaml").write_text(
        "routes: [{name: screen, to: console, match: {layers: [raw]}}]\n"
    )
    command.book.take([failed(at=now)], policy(route(match=None)), now)
    assert "nobody: no route takes it" in command("list", code=1)


def test_a_message_that_no_route_takes_is_shown_until_it_is_given_up(command):
    now = datetime.now(UTC)
    gone = policy(route("gone"))
    command.book.take([failed(at=now)], gone, now)
    command.book.take([over(failed(), now)], gone, now)
    command.book.deliver(command.policy, now)
    told = command("list", code=1)
    assert "no route takes it" in told
    assert "there is no route gone any more" in told
    for each in command.book.unsent():
        assert "not sent any more" in command("discard", each.message.id)
    assert "nothing is wrong" in command("list")
