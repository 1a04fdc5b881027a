"""The words of a message: what, where, since when, the error, whose, what follows, the fix.

Belongs here: text, Markdown and facts of one incident. Does not belong here: several messages in
one (``digests``), when a message is due (``saying``), who gets it (``senders``).

All of it is of bounded length, and nothing leaves unredacted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from platform_assets.alerts.digests import together
from platform_assets.alerts.incidents import Incident, Message, Problem, What
from platform_assets.alerts.redaction import redacted
from platform_assets.alerts.routing import Route
from platform_assets.alerts.saying import Saying
from platform_assets.alerts.signals import Kind, Severity, Standing
from platform_assets.partitions import spans

LONGEST_TITLE, LONGEST_LINE, MOST_LINES = 200, 300, 8
SHOWN_SPANS, SHOWN_NAMES, KEPT_NAMES = 5, 5, 20
_BREAK = "  \n"
"""Markdown's way to break a line: two blanks before it."""


class Words:
    """Makes messages of what is to be said.

    Args:
        now: The time.
        ui_url: Where people reach Dagster's UI; empty: no links.
    """

    def __init__(self, now: datetime, ui_url: str) -> None:
        self.now = now
        self.ui_url = ui_url.rstrip("/")
        self._facts: dict[tuple[object, ...], dict[str, Any]] = {}

    def of(self, saying: Saying, waits: str = "") -> Message:
        """The message that says it.

        Args:
            saying: What is to be said.
            waits: Why the message is not sent by itself; empty: it is.
        """
        incident = saying.incident
        # Several routes are told the same thing.
        known = (incident.id, saying.what, saying.suppressed, saying.before)
        if known not in self._facts:
            self._facts[known] = self._facts_of(saying)
        facts = self._facts[known]
        identity = message_id(incident.id, saying.route.name, saying.what, str(saying.number))
        # What waits is told in one line of another message.
        lines = [] if waits == "folded" else _lines(facts)
        return Message(
            id=identity,
            route=saying.route.name,
            what=saying.what,
            severity=incident.severity,
            incident=incident.id,
            at=self.now,
            title=facts["title"],
            text=_text(lines),
            markdown=_markdown(lines),
            facts=facts,
            waits=waits,
        )

    def together(self, what: What, route: Route, messages: Sequence[Message]) -> Message:
        """One message in place of several."""
        identity = message_id(route.name, what, *(each.id for each in messages))
        return together(identity, what, route.name, messages, self.now)

    def _facts_of(self, saying: Saying) -> dict[str, Any]:
        incident = saying.incident
        shown = [each for each in saying.problems if each.is_open] or saying.problems
        root = shown[0].signal
        own = [p for p in shown if (p.signal.kind, p.signal.subject) == (root.kind, root.subject)]
        follow = [
            p for p in shown if (p.signal.kind, p.signal.subject) != (root.kind, root.subject)
        ]
        partitions = sorted({p.signal.partition for p in own if p.signal.partition})
        downstream = list(dict.fromkeys(each for p in own for each in p.signal.downstream))
        # Of one that is there, only what is there is shown.
        undefined = [each for each in shown if each.signal.standing is Standing.GONE]
        over_at = incident.over_at
        lasted = (over_at or self.now) - incident.since
        facts: dict[str, Any] = {
            "incident": incident.id,
            "what": str(saying.what),
            "severity": str(incident.severity),
            "severity_before": None if saying.before is None else str(saying.before),
            "kind": str(root.kind),
            "subject": redacted(root.subject),
            "part": redacted(root.part),
            "dataset": root.dataset,
            "layer": root.layer,
            "owners": list(dict.fromkeys(each for p in own for each in p.signal.owners)),
            "partitions": [_span(each) for each in spans(partitions)][:KEPT_NAMES],
            "partition_count": len(partitions),
            "since": incident.since.astimezone(UTC).isoformat(),
            "over_at": None if over_at is None else over_at.astimezone(UTC).isoformat(),
            "said_at": self.now.astimezone(UTC).isoformat(),
            "seconds": max(0.0, lasted.total_seconds()),
            "detail": _first_lines(root.detail),
            "downstream": downstream[:KEPT_NAMES],
            "downstream_count": len(downstream),
            "follows": list(dict.fromkeys(_name(each) for each in follow))[:KEPT_NAMES],
            "follows_count": len(follow),
            "is_undefined": shown[0] in undefined,
            "undefined": list(dict.fromkeys(map(_defined, undefined)))[:KEPT_NAMES],
            "undefined_count": len(set(map(_defined, undefined))),
            "problems": len(shown),
            "suppressed": saying.suppressed,
            "reopened": incident.reopened,
            "once": incident.once,
            "run_url": f"{self.ui_url}/runs/{root.run_id}" if self.ui_url and root.run_id else "",
            "command": redacted(root.command),
            "acknowledge": _acknowledge(incident, saying.what),
            # An owner is named as declared, be it an address.
            "labels": {
                name: value if name == "owner" else redacted(value)
                for name, value in incident.labels.items()
            },
        }
        facts["title"] = _title(facts, redacted(root.title or root.kind.replace("_", " ")))
        return facts


def message_id(*parts: str) -> str:
    """The id of a message: the same for the same message, in whatever process."""
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:24]


