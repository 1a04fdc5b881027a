"""Speaking to an API: one request at a time, signed in, no faster than agreed, never twice by luck.

Belongs here: requests, and what may go wrong with one. Does not belong here: which pages there
are (``rest_pagination``), or what is in one (``json_pages``).

The credentials go to the base URL's own host only: neither a redirect nor the address of a next
page can take them elsewhere.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from pyrate_limiter import InMemoryBucket, Limiter, Rate
from requests.auth import AuthBase

from platform_assets import __version__
from platform_assets.errors import SourceError
from platform_assets.sources import connections
from platform_assets.sources.connections import RestApi
from platform_assets.sources.failure import PermanentSourceError
from platform_assets.sources.retrying import ONCE, Guard

MAX_REDIRECTS = 5
_CHUNK = 65_536
_UNAUTHORIZED = 401
_PORTS = {"http": 80, "https": 443}
_limiters: dict[tuple[str, float], Limiter] = {}
_limiters_lock = threading.Lock()


class _WithoutQuery(logging.Filter):
    """Keeps queries, which may hold a key, out of the transport's own debug messages."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Shorten whatever looks like an address."""
        if isinstance(record.args, tuple):
            record.args = tuple(
                each.partition("?")[0] + "?…" if isinstance(each, str) and "?" in each else each
                for each in record.args
            )
        return True


logging.getLogger("urllib3.connectionpool").addFilter(_WithoutQuery())


class _Anonymous(AuthBase):
    """Signs nothing; without it, `requests` would look into the user's ``.netrc``."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Leave the request as it is."""
        return request


def limiter_of(connection: str, requests_per_second: float) -> Limiter:
    """The one limiter of a connection in this process; it spaces requests evenly."""
    with _limiters_lock:
        key = (connection, requests_per_second)
        if key not in _limiters:
            spaced = Rate(1, max(1, round(1000 / requests_per_second)))
            _limiters[key] = Limiter(InMemoryBucket([spaced]), buffer_ms=1)
        return _limiters[key]


def _signer(api: RestApi, session: requests.Session) -> Any:  # noqa: ANN401 # dlt's are untyped
    # Imported where it is needed: it takes half a second.
    from dlt.sources.helpers.rest_client import auth as dlt

    class Credentials(dlt.OAuth2ClientCredentials):
        """dlt's, with a time limit, and without a text that repeats the answer."""

        good_until = 0.0

        def obtain_token(self) -> None:
            kept: dict[str, Any] = {"timeout": api.timeout, "allow_redirects": False}
            response = self.session.post(
                self.access_token_url,
                auth=_Anonymous(),
                **kept,
                **self.build_access_token_request(),
            )
            if not response.ok or response.is_redirect:
                raise requests.HTTPError(response=response)
            try:
                answer = response.json()
                token, seconds = answer["access_token"], self.parse_expiration_in_seconds(answer)
            except (ValueError, TypeError, KeyError):
                token, seconds = None, 0
            if not isinstance(token, str) or not token:
                raise PermanentSourceError(
                    "The token of an API was not given out",
                    reason="no token",
                    where=f"POST {urlsplit(self.access_token_url).path}",
                    expected="JSON with an access_token",
                    found="an answer without one",
                    fix="correct the connection's token_url",
                )
            self.access_token = token
            self.good_until = time.monotonic() + seconds

        def is_token_expired(self) -> bool:
            return time.monotonic() >= self.good_until

    match api.auth:
        case connections.Bearer(token):
            return dlt.BearerTokenAuth(token=token)
        case connections.ApiKey(key, name, location):
            return dlt.APIKeyAuth(name=name, api_key=key, location=location)
        case connections.Basic(username, password):
            return dlt.HttpBasicAuth(username=username, password=password)
        case connections.ClientCredentials(url, client, secret, scope):
            return Credentials(
                access_token_url=url,
                client_id=client,
                client_secret=secret,
                access_token_request_data={"scope": scope} if scope else {},
                session=session,
            )
        case None:
            return _Anonymous()


