"""Sending one message by one route: to the screen, a file, a URL, a service.

Belongs here: what each kind of receiver is sent. Does not belong here: trying again (``outbox``).

A receiver that knows keys is given one: the id of the message as ``Idempotency-Key``, and the
incident's where it keeps incidents (Alertmanager, PagerDuty, Opsgenie).
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, Any

import requests

from platform_assets.alerts.incidents import Message, What
from platform_assets.alerts.routing import Means, Target
from platform_assets.sources.failure import (
    Diagnosis,
    Kind,
    diagnose,
    retry_after_seconds,
    status_diagnosis,
)

PATIENCE = timedelta(seconds=8)
"""How long one attempt may take, where nobody says otherwise. It is given to each receiver by its
library's own measure, most of which count each silence and not the whole: a receiver that is slow
byte by byte, or a name that is not resolved, may take longer."""
_TO_CONNECT = 0.25
"""Which part of it a connection may take to be there; an answer may take the rest."""
_LOCK_SECONDS = 0.05
TAIL_BYTES = 1_000_000
"""How much of a file is looked through for a message that may be there already."""
GOES_ON, SHOWN_FOR = timedelta(days=7), timedelta(minutes=5)
"""How long Alertmanager keeps an alert that nothing more is said of, and one that has no end."""
_ALERTS = "/api/v2/alerts"
_FIRST_ERROR = 300


@dataclass(frozen=True)
class Outcome:
    """What came of sending.

    Attributes:
        error: Why it was not sent, without a secret; empty: it was.
        permanent: Whether it would fail again.
        wait: How long the receiver asks to be left alone.
    """

    error: str = ""
    permanent: bool = False
    wait: timedelta = timedelta(0)


SENT = Outcome()


def send_safely(
    target: Target,
    message: Message,
    parts: Sequence[Message],
    now: datetime,
    patience: timedelta = PATIENCE,
) -> Outcome:
    """Send a message; whatever goes wrong is told and not raised.

    Args:
        target: Where to.
        message: The message.
        parts: The messages that it takes the place of.
        now: The time.
        patience: How long the receiver is waited for.
    """
    try:
        return _SENDERS[target.means](target, message, parts, now, patience)
    except OSError as error:  # those of `requests` are such
        return _unreachable(error)
    except Exception as error:  # one receiver's fault must not hold up the others
        # Its text may hold the receiver's address, and with that a key.
        return Outcome(f"sending raised {type(error).__name__} (its text is withheld)")


def _unreachable(error: OSError) -> Outcome:
    told = diagnose(error)
    reason = told.reason if told else "not reachable"
    permanent = told is not None and told.kind is Kind.PERMANENT
    return Outcome(f"{reason} ({type(error).__name__})", permanent)


def payload(message: Message) -> dict[str, Any]:
    """A message for programs: what files and webhooks get."""
    return {
        "id": message.id,
        "route": message.route,
        **message.facts,
        "title": message.title,
        "text": message.text,
    }


def _to_console(
    target: Target, message: Message, parts: Sequence[Message], now: datetime, patience: timedelta
) -> Outcome:
    del target, parts, now, patience
    body = "".join(f"  {line}\n" for line in message.text.splitlines())
    sys.stdout.write(f"{message.title}\n{body}")
    sys.stdout.flush()
    return SENT


def _to_file(
    target: Target, message: Message, parts: Sequence[Message], now: datetime, patience: timedelta
) -> Outcome:
    del parts, now
    path = Path(target.address)
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps(payload(message), ensure_ascii=False, default=str)
    with path.open("a+b") as file:
        _lock(file, patience)
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - TAIL_BYTES))
        tail = file.read()
        # Whoever wrote it may have died before that was recorded.
        if f'"id": "{message.id}"'.encode() in tail[: tail.rfind(b"\n") + 1]:
            return SENT
        whole = b"" if not tail or tail.endswith(b"\n") else b"\n"
        file.write(whole + line.encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    return SENT


def _lock(file: IO[bytes], patience: timedelta) -> None:
    """Lock a file for ourselves; whoever holds it may have come to a halt."""
    until = time.monotonic() + patience.total_seconds()
    while True:
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                raise TimeoutError from None
        time.sleep(_LOCK_SECONDS)


def _to_webhook(
    target: Target, message: Message, parts: Sequence[Message], now: datetime, patience: timedelta
) -> Outcome:
    del parts
    headers = {"Idempotency-Key": message.id, **target.headers}
    return _post(target.address, payload(message), headers, now, patience)


def _to_alertmanager(
    target: Target, message: Message, parts: Sequence[Message], now: datetime, patience: timedelta
) -> Outcome:
    headers = {"Idempotency-Key": message.id}
    return send_alerts(target, parts or [message], now, patience, headers)


def send_alerts(
    target: Target,
    messages: Sequence[Message],
    now: datetime,
    patience: timedelta = PATIENCE,
    headers: Mapping[str, str] | None = None,
) -> Outcome:
    """Send messages to Alertmanager, all in one request.

    Args:
        target: Where to.
        messages: The messages.
        now: The time.
        patience: How long it is waited for.
        headers: What is sent besides.
    """
    url = target.address.rstrip("/")
    url = url if url.endswith(_ALERTS) else url + _ALERTS
    body = [each for message in messages for each in alerts_of(message, now)]
    try:
        return _post(url, body, headers or {}, now, patience)
    except requests.RequestException as error:
        return _unreachable(error)


def alerts_of(message: Message, now: datetime) -> list[dict[str, Any]]:
    """A message as Alertmanager's API takes it; of one incident there is one alert.

    An alert is known by its labels, and the severity is one: where it rose, the alert of the lower
    one ends.

    Args:
        message: The message.
        now: The time.
    """
    facts: Any = message.facts
    labels = facts.get("labels") or {
        "alertname": facts["kind"],
        "service": "platform-assets",
        "subject": facts["subject"],
        "incident": message.id,
    }
    ends = facts.get("over_at")
    if message.what in (What.PASSED, What.HAPPENED, What.TEST):
        # One that is over when it arrives is told to nobody.
        ends = (now + SHOWN_FOR).isoformat()
    alert = {
        "labels": {**labels, "severity": facts["severity"]},
        "annotations": {"summary": message.title, "description": message.text},
        "startsAt": facts["since"],
        "endsAt": ends or (now + GOES_ON).isoformat(),
        **({"generatorURL": facts["run_url"]} if facts.get("run_url") else {}),
    }
    before = facts.get("severity_before")
    if before is None or before == facts["severity"]:
        return [alert]
    lower = {
        **alert,
        "labels": {**labels, "severity": before},
        "endsAt": max(facts["since"], facts["said_at"]),
    }
    return [lower, alert]


def _to_service(
    target: Target, message: Message, parts: Sequence[Message], now: datetime, patience: timedelta
) -> Outcome:
    del parts, now
    # Takes 0.3 s, and most installations have no such route.
    from platform_assets.alerts.services import notify

    error = notify(target.address, message, patience)
    return Outcome(error[:_FIRST_ERROR]) if error else SENT


def _post(
    url: str, body: object, headers: Mapping[str, str], now: datetime, patience: timedelta
) -> Outcome:
    seconds = patience.total_seconds()
    with requests.post(
        url,
        data=json.dumps(body, ensure_ascii=False, default=str).encode(),
        headers={"Content-Type": "application/json", "User-Agent": "platform-assets", **headers},
        timeout=(seconds * _TO_CONNECT, seconds * (1 - _TO_CONNECT)),
        # Who answers for another address may have been given it by somebody else.
        allow_redirects=False,
        # Of an answer only the head counts: nothing waits for a body that never ends.
        stream=True,
    ) as answer:
        return _outcome(answer, now)


def _outcome(answer: requests.Response, now: datetime) -> Outcome:
    if answer.ok and not answer.is_redirect:
        return SENT
    asked = retry_after_seconds(answer.headers.get("Retry-After"), now.timestamp())
    told: Diagnosis = status_diagnosis(answer.status_code, asked)
    wait = timedelta(seconds=min(asked or 0.0, 3600.0))
    return Outcome(told.reason, told.kind is Kind.PERMANENT, wait)


_Send = Callable[[Target, Message, Sequence[Message], datetime, timedelta], Outcome]
_SENDERS: Mapping[Means, _Send] = {
    Means.CONSOLE: _to_console,
    Means.FILE: _to_file,
    Means.WEBHOOK: _to_webhook,
    Means.ALERTMANAGER: _to_alertmanager,
    Means.APPRISE: _to_service,
}
