"""Every kind of exception in its class; no secret in what is told."""

from __future__ import annotations

import errno
import socket
import sqlite3
from email.utils import formatdate
from pathlib import Path

import duckdb
import pytest
import requests
import urllib3
from hypothesis import given
from hypothesis import strategies as st

from platform_assets.errors import SourceError
from platform_assets.extensions import extension_file
from platform_assets.sources.failure import (
    Kind,
    PermanentSourceError,
    TransientSourceError,
    as_source_error,
    diagnose,
    retry_after_seconds,
    status_diagnosis,
)

NOW = 1_760_000_000.0
SECRET = "hunter2-secret"


def answered(status: int, **headers: str) -> requests.HTTPError:
    response = requests.Response()
    response.status_code = status
    response.headers.update(headers)
    return requests.HTTPError(f"url with {SECRET}", response=response)


@pytest.mark.parametrize(
    ("error", "kind", "reason"),
    [
        (answered(429), Kind.TRANSIENT, "HTTP 429"),
        (answered(503), Kind.TRANSIENT, "HTTP 503"),
        (answered(500), Kind.TRANSIENT, "HTTP 500"),
        (answered(401), Kind.PERMANENT, "HTTP 401: sign-in refused"),
        (answered(403), Kind.PERMANENT, "HTTP 403: permission denied"),
        (answered(404), Kind.PERMANENT, "HTTP 404: no such table, file or database"),
        (answered(400), Kind.PERMANENT, "HTTP 400"),
        (answered(501), Kind.PERMANENT, "HTTP 501"),
        (requests.ConnectTimeout(), Kind.TRANSIENT, "timeout"),
        (requests.ReadTimeout(), Kind.TRANSIENT, "timeout"),
        (
            requests.ConnectionError("[Errno 111] Connection refused"),
            Kind.TRANSIENT,
            "connection refused",
        ),
        (requests.ConnectionError("something else"), Kind.TRANSIENT, "not reachable"),
        (
            requests.ConnectionError("access denied is in the url"),
            Kind.TRANSIENT,
            "not reachable",
        ),
        (requests.exceptions.ChunkedEncodingError(), Kind.TRANSIENT, "connection lost"),
        (requests.exceptions.SSLError(), Kind.PERMANENT, "the certificate is not trusted"),
        (
            requests.exceptions.ContentDecodingError(),
            Kind.DATA,
            "an answer that cannot be decoded",
        ),
        (requests.exceptions.InvalidURL(), Kind.PERMANENT, "a request that cannot be made"),
        (requests.TooManyRedirects(), Kind.PERMANENT, "a request that cannot be made"),
        (urllib3.exceptions.ProtocolError(), Kind.TRANSIENT, "connection lost"),
        (urllib3.exceptions.SSLError(), Kind.PERMANENT, "the certificate is not trusted"),
        (urllib3.exceptions.DecodeError(), Kind.DATA, "an answer that cannot be decoded"),
        (urllib3.exceptions.TimeoutError(), Kind.TRANSIENT, "timeout"),
        (
            urllib3.exceptions.LocationParseError("x"),
            Kind.PERMANENT,
            "a request that cannot be made",
        ),
        (
            urllib3.exceptions.MaxRetryError(
                urllib3.connectionpool.HTTPConnectionPool("x"),
                "/",
                urllib3.exceptions.TimeoutError(),
            ),
            Kind.TRANSIENT,
            "timeout",
        ),
        (ConnectionRefusedError(errno.ECONNREFUSED, ""), Kind.TRANSIENT, "connection refused"),
        (TimeoutError(), Kind.TRANSIENT, "timeout"),
        (ConnectionError(), Kind.TRANSIENT, "connection lost"),
        (OSError(errno.EIO, ""), Kind.TRANSIENT, "input or output failed"),
        (OSError(errno.ESTALE, ""), Kind.TRANSIENT, "the share was remounted"),
        (FileNotFoundError(), Kind.PERMANENT, "no such table, file or database"),
        (PermissionError(), Kind.PERMANENT, "permission denied"),
        (OSError(errno.ENOSPC, ""), Kind.PERMANENT, "refused by the operating system"),
        (duckdb.ConversionException(), Kind.DATA, "a value that its type cannot hold"),
        (duckdb.InvalidInputException("odd"), Kind.DATA, "an input that cannot be read"),
        (duckdb.OutOfMemoryException(), Kind.PERMANENT, "out of memory"),
        (duckdb.HTTPException("odd"), Kind.TRANSIENT, "not reachable"),
        (duckdb.IOException("odd"), Kind.PERMANENT, "refused by the engine"),
        (sqlite3.OperationalError("database is locked"), Kind.TRANSIENT, "locked by another"),
        (SourceError("a column is missing"), Kind.DATA, "not what the dataset says"),
        (TransientSourceError("x", reason="r", retry_after=3), Kind.TRANSIENT, "r"),
        (PermanentSourceError("x", reason="r"), Kind.PERMANENT, "r"),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else type(value).__name__,
)
def test_each_exception_is_in_its_class(error: Exception, kind: Kind, reason: str) -> None:
    found = diagnose(error, now=NOW)
    assert found is not None
    assert (found.kind, found.reason) == (kind, reason)


@pytest.mark.parametrize(
    ("text", "kind", "reason"),
    [
        ("FATAL: sorry, too many clients already", Kind.TRANSIENT, "too many connections"),
        (
            "remaining connection slots are reserved for roles with SUPERUSER",
            Kind.TRANSIENT,
            "too many connections",
        ),
        ("FATAL: the database system is starting up", Kind.TRANSIENT, "starting up or stopping"),
        (
            f'Unable to connect to Postgres at "password={SECRET}": connection to server at "db" '
            'failed: FATAL: password authentication failed for user "etl"',
            Kind.PERMANENT,
            "sign-in refused",
        ),
        ('FATAL: role "etl" does not exist', Kind.PERMANENT, "sign-in refused"),
        ("Access denied for user 'etl'@'%'", Kind.PERMANENT, "sign-in refused"),
        ("ERROR: permission denied for table orders", Kind.PERMANENT, "permission denied"),
        ("SELECT command denied to user", Kind.PERMANENT, "permission denied"),
        (
            'Table with name orders does not exist! relation "orders" does not exist',
            Kind.PERMANENT,
            "no such table, file or database",
        ),
        ("Unknown database 'shop'", Kind.PERMANENT, "no such table, file or database"),
        ("Can't connect to server on '127.0.0.1' (115)", Kind.TRANSIENT, "connection refused"),
        ("server closed the connection unexpectedly", Kind.TRANSIENT, "connection lost"),
        (
            "FATAL: terminating connection due to administrator command",
            Kind.TRANSIENT,
            "connection lost",
        ),
        ("Server has gone away", Kind.TRANSIENT, "connection lost"),
        ("Lost connection to server during query", Kind.TRANSIENT, "connection lost"),
        ("timeout expired", Kind.TRANSIENT, "timeout"),
        ("canceling statement due to statement timeout", Kind.TRANSIENT, "timeout"),
        (
            'could not translate host name "db" to address',
            Kind.TRANSIENT,
            "host not reachable",
        ),
        ("database is locked", Kind.TRANSIENT, "locked by another"),
        ("Deadlock found when trying to get lock", Kind.TRANSIENT, "locked by another"),
        ("HTTP GET error (HTTP 503 Slow Down)", Kind.TRANSIENT, "overloaded"),
        ("HTTP GET error (HTTP 403 Forbidden)", Kind.PERMANENT, "permission denied"),
        ("HTTP GET error (HTTP 404 Not Found)", Kind.PERMANENT, "no such table, file or database"),
        (
            'Failed to fetch result row for MySQL query "select a from b": ',
            Kind.TRANSIENT,
            "connection lost",
        ),
        ("Unable to connect to somewhere", Kind.TRANSIENT, "not reachable"),
    ],
)
def test_a_driver_s_message_decides_where_the_type_does_not(
    text: str, kind: Kind, reason: str
) -> None:
    for error in (duckdb.IOException(text), duckdb.Error(text)):
        found = diagnose(error)
        assert found is not None
        assert (found.kind, found.reason) == (kind, reason)
        told = as_source_error(found, error, "connection 'shop'")
        assert SECRET not in f"{told} {told!r}"
        assert reason in str(told)


@pytest.mark.parametrize(
    "text",
    [
        'Failed to prepare query "set statement_timeout=50": ERROR:  syntax error\nLINE 1: timeout',
        'Failed to run query "select * from a_timeout": You have an error in your syntax',
        'Referenced column "connection_lost" is not unique\nLINE 1: select timeout from x',
    ],
)
def test_words_of_a_query_do_not_decide(text: str) -> None:
    found = diagnose(duckdb.BinderException(text))
    assert found is not None
    assert (found.kind, found.reason) == (Kind.PERMANENT, "refused by the engine")


@pytest.mark.parametrize("error", [KeyError("x"), duckdb.ParserException("x"), ValueError("x")])
def test_a_defect_of_the_program_is_no_failure_of_a_source(error: Exception) -> None:
    assert diagnose(error) is None


def test_what_the_engine_says_of_a_server_that_is_not_there(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with duckdb.connect() as engine:
        engine.execute(f"LOAD '{extension_file('postgres_scanner')}'")
        with pytest.raises(duckdb.Error) as raised:
            engine.execute(
                f"ATTACH 'host=127.0.0.1 port={port} password={SECRET}' AS p (TYPE postgres)"
            )
        assert SECRET in str(raised.value)  # why a driver's text is never repeated
        found = diagnose(raised.value)
        assert found is not None
        assert (found.kind, found.reason) == (Kind.TRANSIENT, "connection refused")
        told = as_source_error(found, raised.value, "connection 'shop'")
        assert SECRET not in f"{told} {told!r} {told.__cause__} {told.__context__}"
        with pytest.raises(duckdb.Error) as missing:
            engine.execute(f"SELECT * FROM read_csv('{tmp_path}/nothing.csv')")
    found = diagnose(missing.value)
    assert found is not None
    assert (found.kind, found.reason) == (Kind.PERMANENT, "no such table, file or database")


@given(st.integers(0, 10**6))
def test_retry_after_in_seconds_and_as_a_date(seconds: int) -> None:
    assert retry_after_seconds(f" {seconds} ", NOW) == seconds
    assert retry_after_seconds(formatdate(NOW + seconds, usegmt=True), NOW) == seconds
    assert retry_after_seconds(formatdate(NOW - seconds, usegmt=True), NOW) == 0


@pytest.mark.parametrize("value", [None, "", "soon", "-5", "1.5", "²"])
def test_a_retry_after_that_says_nothing(value: str | None) -> None:
    assert retry_after_seconds(value, NOW) is None


def test_retry_after_goes_with_the_error() -> None:
    found = diagnose(answered(429, **{"Retry-After": formatdate(NOW + 7, usegmt=True)}), now=NOW)
    assert found is not None
    assert found.retry_after == 7
    told = as_source_error(found, answered(429), "GET /orders")
    assert isinstance(told, TransientSourceError)
    assert told.retry_after == 7
    assert diagnose(told) == found


def test_what_a_person_is_told() -> None:
    told = as_source_error(status_diagnosis(401), answered(401), "connection 'shop', GET /orders")
    assert isinstance(told, PermanentSourceError)
    assert "refuses, and would refuse again" in told.what
    assert told.where == "connection 'shop', GET /orders"
    assert told.fix.startswith("correct the connection's user, password, token or key")
