"""The services that apprise reaches, each by its URL.

Belongs here: making a service of a URL, whether a URL holds a secret, sending by one. Does not
belong here: receivers of our own (``senders``).
"""

from __future__ import annotations

import logging
import re
from datetime import timedelta
from typing import Any

import apprise
import requests
from apprise.manager_plugins import NotificationManager
from apprise.plugins.email import NotifyEmail
from apprise.plugins.opsgenie import OPSGENIE_API_LOOKUP, NotifyOpsgenie
from apprise.plugins.pagerduty import NotifyPagerDuty

from platform_assets.alerts.incidents import Message, What
from platform_assets.alerts.redaction import redacted
from platform_assets.alerts.signals import Severity

ENDS = (What.RECOVERED, What.PASSED)
_TYPES = {
    Severity.ERROR: apprise.NotifyType.FAILURE,
    Severity.WARN: apprise.NotifyType.WARNING,
    Severity.INFO: apprise.NotifyType.INFO,
}
_SHORTEST_SECRET = 6

# Its log shows parts of addresses; what matters of it is kept with the deliveries.
logging.getLogger("apprise").addHandler(logging.NullHandler())
logging.getLogger("apprise").propagate = False


def service_of(address: str) -> apprise.NotifyBase | None:
    """The service of a URL; None: apprise knows none.

    Args:
        address: The URL, secrets and all.
    """
    # Without its pictures, which whoever reads a message would fetch from another server.
    asset = apprise.AppriseAsset(
        app_id="platform-assets",
        app_desc="platform_assets",
        app_url="",
        image_url_mask="",
        image_url_logo="",
    )
    return apprise.Apprise.instantiate(address, asset=asset)


def needs_secret(scheme: str) -> bool:
    """Whether every URL of a service holds a secret.

    Args:
        scheme: What its URLs begin with.
    """
    manager: Any = NotificationManager()  # type: ignore[no-untyped-call] # apprise's own
    if scheme not in manager:
        return False
    tokens = manager[scheme].template_tokens.values()
    return any(each.get("private") and each.get("required") for each in tokens)


def notify(address: str, message: Message, patience: timedelta) -> str:
    """Send a message by a service.

    Args:
        address: The service's URL.
        message: The message.
        patience: How long the service is waited for.

    Returns:
        Why it was not sent, without a secret; empty: it was.
    """
    service: Any = service_of(address)
    if service is None:
        return "apprise does not understand the route's URL"
    _hurry(service, patience.total_seconds())
    ends = message.what in ENDS or bool(message.facts.get("over_at"))
    kind = apprise.NotifyType.SUCCESS if ends else _TYPES[message.severity]
    key = message.incident or message.id
    if isinstance(service, NotifyPagerDuty):
        service.dedup = key
        service.action = "resolve" if message.what in ENDS else "trigger"
    elif isinstance(service, NotifyOpsgenie):
        service.alias = key
        if message.what in ENDS:
            return _close(service, key, message)
    if isinstance(getattr(service, "headers", None), dict):
        service.headers["Idempotency-Key"] = message.id
    # What is too long for a service is cut and not sent in pieces.
    service.overflow_mode = apprise.OverflowMode.TRUNCATE
    capture: Any = apprise.LogCapture  # it has no types
    with capture(level=logging.WARNING, fmt="%(message)s") as log:
        sent = service.notify(
            body=message.markdown,
            title=message.title,
            notify_type=kind,
            body_format=apprise.NotifyFormat.MARKDOWN,
        )
        said = " ".join(log.getvalue().split())
    return "" if sent else redacted(said or "the service refused it", _secrets(address))


def _hurry(service: apprise.NotifyBase, seconds: float) -> None:
    """Have a service give up in time; what its URL says of that holds where it is shorter.

    apprise counts each connection and each answer, and not a message: a URL that names several
    receivers may take as many times as long, and a few of its services count nothing.
    """
    # Mail has one measure, of each answer: servers let a stranger wait before they greet.
    most = seconds if isinstance(service, NotifyEmail) else seconds / 2
    service.socket_connect_timeout = min(service.socket_connect_timeout, most)
    service.socket_read_timeout = min(service.socket_read_timeout, most)


def _close(service: NotifyOpsgenie, key: str, message: Message) -> str:
    """Close an alert of Opsgenie by its alias; apprise can close only what it opened itself."""
    answer = requests.post(
        f"{OPSGENIE_API_LOOKUP[str(service.region_name)]}/{key}/close",
        params={"identifierType": "alias"},
        headers={"Authorization": f"GenieKey {service.apikey}"},
        json={"source": "platform-assets", "note": message.title},
        timeout=service.request_timeout,
        allow_redirects=False,
    )
    return "" if answer.ok else f"HTTP {answer.status_code}"


def _secrets(address: str) -> list[str]:
    """The pieces of an address that could be secret, as they could be quoted."""
    pieces = re.split(r"[/:@?&=#]+", address.partition("://")[2])
    return [each for each in pieces if len(each) >= _SHORTEST_SECRET]
