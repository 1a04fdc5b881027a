"""Serving the living shop's API on loopback, from a thread of this process.

Belongs here: the port, the thread, refusing connections when told to. Does not belong here: the
endpoints (`api.py`).
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from platform_assets.demo.live.api import Api, Throttle
from platform_assets.demo.live.shop import LiveShop
from platform_assets.errors import SettingsError, SourceError

HOST = "127.0.0.1"

_START_SECONDS = 30.0
_GRACE_SECONDS = 1
_WAITING_CONNECTIONS = 128


class _Server(uvicorn.Server):
    """A server that tells when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.settled = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen, and say so."""
        await super().startup(sockets)
        self.settled.set()


class ApiServer:
    """The API of a shop on a port; `serving` makes it.

    Args:
        shop: The shop.
        port: The port; 0 for a free one.
        token: The bearer token that every request has to show.
    """

    def __init__(self, shop: LiveShop, port: int, token: str) -> None:
        """Choose the port; nothing listens yet."""
        if not token:
            raise SettingsError(
                "The API of the living shop needs a token.",
                where="token",
                expected="the bearer token that its readers show",
                found="an empty text",
                fix="give it a token, such as one of secrets.token_urlsafe()",
            )
        self._shop = shop
        self._api = Api(shop, token)
        self._lock = threading.RLock()
        self._running: tuple[_Server, threading.Thread] | None = None
        self._port = port

    def __repr__(self) -> str:
        """Where it is."""
        return f"ApiServer({self.base_url!r})"

    @property
    def base_url(self) -> str:
        """Where the API is, without a slash at the end."""
        return f"http://{HOST}:{self._port}"

    @property
    def port(self) -> int:
        """The port."""
        return self._port

    @property
    def listening(self) -> bool:
        """Whether it takes connections."""
        return self._running is not None

    @property
    def throttle(self) -> Throttle:
        """What answers requests with 429 when it is told to."""
        return self._api.throttle

    def start(self) -> None:
        """Take connections; nothing happens where it does already.

        Raises:
            SettingsError: The port is taken.
            SourceError: The server did not come up.
        """
        with self._lock:
            if self._running:
                return
            listener = _listener(self._port)
            self._port = listener.getsockname()[1]
            config = uvicorn.Config(
                self._api.app,
                lifespan="off",
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=_GRACE_SECONDS,
            )
            server = _Server(config)
            thread = threading.Thread(
                target=server.run, args=([listener],), name="live-shop-api", daemon=True
            )
            thread.start()
            if not server.settled.wait(_START_SECONDS):
                server.should_exit = True
                thread.join(_START_SECONDS)
                listener.close()
                raise SourceError(
                    "The API of the living shop did not come up.",
                    where=self.base_url,
                    expected=f"it to listen within {_START_SECONDS:g} seconds",
                    found="no sign of it",
                    fix="look at the log of uvicorn, and try again",
                )
            self._running = server, thread

    def stop(self) -> None:
        """Take no more connections, and end the thread."""
        with self._lock:
            if not self._running:
                return
            server, thread = self._running
            server.should_exit = True
            thread.join()
            self._running = None

    def follow(self) -> None:
        """Refuse connections where the shop is told to, and take them where it is not."""
        if self._shop.acting.get("down", {}).get("api") == "refused":
            self.stop()
        else:
            self.start()


@contextmanager
def serving(shop: LiveShop, port: int = 0, *, token: str) -> Iterator[ApiServer]:
    """Serve the API of a shop while the block lasts.

    Args:
        shop: The shop; the API follows its misbehaviours.
        port: The port on loopback; 0 for a free one.
        token: The bearer token that every request has to show.

    Yields:
        The server, with its `base_url`.

    Raises:
        SettingsError: The port is taken, or the token is empty.
    """
    server = ApiServer(shop, port, token)
    try:
        server.start()
        server.follow()
        with shop.watched(server.follow):
            yield server
    finally:
        server.stop()


def _listener(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    # The port is the same after a while of refusing, with old connections still dying on it.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen(_WAITING_CONNECTIONS)
    except OSError as error:
        listener.close()
        raise SettingsError(
            "The port of the living shop's API cannot be had.",
            where=f"port {port}",
            expected=f"a free port on {HOST}",
            found=type(error).__name__,
            fix="choose another port, or 0 for a free one",
        ) from error
    return listener
