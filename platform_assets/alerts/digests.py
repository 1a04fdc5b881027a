"""Several messages in one: what came at once, and what was held back while a route was quiet.

Belongs here: their words. Does not belong here: deciding that (``pacing``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from platform_assets.alerts.incidents import Message, What
from platform_assets.alerts.signals import Severity

SHOWN = 10
"""Messages that are told in a line each; the others are counted."""
_HEADS = {
    What.DIGEST: "at once",
    What.SUMMARY: "while this route was quiet",
}


def together(
    identity: str, what: What, route: str, messages: Sequence[Message], now: datetime
) -> Message:
    """One message in place of several.

    Args:
        identity: Its id.
        what: Digest or summary.
        route: To whom.
        messages: The messages.
        now: The time.
    """
    # Of an incident that was said to begin and to be over, the end tells both.
    latest = list({each.incident or each.id: each for each in messages}.values())
    latest.sort(key=lambda each: (-each.severity.rank, each.at))
    severity = latest[0].severity
    counts = Counter(f"{each.severity} {each.what}" for each in latest)
    kinds = Counter(str(each.facts.get("kind", "")).replace("_", " ") for each in latest)
    head = "OVER" if all(each.what is What.RECOVERED for each in latest) else severity.upper()
    title = f"{head}: {len(latest):,} messages {_HEADS[what]}"
    told = [
        ("how many", _counted(counts)),
        ("of what", _counted(kinds)),
    ]
    first = [each.title for each in latest[:SHOWN]]
    more = len(latest) - len(first)
    rest = [f"… and {more:,} more: platform-assets alerts list"] if more else []
    facts: dict[str, Any] = {
        "what": str(what),
        "severity": str(severity),
        "title": title,
        "kind": "digest",
        "subject": f"route/{route}",
        "since": min(each.at for each in messages).astimezone(UTC).isoformat(),
        "over_at": None,
        "said_at": now.astimezone(UTC).isoformat(),
        "messages": len(latest),
        "counts": dict(counts),
        "kinds": dict(kinds),
        "first": [
            {"incident": each.incident, "title": each.title, "what": str(each.what)}
            for each in latest[:SHOWN]
        ],
    }
    return Message(
        id=identity,
        route=route,
        what=what,
        severity=Severity(severity),
        incident="",
        at=now,
        title=title,
        text="\n".join([*(f"{n}: {v}" for n, v in told), *(f"- {t}" for t in first), *rest]),
        markdown="\n".join(
            [*(f"**{n}:** {v}  " for n, v in told), "", *(f"- {t}" for t in first), *rest]
        ),
        facts=facts,
    )


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{number:,} {name}" for name, number in counts.most_common())