class RestClient:
    """Speaks to one API.

    Args:
        name: The connection's name.
        api: Where it is and how to sign in.
        guard: Retries and the connection's breaker.
    """

    def __init__(self, name: str, api: RestApi, guard: Guard) -> None:
        self.name = name
        self.api = api
        self.guard = guard
        self._session = requests.Session()
        self._signer = _signer(api, self._session)
        self._home = _origin(api.base_url)

    def __enter__(self) -> RestClient:
        """Use it in a block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close its connections."""
        self._session.close()

    def url(self, path: str) -> str:
        """The address of an endpoint."""
        return f"{self.api.base_url.rstrip('/')}/{path.lstrip('/')}"

    def get(self, request: requests.Request, where: str) -> requests.Response:
        """Ask for a page.

        Args:
            request: Address and parameters; a GET is tried again where that may help, anything
                else is sent once.
            where: Path and page, for the message.

        Returns:
            The answer with its body; a success.

        Raises:
            SourceError: There is none, or it is too large.
        """
        return self.guard(
            self.name,
            lambda: self._once(request, where),
            where=where,
            policy=None if request.method == "GET" else ONCE,
        )

    @contextmanager
    def stream(self, request: requests.Request, where: str) -> Iterator[requests.Response]:
        """An answer whose body is read as it comes; asked for once, and not through the guard.

        Args:
            request: Address, parameters and headers.
            where: Path, for the message.

        Raises:
            requests.RequestException: There is none, or it is no success.
            SourceError: The API sends its callers elsewhere.
        """
        with self._answer(request, where) as response:
            yield response

    def _once(self, request: requests.Request, where: str) -> requests.Response:
        with self._answer(request, where) as response:
            self._read(response, where)
        return response

    def _answer(self, request: requests.Request, where: str) -> requests.Response:
        """A success whose body was not read yet."""
        response = self._follow(request, where)
        if response.status_code == _UNAUTHORIZED and getattr(self._signer, "access_token", None):
            # The token was taken back before its time: a new one is asked for, once.
            response.close()
            self._signer.access_token = None
            response = self._follow(request, where)
        if not response.ok:
            response.close()
            raise requests.HTTPError(response=response)
        return response

    def _follow(self, request: requests.Request, where: str) -> requests.Response:
        url, params = str(request.url), request.params
        for _ in range(MAX_REDIRECTS + 1):
            response = self._send(request, url, params)
            target = response.headers.get("Location") if response.is_redirect else None
            if target is None:
                return response
            response.close()
            url, params = urljoin(str(response.url), target), None
            if request.method != "GET" or urlsplit(url).scheme not in _PORTS:
                break
        raise PermanentSourceError(
            "An API sends its callers elsewhere",
            reason="redirects",
            where=f"connection {self.name!r}, {where}",
            expected=f"an answer after at most {MAX_REDIRECTS} redirects of a GET over HTTP",
            found="a redirect",
            fix="correct the connection's base_url or the endpoint's path",
        )

    def _send(
        self, request: requests.Request, url: str, params: Mapping[str, Any] | None
    ) -> requests.Response:
        if self.api.requests_per_second:
            limiter_of(self.name, self.api.requests_per_second).try_acquire(self.name)
        at_home = _origin(url) == self._home
        headers = {
            "Accept": "application/json",
            "Accept-Encoding": "gzip, deflate",
            "User-Agent": f"platform-assets/{__version__}",
            **request.headers,
            **(self.api.headers if at_home else {}),
        }
        prepared = self._session.prepare_request(
            requests.Request(
                request.method,
                url,
                headers=headers,
                params=params,
                json=request.json,
                auth=self._signer if at_home else _Anonymous(),
            )
        )
        options = self._session.merge_environment_settings(url, {}, True, None, None)
        return self._session.send(
            prepared, timeout=self.api.timeout, allow_redirects=False, **options
        )

    def _read(self, response: requests.Response, where: str) -> None:
        """Read the body: no longer than it may take, no larger than it may be."""
        deadline = time.monotonic() + self.api.answer_seconds
        parts, size = [], 0
        for part in response.iter_content(_CHUNK):
            size += len(part)
            if size > self.api.max_page_bytes:
                raise SourceError(
                    "A page is too large",
                    where=f"connection {self.name!r}, {where}",
                    expected=f"at most {self.api.max_page_bytes:,} bytes, unpacked",
                    found="more",
                    fix="ask for fewer records a page, or raise the connection's max_page_bytes",
                )
            if time.monotonic() > deadline:
                raise requests.ReadTimeout
            parts.append(part)
        # What was read piece by piece is the body from now on, for whoever asks the response.
        response._content = b"".join(parts)


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)
