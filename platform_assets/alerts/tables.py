"""The tables of the book of alerts.

Belongs here: their columns. Does not belong here: reading and writing them (``store``, ``outbox``,
``book``).
"""

from __future__ import annotations

import sqlalchemy as sa

from platform_assets.alerts.database import METADATA, Moment

PROBLEMS = sa.Table(
    "alert_problems",
    METADATA,
    sa.Column("incident", sa.Text, primary_key=True),
    sa.Column("fingerprint", sa.Text, primary_key=True),
    sa.Column("since", Moment, nullable=False),
    sa.Column("over_at", Moment, index=True),
    sa.Column("seen", sa.Integer, nullable=False),
    sa.Column("signal", sa.JSON, nullable=False),
)
INCIDENTS = sa.Table(
    "alert_incidents",
    METADATA,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("since", Moment, nullable=False),
    sa.Column("noticed_at", Moment, nullable=False),
    sa.Column("severity", sa.Text, nullable=False),
    sa.Column("root", sa.Text, nullable=False),
    sa.Column("once", sa.Boolean, nullable=False),
    sa.Column("over_at", Moment),
    sa.Column("reopened", sa.Integer, nullable=False),
    sa.Column("signals", sa.Integer, nullable=False),
    sa.Column("told", sa.JSON, nullable=False),
    sa.Column("escalated", sa.JSON, nullable=False),
    sa.Column("silence", sa.Text, nullable=False),
    sa.Column("labels", sa.JSON, nullable=False),
    # Whether it cannot come back: the engine does not look at it any more.
    sa.Column("finished", sa.Boolean, nullable=False, index=True),
)
ACKS = sa.Table(
    "alert_acks",
    METADATA,
    sa.Column("incident", sa.Text, primary_key=True),
    sa.Column("at", Moment, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
)
SILENCES = sa.Table(
    "alert_silences",
    METADATA,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("match", sa.JSON, nullable=False),
    sa.Column("begins", Moment, nullable=False),
    sa.Column("until", Moment, nullable=False),
    sa.Column("author", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
)
FAILURES = sa.Table(
    "alert_failures",
    METADATA,
    sa.Column("subject", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("at", Moment, nullable=False),
)
PACES = sa.Table(
    "alert_paces",
    METADATA,
    sa.Column("route", sa.Text, primary_key=True),
    sa.Column("sent", sa.JSON, nullable=False),
    sa.Column("digested_at", Moment),
)
MESSAGES = sa.Table(
    "alert_messages",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("id", sa.Text, nullable=False, unique=True),
    sa.Column("route", sa.Text, nullable=False),
    sa.Column("what", sa.Text, nullable=False),
    sa.Column("severity", sa.Text, nullable=False),
    sa.Column("incident", sa.Text, nullable=False, index=True),
    sa.Column("at", Moment, nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("markdown", sa.Text, nullable=False),
    sa.Column("facts", sa.JSON, nullable=False),
    # `held`, `folded`; empty: it is sent by itself.
    sa.Column("waits", sa.Text, nullable=False),
    # The message that took its place.
    sa.Column("part_of", sa.Text, nullable=False, index=True),
    # `waiting`, `due`, `sent`; `told` in another message; `discarded` by a person.
    sa.Column("status", sa.Text, nullable=False, index=True),
    # The route that it is tried on, since when, and how often it failed there.
    sa.Column("via", sa.Text, nullable=False),
    sa.Column("via_since", Moment, nullable=False),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("next_attempt_at", Moment, nullable=False),
    # Whether every route that it may take has failed.
    sa.Column("stuck", sa.Boolean, nullable=False),
    sa.Column("error", sa.Text, nullable=False),
    sa.Column("claimed_by", sa.Text, nullable=False),
    sa.Column("claimed_until", Moment),
    sa.Column("sent_at", Moment),
)
DELIVERIES = sa.Table(
    "alert_deliveries",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("message", sa.Text, nullable=False, index=True),
    sa.Column("route", sa.Text, nullable=False),
    sa.Column("at", Moment, nullable=False),
    sa.Column("succeeded", sa.Boolean, nullable=False),
    sa.Column("error", sa.Text, nullable=False),
)
CURSORS = sa.Table(
    "alert_cursors",
    METADATA,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
    sa.Column("at", Moment, nullable=False),
)
MARKS = sa.Table(
    "alert_marks",
    METADATA,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("at", Moment, nullable=False),
)
TABLES = (
    PROBLEMS, INCIDENTS, ACKS, SILENCES, FAILURES, PACES, MESSAGES, DELIVERIES, CURSORS, MARKS,
)  # fmt: skip
