"""The engine's state in the database: loaded whole, and what has changed written back.

Belongs here: from rows to ``incidents`` and back. Does not belong here: what a state means
(``engine``), messages on their way (``outbox``).

Values are frozen: what is another object is another value, so a step writes only what it changed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from platform_assets.alerts.engine import Step
from platform_assets.alerts.incidents import (
    Ack,
    Failure,
    Incident,
    Message,
    Pace,
    Problem,
    Silence,
    State,
    Told,
    What,
)
from platform_assets.alerts.matching import Match
from platform_assets.alerts.signals import Kind, Severity, Signal, Standing
from platform_assets.alerts.tables import (
    ACKS,
    FAILURES,
    INCIDENTS,
    MESSAGES,
    PACES,
    PROBLEMS,
    SILENCES,
)


def load(connection: sa.Connection, now: datetime) -> State:
    """What is known.

    Args:
        connection: A transaction on the database.
        now: The time.
    """
    incidents = incidents_where(connection, ~INCIDENTS.c.finished)
    active = sa.select(INCIDENTS.c.id).where(~INCIDENTS.c.finished)
    problems = {
        each.key: each
        for each in problems_where(connection, PROBLEMS.c.incident.in_(active))
        # What happened again is part of the newer incident.
    }
    failures: dict[str, tuple[Failure, ...]] = defaultdict(tuple)
    for row in connection.execute(sa.select(FAILURES).order_by(FAILURES.c.at)):
        failures[row.subject] = (*failures[row.subject], Failure(row.key, row.at))
    return State(
        problems=problems,
        incidents={each.id: each for each in incidents},
        silences=tuple(silences_where(connection, SILENCES.c.until > now)),
        failures=dict(failures),
        paces={
            row.route: Pace(tuple(map(datetime.fromisoformat, row.sent)), row.digested_at)
            for row in connection.execute(sa.select(PACES))
        },
        waiting=tuple(messages_where(connection, MESSAGES.c.status == "waiting")),
    )


def save(connection: sa.Connection, before: State, step: Step) -> None:
    """Write what a step has changed, but for its messages.

    Args:
        connection: The transaction that ``before`` was loaded in.
        before: The state before the step.
        step: The step.
    """
    after = step.state
    finished = {each.id: each for each, _ in step.finished}
    changed = [i for key, i in after.incidents.items() if before.incidents.get(key) is not i]
    replace_rows(
        connection,
        INCIDENTS,
        [
            *(_incident_row(each, finished=False) for each in changed),
            *(_incident_row(each, finished=True) for each in finished.values()),
        ],
    )
    _delete(
        connection,
        INCIDENTS,
        [{"id": key} for key in before.incidents.keys() - after.incidents.keys() - finished.keys()],
    )
    ended = [each for _, gone in step.finished for each in gone]
    replace_rows(
        connection,
        PROBLEMS,
        [
            _problem_row(each)
            for each in (*ended, *after.problems.values())
            if before.problems.get(each.key) is not each
        ],
    )
    moved = (
        old
        for key, old in before.problems.items()
        if key in after.problems
        and after.problems[key].incident != old.incident
        # What is over keeps what it was made of.
        and old.incident not in finished
        and not before.incidents[old.incident].once
    )
    _delete(
        connection,
        PROBLEMS,
        [{"incident": p.incident, "fingerprint": p.key} for p in moved],
    )
    _save_failures(connection, before, after)
    replace_rows(
        connection,
        PACES,
        [
            {
                "route": route,
                "sent": [each.isoformat() for each in pace.sent],
                "digested_at": pace.digested_at,
            }
            for route, pace in after.paces.items()
            if before.paces.get(route, Pace()) != pace
        ],
    )


def replace_rows(
    connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]
) -> None:
    """Write rows; those of the same key are replaced."""
    if rows:
        keys = [column.name for column in table.primary_key]
        insert = sqlite.insert(table)
        changes = {name: insert.excluded[name] for name in rows[0] if name not in keys}
        connection.execute(insert.on_conflict_do_update(index_elements=keys, set_=changes), rows)


def incidents_where(
    connection: sa.Connection, *conditions: sa.ColumnElement[bool]
) -> list[Incident]:
    """Incidents, in the order in which they were noticed."""
    query = (
        sa.select(INCIDENTS, ACKS.c.at, ACKS.c.by, ACKS.c.reason)
        .outerjoin(ACKS, ACKS.c.incident == INCIDENTS.c.id)
        .where(*conditions)
        .order_by(INCIDENTS.c.noticed_at, sa.text("alert_incidents.rowid"))
    )
    return [
        Incident(
            id=row.id,
            key=row.key,
            since=row.since,
            noticed_at=row.noticed_at,
            severity=Severity(row.severity),
            root=row.root,
            once=row.once,
            over_at=row.over_at,
            reopened=row.reopened,
            signals=row.signals,
            told={name: _told(each) for name, each in row.told.items()},
            escalated=tuple(row.escalated),
            ack=None if row.at is None else Ack(row.at, row.by, row.reason),
            silence=row.silence,
            labels=row.labels,
        )
        for row in connection.execute(query)
    ]


def problems_where(connection: sa.Connection, *conditions: sa.ColumnElement[bool]) -> list[Problem]:
    """Problems, in the order in which they were first seen."""
    query = sa.select(PROBLEMS).where(*conditions).order_by(sa.text("alert_problems.rowid"))
    return [
        Problem(signal_of(row.signal), row.incident, row.since, row.seen, row.over_at)
        for row in connection.execute(query)
    ]


def silences_where(connection: sa.Connection, *conditions: sa.ColumnElement[bool]) -> list[Silence]:
    """Silences, in the order in which they begin."""
    query = sa.select(SILENCES).where(*conditions).order_by(SILENCES.c.begins, SILENCES.c.id)
    return [
        Silence(row.id, match_of(row.match), row.begins, row.until, row.author, row.reason)
        for row in connection.execute(query)
    ]


def messages_where(connection: sa.Connection, *conditions: sa.ColumnElement[bool]) -> list[Message]:
    """Messages, in the order in which they were said."""
    query = sa.select(MESSAGES).where(*conditions).order_by(MESSAGES.c.number)
    return [message_of(row) for row in connection.execute(query)]


def message_of(row: sa.Row[Any]) -> Message:
    """The message of a row."""
    return Message(
        id=row.id,
        route=row.route,
        what=What(row.what),
        severity=Severity(row.severity),
        incident=row.incident,
        at=row.at,
        title=row.title,
        text=row.text,
        markdown=row.markdown,
        facts=row.facts,
        waits=row.waits,
    )


def match_row(match: Match) -> dict[str, Any]:
    """A match as it is kept."""
    return {
        name: value if isinstance(value, str) else list(value)
        for name, value in vars(match).items()
    }


def match_of(row: Mapping[str, Any]) -> Match:
    """A match as it was kept."""
    names: dict[str, Any] = {name: tuple(v) for name, v in row.items() if name != "severity"}
    names["kinds"] = tuple(Kind(each) for each in row["kinds"])
    return Match(severity=Severity(row["severity"]), **names)


def signal_of(row: Mapping[str, Any]) -> Signal:
    """A signal as it was kept."""
    return Signal(
        **{
            **row,
            "kind": Kind(row["kind"]),
            "at": datetime.fromisoformat(row["at"]),
            "standing": Standing(row["standing"]),
            "severity": Severity(row["severity"]),
            "owners": tuple(row["owners"]),
            "downstream": tuple(row["downstream"]),
        }
    )


def _problem_row(problem: Problem) -> dict[str, Any]:
    signal = problem.signal
    return {
        "incident": problem.incident,
        "fingerprint": problem.key,
        "since": problem.since,
        "over_at": problem.over_at,
        "seen": problem.seen,
        "signal": {**vars(signal), "at": signal.at.isoformat()},
    }


def _incident_row(incident: Incident, *, finished: bool) -> dict[str, Any]:
    kept = {name: value for name, value in vars(incident).items() if name != "ack"}
    return {
        **kept,
        "told": {
            name: {
                **vars(each),
                "begun_at": each.begun_at.isoformat(),
                "last_at": each.last_at.isoformat(),
            }
            for name, each in incident.told.items()
        },
        "finished": finished,
    }


def _told(row: Mapping[str, Any]) -> Told:
    return Told(
        **{
            **row,
            "begun_at": datetime.fromisoformat(row["begun_at"]),
            "last_at": datetime.fromisoformat(row["last_at"]),
            "severity": Severity(row["severity"]),
        }
    )


def _save_failures(connection: sa.Connection, before: State, after: State) -> None:
    old = {(s, each.key) for s, kept in before.failures.items() for each in kept}
    new = {(s, each.key): each.at for s, kept in after.failures.items() for each in kept}
    replace_rows(
        connection,
        FAILURES,
        [
            {"subject": subject, "key": key, "at": at}
            for (subject, key), at in new.items()
            if (subject, key) not in old
        ],
    )
    _delete(
        connection,
        FAILURES,
        [{"subject": subject, "key": key} for subject, key in old - new.keys()],
    )


def _delete(connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        conditions = [table.c[name] == sa.bindparam(f"_{name}") for name in rows[0]]
        connection.execute(
            table.delete().where(*conditions),
            [{f"_{name}": value for name, value in row.items()} for row in rows],
        )
