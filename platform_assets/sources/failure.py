"""Why a source failed: it passes, it stays, or it is the data; told without a secret.

Belongs here: putting an exception into one of three classes, and the errors of two of them. Does
not belong here: trying again (``retrying``), or remembering that a source is down (``breaker``).

A driver's own text is never repeated: DuckDB's Postgres reader quotes the connection string with
its password, and `requests` the URL with its keys. What is told is a reason of fixed wording.
"""

from __future__ import annotations

import email.utils
import errno
import re
import sqlite3
import time
from dataclasses import dataclass
from enum import StrEnum

import duckdb
import requests
import urllib3

from platform_assets.errors import SourceError

PASSING_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND = 401, 403, 404


class Kind(StrEnum):
    """What an error calls for."""

    TRANSIENT = "transient"
    """Try again: it may pass by itself."""
    PERMANENT = "permanent"
    """Stop, and say why: only a person can change it."""
    DATA = "data"
    """The source answered; what it gave is wrong, and is refused or quarantined."""


class TransientSourceError(SourceError):
    """A source that does not answer right now.

    Attributes:
        reason: In a few words of fixed wording.
        retry_after: Seconds after which the source itself asks to be tried again.
    """

    def __init__(
        self,
        what: str,
        *,
        reason: str,
        retry_after: float | None = None,
        where: str = "",
        expected: str = "",
        found: str = "",
        fix: str = "",
    ) -> None:
        super().__init__(what, where=where, expected=expected, found=found or reason, fix=fix)
        self.reason = reason
        self.retry_after = retry_after


class PermanentSourceError(SourceError):
    """A source that refuses, and will until somebody changes something.

    Attributes:
        reason: In a few words of fixed wording.
    """

    def __init__(
        self,
        what: str,
        *,
        reason: str,
        where: str = "",
        expected: str = "",
        found: str = "",
        fix: str = "",
    ) -> None:
        super().__init__(what, where=where, expected=expected, found=found or reason, fix=fix)
        self.reason = reason


@dataclass(frozen=True)
class Diagnosis:
    """What an exception means.

    Attributes:
        kind: What it calls for.
        reason: In a few words of fixed wording, safe to show.
        retry_after: Seconds after which the source itself asks to be tried again.
    """

    kind: Kind
    reason: str
    retry_after: float | None = None


_AUTH, _MISSING, _RIGHTS, _TLS = (
    "sign-in refused",
    "no such table, file or database",
    "permission denied",
    "the certificate is not trusted",
)
_FIXES = {
    _AUTH: "correct the connection's user, password, token or key",
    _MISSING: "correct the name in the dataset or the connection, or have it created",
    _RIGHTS: "have the right granted to the connection's user",
    _TLS: "have the server's certificate renewed, or its authority added to this machine",
}

# The first that is found in a driver's message decides; what stays is looked for first, because
# drivers wrap "password authentication failed" in "unable to connect".
_MESSAGES = tuple(
    (re.compile(pattern, re.IGNORECASE), kind, reason)
    for pattern, kind, reason in (
        (
            r"too many (connections|clients)|connection slots",
            Kind.TRANSIENT,
            "too many connections",
        ),
        (r"(starting up|shutting down|recovery mode)", Kind.TRANSIENT, "starting up or stopping"),
        (
            r"authentication failed|access denied|no password supplied|no pg_hba\.conf entry"
            r"|role \"[^\"]*\" does not exist|invalid (access key|credentials)"
            r"|InvalidAccessKeyId|SignatureDoesNotMatch|ExpiredToken|HTTP (code )?401",
            Kind.PERMANENT,
            _AUTH,
        ),
        (
            r"permission denied|command denied|not authorized|HTTP (code )?403|read-?only",
            Kind.PERMANENT,
            _RIGHTS,
        ),
        (r"certificate (verify|is not|has expired)", Kind.PERMANENT, _TLS),
        (
            r"does not exist|doesn't exist|no such (table|file|column)"
            r"|unknown (database|table|column)|no files found"
            r"|NoSuchBucket|NoSuchKey|HTTP (code )?404|unable to open database",
            Kind.PERMANENT,
            _MISSING,
        ),
        (r"connection refused|can't connect", Kind.TRANSIENT, "connection refused"),
        (
            r"server closed|closed the connection|connection reset|broken pipe"
            r"|terminating connection|lost connection|gone away|no connection to the server"
            r"|unexpected(ly)? (eof|terminated)|end-of-file"
            r"|connection (was |has been )?(closed|lost|terminated|aborted)",
            Kind.TRANSIENT,
            "connection lost",
        ),
        (
            r"timed? ?out|timeout|deadline exceeded|cancel(l)?ing statement due to",
            Kind.TRANSIENT,
            "timeout",
        ),
        (
            r"could not translate host|name resolution|name or service not known|resolve host"
            r"|unreachable|no route to host|unknown (mysql )?server host|nodename nor servname",
            Kind.TRANSIENT,
            "host not reachable",
        ),
        (
            r"database (table )?is locked|deadlock|lock wait|could not serialize",
            Kind.TRANSIENT,
            "locked by another",
        ),
        (r"SlowDown|HTTP (code )?(408|425|429|500|502|503|504)", Kind.TRANSIENT, "overloaded"),
        # MySQL's reader says no more when the server goes away, or stops a query, between two rows.
        (r"failed to fetch", Kind.TRANSIENT, "connection lost"),
        (r"could not connect|unable to connect|failed to connect", Kind.TRANSIENT, "not reachable"),
    )
)