def lasted(seconds: float) -> str:
    """A duration in words, such as ``2 hours 5 minutes``."""
    minutes = int(seconds // 60)
    days, hours, rest = minutes // 1440, minutes // 60 % 24, minutes % 60
    parts = [(days, "day"), (hours, "hour"), (rest if not days else 0, "minute")]
    told = " ".join(f"{n} {unit}{'s' if n != 1 else ''}" for n, unit in parts if n)
    return told or "less than a minute"


def trial(route: str, now: datetime) -> Message:
    """A message that tells of nothing, to try a route with."""
    title = "TEST of a route: nothing is wrong"
    text = f"Somebody tries the route {route}. Nothing is wrong, and there is nothing to do."
    return Message(
        id=message_id(route, What.TEST, now.isoformat()),
        route=route,
        what=What.TEST,
        severity=Severity.INFO,
        incident="",
        at=now,
        title=title,
        text=text,
        markdown=text,
        facts={
            "what": str(What.TEST),
            "severity": str(Severity.INFO),
            "title": title,
            "kind": "test",
            "subject": f"route/{route}",
            "since": now.astimezone(UTC).isoformat(),
            # A receiver that keeps alerts forgets this one by itself.
            "over_at": (now + timedelta(minutes=1)).astimezone(UTC).isoformat(),
        },
    )


def _title(facts: Mapping[str, Any], told: str) -> str:
    severity = str(facts["severity"]).upper()
    head = {
        What.REPEATED: f"STILL {severity}",
        What.WORSE: f"NOW {severity}",
        What.ESCALATED: f"ESCALATED {severity}",
        What.RECOVERED: "OVER",
        What.PASSED: "OVER ALREADY",
    }.get(What(facts["what"]), severity)
    count = facts["partition_count"]
    where = str(facts["subject"])
    if count == 1:
        where += f" {facts['partitions'][0]}"
    elif count:
        where += f" ({count:,} partitions)"
    title = f"{head} {where}: {' '.join(told.split())}"
    if facts["follows_count"]:
        title += f" (and {facts['follows_count']:,} that follow)"
    if facts["what"] in (What.RECOVERED, What.PASSED):
        title += f", over after {lasted(facts['seconds'])}"
        # Nobody is to take it for good.
        title += ", as it is no longer defined" if facts["is_undefined"] else ""
    return _cut(title, LONGEST_TITLE)


def _lines(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Label and value of each line; the value of ``error`` and ``fix`` is verbatim."""
    count = facts["partition_count"]
    told = _some(facts["partitions"], len(facts["partitions"]), SHOWN_SPANS)
    since = datetime.fromisoformat(facts["since"])
    over = "over" if facts["over_at"] else "so far"
    lines = [
        ("what", facts["kind"].replace("_", " ") + (f" {facts['part']}" if facts["part"] else "")),
        ("where", facts["subject"]),
        ("partition" if count == 1 else f"{count:,} partitions", told if count else ""),
        ("when" if facts["once"] else "since", f"{since:%Y-%m-%d %H:%M} UTC")
        if facts["once"]
        else ("since", f"{since:%Y-%m-%d %H:%M} UTC, {lasted(facts['seconds'])} {over}"),
        ("error", facts["detail"]),
        ("owner", ", ".join(facts["owners"])),
        ("downstream", _some(facts["downstream"], facts["downstream_count"], SHOWN_NAMES)),
        ("follows from it", _some(facts["follows"], facts["follows_count"], SHOWN_NAMES)),
        ("no longer defined", _some(facts["undefined"], facts["undefined_count"], SHOWN_NAMES)),
        ("seen again", f"{facts['suppressed']:,} times since the last message")
        if facts["suppressed"]
        else ("", ""),
        ("came back", f"{facts['reopened']:,} times soon after it was over")
        if facts["reopened"]
        else ("", ""),
        ("run", facts["run_url"]),
        ("fix", "" if facts["over_at"] and not facts["once"] else facts["command"]),
        ("take it on", facts["acknowledge"]),
        ("incident", facts["incident"]),
    ]
    return [(label, value) for label, value in lines if value]


def _text(lines: Sequence[tuple[str, str]]) -> str:
    return "\n".join(
        f"{label}:\n" + "\n".join(f"  {each}" for each in value.splitlines())
        if label == "error"
        else f"{label}: {value}"
        for label, value in lines
    )


def _markdown(lines: Sequence[tuple[str, str]]) -> str:
    told = ""
    for label, value in lines:
        plain = value.replace("```", "'''")
        if label == "error":
            told += f"**{label}:**\n\n```\n{plain}\n```\n\n"
        elif label in ("fix", "take it on", "incident"):
            told += f"**{label}:** `{plain.replace('`', chr(39))}`{_BREAK}"
        else:
            told += f"**{label}:** {value}{_BREAK}"
    return told.rstrip()


def _first_lines(text: str) -> str:
    lines = [_cut(each.rstrip(), LONGEST_LINE) for each in redacted(text).strip().splitlines()]
    more = len(lines) - MOST_LINES
    return "\n".join([*lines[:MOST_LINES], *([f"… {more} more lines"] if more > 0 else [])])


def _some(names: Sequence[str], count: int, most: int) -> str:
    more = count - min(most, len(names))
    return ", ".join(names[:most]) + (f" and {more:,} more" if more > 0 else "")


def _span(span: tuple[str, str]) -> str:
    return redacted(span[0] if span[0] == span[1] else f"{span[0]} to {span[1]}")


def _name(problem: Problem) -> str:
    return redacted(f"{problem.signal.subject} {problem.signal.kind.replace('_', ' ')}")


def _defined(problem: Problem) -> str:
    """What had to be defined for a problem to be one."""
    signal = problem.signal
    check = f"check {signal.part} of " if signal.kind is Kind.CHECK_FAILED else ""
    return redacted(f"{check}{signal.subject}")


def _acknowledge(incident: Incident, what: What) -> str:
    if incident.once or what in (What.RECOVERED, What.PASSED):
        return ""
    return f'platform-assets alerts ack {incident.id} --reason "..."'


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
