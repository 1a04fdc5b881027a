"""Serving the metrics over HTTP: ``/metrics`` for Prometheus, ``/healthz`` for whoever keeps it up.

Belongs here: the server. Does not belong here: what the metrics are (``exporter``).

It is a program of its own, apart from Dagster: metrics also tell of runs that were killed and of a
daemon that is gone. There is no login: it listens on loopback unless told otherwise.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry

from platform_assets.errors import SettingsError
from platform_assets.observability.metrics.exporter import Exporter
from platform_assets.observability.metrics.text import CONTENT_TYPE

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

METRICS_PATH, HEALTH_PATH = "/metrics", "/healthz"
_TEXT = [("Content-Type", "text/plain; charset=utf-8")]
# A client that neither asks nor hangs up keeps a thread for so long.
_PATIENCE_SECONDS = 30
_LOG = logging.getLogger(__name__)


class _Server(ThreadingMixIn, WSGIServer):
    """A thread for each request: a health check does not wait for a scrape."""

    daemon_threads = True


class _Handler(WSGIRequestHandler):
    timeout = _PATIENCE_SECONDS

    def log_message(self, format: str, *args: object) -> None:  # the parent's name
        """Requests come every few seconds and are no news."""
        _LOG.debug(format, *args)


def registry_of(exporter: Exporter) -> CollectorRegistry:
    """The exporter's metrics for whatever works on a registry of ``prometheus_client``."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(exporter)
    return registry


def application(exporter: Exporter) -> WSGIApplication:
    """The two pages.

    Args:
        exporter: What is served.
    """

    def answer(environ: WSGIEnvironment, respond: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == METRICS_PATH:
            # Not compressed: that takes as long as all the rest, and most scrapers are near.
            page = exporter.text()
            respond("200 OK", [("Content-Type", CONTENT_TYPE)])
            return [page]
        if path == HEALTH_PATH:
            respond("200 OK", _TEXT)
            return [b"ok\n"]
        respond("404 Not Found", _TEXT)
        return [f"there are {METRICS_PATH} and {HEALTH_PATH}\n".encode()]

    return answer


def bind(exporter: Exporter, host: str, port: int) -> WSGIServer:
    """A server that listens; ``serve_forever`` makes it answer.

    Args:
        exporter: What is served.
        host: The address to listen on.
        port: The port; 0: a free one.

    Raises:
        SettingsError: It cannot be listened there.
    """
    try:
        return make_server(host, port, application(exporter), _Server, _Handler)
    except (OSError, OverflowError) as error:
        raise SettingsError(
            "Metrics cannot be served there",
            where=f"--host {host} --port {port}",
            expected="an address of this machine and a port that is free",
            found=str(error),
            fix="choose another port, or end what listens on it",
        ) from None