_QUOTED = re.compile(r'"[^"]*"')

_PASSING_ERRNO = {
    errno.ECONNREFUSED: "connection refused",
    errno.ECONNRESET: "connection lost",
    errno.ECONNABORTED: "connection lost",
    errno.EPIPE: "connection lost",
    errno.ETIMEDOUT: "timeout",
    errno.EHOSTUNREACH: "host not reachable",
    errno.ENETUNREACH: "host not reachable",
    errno.EAGAIN: "not ready",
    errno.EBUSY: "not ready",
    errno.EIO: "input or output failed",
    errno.ESTALE: "the share was remounted",
}

_DEFECTS = (
    duckdb.InternalException,
    duckdb.NotImplementedException,
    duckdb.ParserException,
    duckdb.SyntaxException,
)
_ABOUT_VALUES = (
    duckdb.ConversionException,
    duckdb.OutOfRangeException,
    duckdb.ConstraintException,
    duckdb.TypeMismatchException,
)


def diagnose(error: BaseException, *, now: float | None = None) -> Diagnosis | None:
    """Put an exception into its class.

    Args:
        error: What a source, or the library that reads it, raised.
        now: The time, in seconds since 1970, that a ``Retry-After`` date is counted from.

    Returns:
        None for what is no failure of a source, such as a defect of the program.
    """
    if isinstance(error, TransientSourceError):
        return Diagnosis(Kind.TRANSIENT, error.reason, error.retry_after)
    if isinstance(error, PermanentSourceError):
        return Diagnosis(Kind.PERMANENT, error.reason)
    if isinstance(error, SourceError):
        return Diagnosis(Kind.DATA, "not what the dataset says")
    if isinstance(error, requests.RequestException):
        return _of_request(error, time.time() if now is None else now)
    if isinstance(error, urllib3.exceptions.HTTPError):
        return _of_transport(error)
    if isinstance(error, _ABOUT_VALUES):
        return Diagnosis(Kind.DATA, "a value that its type cannot hold")
    if isinstance(error, duckdb.OutOfMemoryException):
        return Diagnosis(Kind.PERMANENT, "out of memory")
    if isinstance(error, duckdb.Error | sqlite3.OperationalError):
        return None if isinstance(error, _DEFECTS) else _of_message(error)
    if isinstance(error, OSError):
        return _of_system(error)
    return None


def status_diagnosis(status: int, retry_after: float | None = None) -> Diagnosis:
    """What the status of an HTTP answer means that is no success."""
    if status in PASSING_STATUS:
        return Diagnosis(Kind.TRANSIENT, f"HTTP {status}", retry_after)
    known = {_UNAUTHORIZED: _AUTH, _FORBIDDEN: _RIGHTS, _NOT_FOUND: _MISSING}
    reason = f"HTTP {status}" + (f": {known[status]}" if status in known else "")
    return Diagnosis(Kind.PERMANENT, reason)


def retry_after_seconds(value: str | None, now: float) -> float | None:
    """What a ``Retry-After`` header asks for, in seconds; None where it says nothing sensible.

    Args:
        value: Seconds, or a date as HTTP writes it.
        now: The time that a date is counted from, in seconds since 1970.
    """
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, moment.timestamp() - now)


