"""``to`` of a route: where it leads, its secrets from the environment.

Belongs here: reading and checking an address, and how it may be shown. Does not belong here:
sending anything there (``senders``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from platform_assets.alerts.routing import Means, Target
from platform_assets.documents.document import Document, Place
from platform_assets.errors import SettingsError
from platform_assets.observability.redaction import names_a_secret

_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PASSWORD = re.compile(r"[^:@/?#]*:[^@/?#]+@")
_HTTP = ("http", "https")
_MAPPED = {each.value: each for each in (Means.FILE, Means.WEBHOOK, Means.ALERTMANAGER)}
_EXPECTED = (
    "console, a URL of apprise such as ${SLACK_URL}, {file: PATH}, {webhook: URL} or "
    "{alertmanager: URL}"
)


def target_of(document: Document, place: Place, environment: Mapping[str, str]) -> Target:
    """Where a route leads.

    Args:
        document: The file.
        place: The ``to`` of the route.
        environment: What ``${NAME}`` is looked up in.

    Raises:
        SettingsError: It leads nowhere, a variable is not set, or a secret is written down.
    """
    given = document.at(place)
    if given == Means.CONSOLE:
        return Target(Means.CONSOLE, shown="console")
    if isinstance(given, str):
        return _service(document, place, given, environment)
    if isinstance(given, dict):
        return _mapped(document, place, given, environment)
    raise _nowhere(document, place, "a list" if isinstance(given, list) else "nothing")


def _mapped(
    document: Document, place: Place, given: Mapping[str, object], environment: Mapping[str, str]
) -> Target:
    for key in given:
        if key not in {*_MAPPED, "headers"}:
            raise document.unknown(
                SettingsError, "There is no such key", (*place, key), [*_MAPPED, "headers"]
            )
    chosen = [key for key in given if key in _MAPPED]
    if len(chosen) != 1:
        raise _nowhere(document, place, ", ".join(chosen) or "none of them")
    means, here = _MAPPED[chosen[0]], (*place, chosen[0])
    text = _text(document, here)
    address = _filled(document, here, text, environment)
    if means is not Means.FILE:
        _examine_url(document, here, text, address)
    headers = _headers(document, place, means, environment)
    return Target(means, address, headers, shown=f"{means} {_shown(address, means)}")


def _headers(
    document: Document, place: Place, means: Means, environment: Mapping[str, str]
) -> dict[str, str]:
    here = (*place, "headers")
    given = document.at(here)
    if given is None:
        return {}
    if not isinstance(given, dict) or means is not Means.WEBHOOK:
        raise document.error(
            SettingsError,
            "A route has headers that are not sent",
            here,
            expected="a mapping of headers, beside webhook",
            found="something else" if means is Means.WEBHOOK else f"headers beside {means}",
            fix="correct it, or take it out",
        )
    return {
        name: _filled(document, (*here, name), _text(document, (*here, name)), environment)
        for name in given
    }


def _service(document: Document, place: Place, text: str, environment: Mapping[str, str]) -> Target:
    address = _filled(document, place, text, environment)
    if "://" not in address:
        found = "a text that is none" if "${" in text else text
        raise _nowhere(document, place, found)
    scheme = address.partition("://")[0].lower()
    # Takes 0.3 s, and most installations have no such route.
    from platform_assets.alerts.services import needs_secret, service_of

    if service_of(address) is None:
        raise document.error(
            SettingsError,
            "A route leads nowhere: apprise does not understand its URL",
            place,
            expected="a URL of a service that apprise knows, in its form "
            "(https://appriseit.com/services/)",
            found=f"{scheme}://… (not shown: it may hold a secret)",
            fix="compare it with the service's page; a plain webhook is {webhook: URL}",
        )
    if needs_secret(scheme) and not _VARIABLE.search(text):
        raise _written_down(document, place)
    _refuse_password(document, place, text)
    return Target(Means.APPRISE, address, shown=_shown(address, Means.APPRISE))


def _text(document: Document, place: Place) -> str:
    value = document.at(place)
    if isinstance(value, str) and value.strip():
        return value
    raise document.error(
        SettingsError,
        "A value is of the wrong form",
        place,
        expected="text",
        found="nothing" if value in (None, "") else f"a {type(value).__name__}",
        fix="put it in quotes",
    )


def _filled(document: Document, place: Place, text: str, environment: Mapping[str, str]) -> str:
    def look_up(found: re.Match[str]) -> str:
        name = found[1]
        if not _NAME.fullmatch(name):
            raise document.error(
                SettingsError,
                "A variable has no name that it could have",
                place,
                expected="${NAME}, of letters, digits and _",
                found=found[0],
                fix="correct the name",
            )
        value = environment.get(name, "")
        if not value:
            raise document.error(
                SettingsError,
                "A route needs an environment variable that is not set",
                place,
                expected=f"the environment variable {name}, or a line of .env",
                found="nothing",
                fix=f"set {name}",
            )
        return value

    return _VARIABLE.sub(look_up, text)


def _examine_url(document: Document, place: Place, text: str, address: str) -> None:
    try:
        parts = urlsplit(address)
        sound = parts.scheme in _HTTP and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not sound:
        raise document.error(
            SettingsError,
            "A route's URL is none",
            place,
            expected="http:// or https://, a host, and perhaps a port and path",
            found="something else (not shown: it may hold a secret)",
            fix="correct it",
        )
    _refuse_password(document, place, text)


def _refuse_password(document: Document, place: Place, text: str) -> None:
    """Refuse a secret that is written down where anybody can tell that it is one."""
    plain = _VARIABLE.sub("", text)
    if _PASSWORD.match(plain.partition("://")[2]) or names_a_secret(plain):
        raise _written_down(document, place)


def _written_down(document: Document, place: Place) -> SettingsError:
    return document.error(
        SettingsError,
        "A secret is written in the file",
        place,
        expected="${NAME}, with the secret in that environment variable",
        found="a value (not shown)",
        fix="take it out, and change it at its system if the file was ever committed",
    )


def _shown(address: str, means: Means) -> str:
    """An address without what may be secret: a path and a host may be, in many services."""
    if means is Means.FILE:
        return address
    if means is Means.APPRISE:
        return f"{address.partition('://')[0]}://***"
    parts = urlsplit(address)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}" + ("/***" if parts.path.strip("/") else "")


def _nowhere(document: Document, place: Place, found: str) -> SettingsError:
    return document.error(
        SettingsError,
        "A route leads nowhere",
        place,
        expected=_EXPECTED,
        found=found,
        fix="say where it leads",
    )
