"""The book of alerts in the page's terms: one entry an incident, nothing secret, nothing made."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from platform_assets.alerts.book import Book
from platform_assets.alerts.database import Database
from platform_assets.alerts.policy import load_policy
from platform_assets.alerts.signals import Kind, Severity, Signal, Standing
from platform_assets.errors import SettingsError
from platform_assets.report.watched import read
from platform_assets_tests.report_facts import NOW

LATER = NOW + timedelta(minutes=1)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "watch.sqlite"


def take(file: Path, *signals: Signal) -> Book:
    book = Book(Database(file))
    book.take(signals, load_policy(file.with_name("alerts.yaml")), NOW)
    return book


def failed(subject: str, **options: object) -> Signal:
    values = {"title": "stopped", "owners": ("team:sales",), **options}
    return Signal(Kind.PARTITION_FAILED, subject, NOW, **values)  # type: ignore[arg-type] # a test's


def test_what_follows_is_counted_with_its_root(file: Path) -> None:
    root = failed("cleaned/orders", partition="2026-11-19", command="see --why")
    take(file, root, failed("aggregated/sales", cause=root.fingerprint))
    watch = read(file, LATER)
    assert watch.looked_at == NOW
    told = {each.subject: each for each in watch.alerts}
    assert [each.subject for each in watch.alerts if each.is_root] == ["cleaned/orders"]
    first = told["cleaned/orders"]
    assert (first.following, first.partition, first.since) == (1, "2026-11-19", NOW)
    assert (first.standing, first.owners, first.command) == ("open", ("team:sales",), "see --why")


def test_the_worst_comes_first(file: Path) -> None:
    take(file, failed("raw/a", severity=Severity.WARN), failed("raw/b"))
    assert [each.subject for each in read(file, LATER).alerts] == ["raw/b", "raw/a"]


def test_who_has_taken_it_on_is_told(file: Path) -> None:
    book = take(file, failed("raw/a"))
    (incident,) = book.incidents()
    book.ack(incident.id, by="ann", reason="on it", now=LATER)
    (told,) = read(file, LATER).alerts
    assert (told.standing, told.incident) == ("taken on by ann: on it", incident.id)


def test_what_is_over_is_not_told(file: Path) -> None:
    book = take(file, failed("raw/a"))
    over = failed("raw/a", standing=Standing.OVER)
    book.take([over], load_policy(file.with_name("alerts.yaml")), LATER)
    assert read(file, LATER).alerts == []


def test_a_secret_in_an_error_is_hidden(file: Path) -> None:
    take(file, failed("raw/a", detail="postgres://ada:hunter2@db/shop said no to ada@example.com"))
    (told,) = read(file, LATER).alerts
    assert "hunter2" not in told.detail
    assert "ada@example.com" not in told.detail


def test_a_book_that_is_not_there_is_said_and_not_made(file: Path) -> None:
    with pytest.raises(SettingsError, match="Nobody has watched yet"):
        read(file, NOW)
    assert not file.exists()


def test_a_file_that_is_no_book_is_said(file: Path) -> None:
    file.write_text("no database, and longer than a header of one" * 10)
    with pytest.raises(SettingsError, match="cannot be opened"):
        read(file, NOW)