def as_source_error(diagnosis: Diagnosis, error: BaseException, where: str) -> SourceError:
    """The error that a person reads in place of a driver's.

    Args:
        diagnosis: What the driver's error means: transient or permanent.
        error: The driver's error; only the name of its type is told.
        where: Connection and table or path.
    """
    found = f"{diagnosis.reason} ({type(error).__name__}; its text is withheld, it may hold a key)"
    if diagnosis.kind is Kind.TRANSIENT:
        return TransientSourceError(
            "A source does not answer",
            reason=diagnosis.reason,
            retry_after=diagnosis.retry_after,
            where=where,
            expected="an answer",
            found=found,
            fix="look whether the source is up; what was published stays, and the next run tries "
            "again",
        )
    fix = next(
        (text for reason, text in _FIXES.items() if reason in diagnosis.reason),
        "correct the connection or the dataset",
    )
    return PermanentSourceError(
        "A source refuses, and would refuse again",
        reason=diagnosis.reason,
        where=where,
        expected="an answer",
        found=found,
        fix=f"{fix}, then run again",
    )


def _of_request(error: requests.RequestException, now: float) -> Diagnosis:
    if isinstance(error, requests.HTTPError) and error.response is not None:
        asked = retry_after_seconds(error.response.headers.get("Retry-After"), now)
        return status_diagnosis(error.response.status_code, asked)
    if isinstance(error, requests.exceptions.SSLError):
        return Diagnosis(Kind.PERMANENT, _TLS)
    if isinstance(error, requests.Timeout):
        return Diagnosis(Kind.TRANSIENT, "timeout")
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return Diagnosis(Kind.TRANSIENT, "connection lost")
    if isinstance(error, requests.ConnectionError):
        told = _match(str(error))
        passing = told is not None and told.kind is Kind.TRANSIENT
        return told if told and passing else Diagnosis(Kind.TRANSIENT, "not reachable")
    if isinstance(error, requests.exceptions.ContentDecodingError | requests.JSONDecodeError):
        return Diagnosis(Kind.DATA, "an answer that cannot be decoded")
    return Diagnosis(Kind.PERMANENT, "a request that cannot be made")


def _of_transport(error: urllib3.exceptions.HTTPError) -> Diagnosis:
    if isinstance(error, urllib3.exceptions.MaxRetryError) and error.reason is not None:
        return diagnose(error.reason) or Diagnosis(Kind.TRANSIENT, "not reachable")
    if isinstance(error, urllib3.exceptions.SSLError):
        return Diagnosis(Kind.PERMANENT, _TLS)
    if isinstance(error, urllib3.exceptions.LocationValueError):
        return Diagnosis(Kind.PERMANENT, "a request that cannot be made")
    if isinstance(error, urllib3.exceptions.DecodeError):
        return Diagnosis(Kind.DATA, "an answer that cannot be decoded")
    if isinstance(error, urllib3.exceptions.TimeoutError):
        return Diagnosis(Kind.TRANSIENT, "timeout")
    return Diagnosis(Kind.TRANSIENT, "connection lost")


def _match(text: str) -> Diagnosis | None:
    for pattern, kind, reason in _MESSAGES:
        if pattern.search(text):
            return Diagnosis(kind, reason)
    return None


def _said(text: str) -> str:
    """What a driver says, without the query and the connection string that it quotes.

    A name or a setting in a query, such as ``statement_timeout``, must not decide.
    """
    text = text.partition("\nLINE ")[0]
    # Postgres and MySQL name the error behind whatever DuckDB quotes.
    for mark in ("FATAL:", "ERROR:"):
        if mark in text:
            return text.rpartition(mark)[2]
    return _QUOTED.sub('""', text)


def _of_message(error: BaseException) -> Diagnosis:
    told = _match(_said(str(error)))
    if told is not None:
        return told
    if isinstance(error, duckdb.InvalidInputException):
        return Diagnosis(Kind.DATA, "an input that cannot be read")
    if isinstance(error, duckdb.HTTPException | duckdb.ConnectionException):
        return Diagnosis(Kind.TRANSIENT, "not reachable")
    return Diagnosis(Kind.PERMANENT, "refused by the engine")


def _of_system(error: OSError) -> Diagnosis:
    if isinstance(error, TimeoutError):
        return Diagnosis(Kind.TRANSIENT, "timeout")
    if error.errno in _PASSING_ERRNO:
        return Diagnosis(Kind.TRANSIENT, _PASSING_ERRNO[error.errno])
    if isinstance(error, ConnectionError):
        return Diagnosis(Kind.TRANSIENT, "connection lost")
    if isinstance(error, FileNotFoundError):
        return Diagnosis(Kind.PERMANENT, _MISSING)
    if isinstance(error, PermissionError):
        return Diagnosis(Kind.PERMANENT, _RIGHTS)
    return Diagnosis(Kind.PERMANENT, "refused by the operating system")
