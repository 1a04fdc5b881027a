"""What the book of alerts says: the incidents that are open, and when anybody looked last.

Belongs here: reading the book in the page's terms. Does not belong here: deciding what is worth an
alert (``alerts``).
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from pathlib import Path

from platform_assets.alerts.book import Book
from platform_assets.alerts.database import Database
from platform_assets.alerts.incidents import Incident, Problem
from platform_assets.alerts.redaction import redacted
from platform_assets.errors import SettingsError
from platform_assets.report.model import Alert, Watch


def read(file: Path, now: datetime) -> Watch:
    """What is wrong by the book of alerts, the worst and the longest first.

    Args:
        file: The database of alerts; it is not made where it is missing.
        now: The moment (with a time zone).

    Raises:
        SettingsError: There is no such file, or it cannot be read.
    """
    if not file.is_file():
        raise SettingsError(
            "Nobody has watched yet: there is no database of alerts",
            where=str(file),
            expected="a file that the alert loop makes",
            found="none",
            fix="start the daemon, which runs that loop: platform-assets dev",
        )
    book = Book(Database(file))
    by_incident: dict[str, list[Problem]] = defaultdict(list)
    for problem in book.open_problems():
        by_incident[problem.incident].append(problem)
    incidents = {incident.id: incident for incident in book.incidents()}
    alerts = [
        _alert(problem, incidents[key], problems)
        for key, problems in by_incident.items()
        # One that was over between the two questions is not open.
        if key in incidents
        for problem in problems
    ]
    alerts.sort(key=lambda each: (-each.severity.rank, each.since, each.subject))
    return Watch(alerts, book.figures(now).taken_at)


def _alert(problem: Problem, incident: Incident, problems: list[Problem]) -> Alert:
    signal = problem.signal
    known = {each.signal.fingerprint for each in problems}
    root = incident.root if incident.root in known else problems[0].signal.fingerprint
    return Alert(
        kind=signal.kind,
        subject=signal.subject,
        partition=signal.partition,
        severity=signal.severity,
        title=redacted(signal.title),
        detail=redacted(signal.detail),
        since=problem.since,
        standing=_standing(incident),
        seen=problem.seen,
        owners=signal.owners,
        command=redacted(signal.command),
        incident=incident.id,
        is_root=signal.fingerprint == root,
        following=len(problems) - 1,
    )


def _standing(incident: Incident) -> str:
    if incident.ack is not None:
        return redacted(f"taken on by {incident.ack.by}: {incident.ack.reason}")
    return "silenced" if incident.silence else "open"
