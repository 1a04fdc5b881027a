"""The book of alerts: what is wrong, who was told, and what is still to be sent.

Belongs here: what others call. Does not belong here: how a problem moves on (``engine``), the rows
(``store``, ``outbox``), sending (``senders``).

What is seen, what is decided on it and how far it was read are one transaction: nothing is lost and
nothing is said twice, wherever a process is killed.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import sqlalchemy as sa

from platform_assets.alerts import attempts, outbox, store
from platform_assets.alerts.attempts import Delivery, Unsent
from platform_assets.alerts.database import Database
from platform_assets.alerts.delivery import BUDGET, Delivered, deliver
from platform_assets.alerts.engine import step
from platform_assets.alerts.figures import Figures, figures
from platform_assets.alerts.incidents import Ack, Incident, Message, Problem, Silence
from platform_assets.alerts.matching import Match
from platform_assets.alerts.retention import prune
from platform_assets.alerts.routing import Policy
from platform_assets.alerts.signals import Signal
from platform_assets.alerts.tables import (
    ACKS,
    CURSORS,
    INCIDENTS,
    MARKS,
    MESSAGES,
    PROBLEMS,
    SILENCES,
    TABLES,
)
from platform_assets.errors import SettingsError

__all__ = ["Book", "Delivered"]


class Book:
    """The book.

    Args:
        database: Where it is kept.
        ui_url: Where people reach Dagster's UI; empty: messages have no links.
    """

    def __init__(self, database: Database, ui_url: str = "") -> None:
        self.database = database
        self.ui_url = ui_url
        database.ensure(*TABLES)

    def cursor(self, name: str) -> str | None:
        """How far something was read; None: not at all yet.

        Args:
            name: What is read, by whom.
        """
        with self.database.transaction() as connection:
            query = sa.select(CURSORS.c.value).where(CURSORS.c.name == name)
            return connection.execute(query).scalar()

    def cursors(self, beginning: str) -> dict[str, str]:
        """How far several things were read, by name.

        Args:
            beginning: What their names begin with.
        """
        with self.database.transaction() as connection:
            query = sa.select(CURSORS.c.name, CURSORS.c.value).where(
                CURSORS.c.name.startswith(beginning, autoescape=True)
            )
            return {row.name: row.value for row in connection.execute(query)}

    def take(
        self,
        signals: Sequence[Signal],
        policy: Policy,
        now: datetime,
        cursors: Mapping[str, str] | None = None,
    ) -> list[Message]:
        """Take in what was seen, and decide what is said; one transaction.

        It is called without signals too: that time has passed may be a reason to say something.

        Args:
            signals: What was seen, in the order in which it happened.
            policy: Who is told what, when.
            now: The time (with a time zone).
            cursors: By name, how far the signals' sources were read.

        Returns:
            The new messages.
        """
        with self.database.transaction() as connection:
            before = store.load(connection, now)
            done = step(before, signals, policy, now, self.ui_url)
            store.save(connection, before, done)
            outbox.put(connection, done.messages, now)
            store.replace_rows(
                connection,
                CURSORS,
                [{"name": n, "value": v, "at": now} for n, v in (cursors or {}).items()],
            )
            marks = [{"name": "taken", "at": now}]
            if signals:
                marks.append({"name": "signal", "at": max(each.at for each in signals)})
            store.replace_rows(connection, MARKS, marks)
            prune(connection, policy.retention, now)
        return done.messages

    def deliver(self, policy: Policy, now: datetime, budget: timedelta = BUDGET) -> Delivered:
        """Send what is due; a route that fails is left alone until the next call.

        Args:
            policy: Where routes lead.
            now: The time (with a time zone).
            budget: How long it may take; what it does not get to stays due.
        """
        return deliver(self.database, policy, now, budget)

    def figures(self, now: datetime) -> Figures:
        """Numbers, for metrics and the status page.

        Args:
            now: The time.
        """
        with self.database.transaction() as connection:
            return figures(connection, now)

    def open_problems(self) -> list[Problem]:
        """What is wrong now, in the order in which it was seen first."""
        return self.problems(only_open=True)

    def problems(
        self, *, incident: str | None = None, only_open: bool = False, of_open: bool = False
    ) -> list[Problem]:
        """What is or was wrong, in the order in which it was seen first.

        Args:
            incident: Only of this incident.
            only_open: Only what is wrong now.
            of_open: Only of incidents that are not over.
        """
        conditions: list[sa.ColumnElement[bool]] = []
        if incident is not None:
            conditions.append(PROBLEMS.c.incident == incident)
        if only_open:
            conditions.append(PROBLEMS.c.over_at.is_(None))
        if of_open:
            is_open = sa.select(INCIDENTS.c.id).where(INCIDENTS.c.over_at.is_(None))
            conditions.append(PROBLEMS.c.incident.in_(is_open))
        with self.database.transaction() as connection:
            return store.problems_where(connection, *conditions)

    def incidents(self, *, only_open: bool = True) -> list[Incident]:
        """Incidents, in the order in which they were noticed.

        Args:
            only_open: Only those that are not over.
        """
        with self.database.transaction() as connection:
            condition = INCIDENTS.c.over_at.is_(None) if only_open else sa.true()
            return store.incidents_where(connection, condition)

    def incident(self, beginning: str) -> Incident:
        """The incident of an id.

        Args:
            beginning: Its id, or the beginning of it.

        Raises:
            SettingsError: There is none, or several.
        """
        with self.database.transaction() as connection:
            found = store.incidents_where(
                connection, INCIDENTS.c.id.startswith(beginning, autoescape=True)
            )
        if len(found) == 1 and beginning:
            return found[0]
        raise SettingsError(
            "Several incidents begin so" if found else "There is no such incident",
            where=f"incident {beginning}",
            expected="the id of one incident, or enough of its beginning",
            found=f"{len(found):,} of them" if found else "none",
            fix="platform-assets alerts list --all shows their ids",
        )

    def messages(self, *, incident: str | None = None) -> list[Message]:
        """Messages, in the order in which they were said.

        Args:
            incident: Only about this incident.
        """
        conditions: list[sa.ColumnElement[bool]] = []
        if incident is not None:
            conditions.append(MESSAGES.c.incident == incident)
        with self.database.transaction() as connection:
            return store.messages_where(connection, *conditions)

    def ack(self, incident: str, *, by: str, reason: str, now: datetime) -> Incident:
        """Take an incident on: it is neither repeated nor escalated until it is over.

        Args:
            incident: Its id, or the beginning of it.
            by: Who takes it on.
            reason: Why it needs no more messages.
            now: The time.

        Raises:
            SettingsError: There is no such incident, or it is over.
        """
        found = self.incident(incident)
        if not found.is_open:
            raise SettingsError(
                "The incident is over: there is nothing to take on",
                where=f"incident {found.id}",
                expected="an incident that is open",
                found=f"one that was over at {found.over_at:%Y-%m-%d %H:%M} UTC",
                fix="platform-assets alerts list shows what is open",
            )
        with self.database.transaction() as connection:
            store.replace_rows(
                connection,
                ACKS,
                [{"incident": found.id, "at": now, "by": by, "reason": reason}],
            )
        return replace(found, ack=Ack(now, by, reason))

    def silence(
        self, match: Match, *, until: datetime, author: str, reason: str, now: datetime
    ) -> Silence:
        """Say nothing of some problems for a while.

        Args:
            match: Which problems.
            until: Until when.
            author: Who wants it so.
            reason: Why.
            now: The time: from when on.
        """
        made = Silence(uuid.uuid4().hex[:12], match, now, until, author, reason)
        with self.database.transaction() as connection:
            store.replace_rows(
                connection, SILENCES, [{**vars(made), "match": store.match_row(match)}]
            )
        return made

    def unsilence(self, silence: str, now: datetime) -> Silence:
        """End a silence before its time.

        Args:
            silence: Its id, or the beginning of it.
            now: The time.

        Raises:
            SettingsError: None that is in force begins so, or several do.
        """
        with self.database.transaction() as connection:
            found = store.silences_where(
                connection,
                SILENCES.c.until > now,
                SILENCES.c.id.startswith(silence, autoescape=True),
            )
            if len(found) != 1 or not silence:
                raise SettingsError(
                    "Several silences begin so" if found else "There is no such silence in force",
                    where=f"silence {silence}",
                    expected="the id of one silence, or enough of its beginning",
                    found=f"{len(found):,} of them" if found else "none",
                    fix="platform-assets alerts list shows those in force",
                )
            ended = replace(found[0], until=now)
            connection.execute(SILENCES.update().where(SILENCES.c.id == ended.id).values(until=now))
        return ended

    def silences(self, now: datetime) -> list[Silence]:
        """The silences that are not over.

        Args:
            now: The time.
        """
        with self.database.transaction() as connection:
            return store.silences_where(connection, SILENCES.c.until > now)

    def discard(self, message: str) -> None:
        """Give up a message that is still to be sent, because its receiver is no more.

        Args:
            message: Its id.

        Raises:
            SettingsError: There is none that is still to be sent.
        """
        with self.database.transaction() as connection:
            if not outbox.discard(connection, message):
                raise SettingsError(
                    "There is no such message that is still to be sent",
                    where=f"message {message}",
                    expected="the id of a message that no route has taken yet",
                    found="none",
                    fix="platform-assets alerts list shows them",
                )

    def deliveries(self, messages: Sequence[str]) -> list[Delivery]:
        """Attempts to send messages, in order.

        Args:
            messages: The messages' ids.
        """
        with self.database.transaction() as connection:
            return attempts.deliveries(connection, messages)

    def unsent(self) -> list[Unsent]:
        """The messages that are still to be sent, the oldest first."""
        with self.database.transaction() as connection:
            return attempts.unsent(connection)
