"""An API that misbehaves, is down, or is read by a process that is killed; a real HTTP server."""

from __future__ import annotations

import gzip
import ssl
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import duckdb
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from werkzeug import Request, Response

from platform_assets.batch_size import BatchSize
from platform_assets.sources.base import Access
from platform_assets.sources.breaker import BreakerStore
from platform_assets.sources.connections import ApiKey, Bearer
from platform_assets.sources.landing import read_attempt
from platform_assets.sources.rest_client import limiter_of
from platform_assets.sources.rest_pagination import LinkHeader, NextUrl, Offset, PageNumber
from platform_assets.sources.retrying import Guard
from platform_assets_tests.integration.rest_reader import (
    ALL,
    AT_ONCE,
    CURSOR,
    Reader,
    delivered,
    reader_of,
)
from platform_assets_tests.integration.rest_server import (
    SECRET,
    as_json,
    counted,
    joined,
    order,
    serving,
)
from platform_assets_tests.support import D1, D2


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    with serving(days=delivered()) as api:
        yield reader_of(api, tmp_path)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("as_date", [False, True])
def test_the_wait_that_is_asked_for_is_kept(reader: Reader, status: int, as_date: bool) -> None:
    times: list[float] = []

    def busy() -> Response:
        asked = formatdate(time.time() + 2, usegmt=True) if as_date else "1"
        return as_json("{}", status, Retry_After=asked)

    special = counted({2: busy})
    reader.api.special = lambda request: times.append(time.monotonic()) or special(request)  # type: ignore[func-returns-value] # append gives None, which is wanted
    (found,) = reader.get()
    assert reader.records(found) == ALL
    assert times[2] - times[1] >= 0.9
    assert reader.guard.breakers.state("api").failures == 0


def test_one_that_asks_for_an_hour_is_not_asked_again(reader: Reader) -> None:
    reader.api.special = lambda request: as_json("{}", 429, Retry_After="3600")
    assert "HTTP 429" in reader.failure()
    assert len(reader.api.asked) == 1


def test_what_passes_is_asked_again_and_no_page_is_lost(reader: Reader) -> None:
    reader.api.special = counted({n: lambda: as_json("{}", 503) for n in (1, 2, 4, 6)})
    (found,) = reader.get()
    assert reader.records(found) == ALL


def test_a_post_is_not_sent_again(reader: Reader) -> None:
    reader.api.special = counted({1: lambda: as_json("{}", 503)})
    message = reader.failure(method="POST", path="orders", records="data.items")
    assert "A source does not answer" in message
    assert "POST /v1/orders, partition all, page 1" in message
    assert len(reader.api.asked) == 1


def test_a_server_that_is_gone_opens_the_breaker_and_is_left_alone(
    reader: Reader, tmp_path: Path
) -> None:
    reader.guard = Guard(BreakerStore(tmp_path / "breakers.sqlite"), AT_ONCE)
    reader.api.special = lambda request: as_json(f'{{"{SECRET}": 1}}', 500)
    days = [f"2025-01-{day:02}" for day in range(1, 31)]
    found = reader.get(*days, path="orders/{partition}")
    assert all(each.error for each in found)
    assert len(reader.api.asked) == 5  # for thirty days
    assert "5 failures in a row" in str(found[-1].error)
    assert "the last one: HTTP 500" in str(found[-1].error)
    # Another process sees it too, and what it is told holds no secret.
    state = BreakerStore(tmp_path / "breakers.sqlite").state("api")
    assert (state.state, state.failures) == ("opened", 5)
    assert SECRET not in (tmp_path / "breakers.sqlite").read_bytes().decode(errors="replace")
    # After a minute one trial decides.
    reader.api.special = lambda request: None
    opened = state.opened_at or 0
    reader.guard.breakers.clock = lambda: opened + 61
    assert reader.records(reader.get()[0]) == ALL


def test_a_port_where_nobody_listens(reader: Reader) -> None:
    reader.connection = replace(reader.connection, base_url="http://127.0.0.1:9/v1")
    message = reader.failure()
    assert "found: connection refused" in message


def self_signed(folder: Path) -> ssl.SSLContext:
    """A certificate for this machine that nobody vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    file = folder / "server.pem"
    file.write_bytes(key.private_bytes(pem, *plain) + certificate.public_bytes(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


def test_a_certificate_that_is_not_trusted_is_refused(
    reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(self_signed(tmp_path), days=delivered()) as api:
        reader.connection = replace(reader.connection, base_url=api.url, auth=Bearer(SECRET))
        message = reader.failure()
        assert "found: the certificate is not trusted" in message
        assert api.asked == []
        # Trusted on purpose, as an authority of one's own would be.
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "server.pem"))
        assert reader.records(reader.get()[0]) == ALL


def test_one_bad_day_does_not_cost_the_others(reader: Reader) -> None:
    def special(request: Request) -> Response | None:
        return as_json("<html>") if D1 in request.path else None

    reader.api.special = special
    bad, good = reader.get(D1, D2, path="orders/{partition}", records="data.items")
    assert bad.error is not None
    assert f"GET /v1/orders/{D1}, partition {D1}, page 1" in bad.error.where
    assert good.error is None
    assert reader.records(good) == ALL


def test_garbage_in_the_middle_is_told_and_gone_on_behind_when_it_is_gone(
    reader: Reader,
) -> None:
    reader.api.special = counted({2: lambda: as_json(f'{{"items": [{{"id": "{SECRET}')})
    message = reader.failure()
    assert "A page is not JSON" in message
    assert "connection 'api', GET /v1/cursor, partition all, page 2" in message
    assert SECRET not in message
    (found,) = reader.get()
    assert reader.records(found) == ALL
    assert reader.api.pages("/v1/cursor") == ["", "after=c10", "after=c10", "after=c20"]


def test_an_answer_that_is_cut_off_is_asked_for_again(reader: Reader) -> None:
    def cut_off() -> Response:
        return Response(iter([b'{"items": [']), headers={"Content-Length": "500"})

    reader.api.special = counted({2: cut_off})
    (found,) = reader.get()
    assert found.error is None, found.error
    assert reader.records(found) == ALL


def test_a_zipped_answer_that_is_cut_off_is_no_page(reader: Reader) -> None:
    half = gzip.compress(joined([order(n) for n in range(500)]).encode())[:600]
    reader.api.special = lambda request: Response(half, headers={"Content-Encoding": "gzip"})
    assert "A page is not JSON" in reader.failure()


@pytest.mark.parametrize("zipped", [False, True])
def test_a_page_beyond_its_bound_is_refused(reader: Reader, zipped: bool) -> None:
    reader.connection = replace(reader.connection, max_page_bytes=100_000)
    reader.api.zipped = zipped
    reader.api.special = lambda request: as_json('{"items": [' + " " * 5_000_000 + "]}")
    message = reader.failure()
    assert "A page is too large" in message
    assert "at most 100,000 bytes, unpacked" in message


def test_an_answer_that_drips_is_given_up(reader: Reader) -> None:
    def drip() -> Iterator[bytes]:
        for _ in range(50):
            yield b" " * 70_000
            time.sleep(0.02)

    reader.connection = replace(reader.connection, answer_seconds=0.1)
    reader.api.special = lambda request: Response(drip(), mimetype="application/json")
    assert "found: timeout" in reader.failure()


def test_a_server_that_says_nothing_is_given_up(reader: Reader) -> None:
    reader.connection = replace(reader.connection, timeout=0.2)
    reader.api.special = lambda request: time.sleep(0.5)  # type: ignore[func-returns-value] # None: the usual answer, too late
    assert "found: timeout" in reader.failure()


@pytest.mark.parametrize(
    ("path", "paginator", "what"),
    [
        ("cursor", CURSOR, "records that it gave before"),
        ("numbered", PageNumber(), "records that it gave before"),
        ("offset", Offset(10), "records that it gave before"),
        ("next", NextUrl(), "records that it gave before"),
    ],
)
def test_an_api_that_repeats_itself_is_noticed(
    reader: Reader, path: str, paginator: Any, what: str
) -> None:
    rows = joined([order(n) for n in range(10)])
    reader.api.special = lambda request: as_json(
        f'{{"items": {rows}, "meta": {{"next": "c1"}}, "next": "/v1/next?at=1"}}'
    )
    message = reader.failure(path=path, paginator=paginator)
    assert "the same page again and again" in message
    assert what in message
    assert len(reader.api.asked) == 2
    # What was landed of it is not gone on with.
    reader.api.special = lambda request: None
    assert reader.records(reader.get(path=path, paginator=paginator)[0]) == ALL


@pytest.mark.parametrize("auth", [Bearer(SECRET), ApiKey(SECRET), ApiKey(SECRET, "key", "query")])
@pytest.mark.parametrize("how", ["redirect", "link"])
def test_credentials_never_go_to_another_host(reader: Reader, auth: Any, how: str) -> None:
    with serving(days={D1: [order(1)]}) as other:
        reader.connection = replace(reader.connection, auth=auth, headers={"X-Secret": SECRET})
        target = other.server.url_for("/elsewhere")
        if how == "redirect":
            other.special = lambda request: as_json(joined([order(1)]))
            reader.api.special = lambda request: Response("", 302, {"Location": target})
        else:
            other.special = lambda request: as_json(joined([order(1)]))
            reader.api.special = lambda request: as_json(
                joined([order(0)]), Link=f'<{target}>; rel="next"'
            )
        (found,) = reader.get(path="linked", records="", paginator=LinkHeader())
        assert found.error is None
        assert "o1" in reader.records(found)
        assert SECRET in f"{reader.api.headers[0]}"
        assert len(other.asked) == 1
        assert SECRET not in f"{other.asked} {other.headers}"


def test_redirects_at_home_keep_the_credentials_and_come_to_an_end(reader: Reader) -> None:
    reader.connection = replace(reader.connection, auth=Bearer(SECRET))
    reader.api.check = lambda request: request.headers.get("Authorization") == f"Bearer {SECRET}"

    def moved(request: Request) -> Response | None:
        return Response("", 307, {"Location": "/v1/orders"}) if "old" in request.path else None

    reader.api.special = moved
    assert reader.records(reader.get(path="old", records="data.items")[0]) == ALL
    reader.api.special = lambda request: Response("", 301, {"Location": "/v1/round"})
    assert "sends its callers elsewhere" in reader.failure(path="again")
    reader.api.special = lambda request: Response("", 301, {"Location": "ftp://x/y"})
    assert "sends its callers elsewhere" in reader.failure(path="ftp")


def test_no_more_requests_a_second_than_agreed(reader: Reader) -> None:
    times: list[float] = []
    reader.connection = replace(reader.connection, requests_per_second=20)
    reader.api.special = lambda request: times.append(time.monotonic())  # type: ignore[func-returns-value] # None: the usual answer
    reader.get(path="linked", records="", paginator=LinkHeader())
    reader.get(path="linked", records="", paginator=LinkHeader())
    assert len(times) == 6
    # Five waits of 50 ms; a busy machine may take note of a request late, and never early.
    assert times[-1] - times[0] > 0.2
    assert limiter_of("api", 20) is limiter_of("api", 20)


def test_no_content_is_an_empty_partition(reader: Reader) -> None:
    reader.api.special = lambda request: Response("", 204)
    (found,) = reader.get()
    assert (found.error, found.items, found.bytes) == (None, (), 0)


def test_files_follow_the_size_of_the_batch(reader: Reader) -> None:
    sizes = []
    for batch in (BatchSize(1, 1, 1.0), BatchSize(1_000, 5_000, 1.0), BatchSize(15, 15, 1.0)):
        (found,) = reader.get(batch=batch)
        manifest = read_attempt(Path(found.items[0]).parent).manifest
        sizes.append([file.records for file in manifest.files])
    assert sizes == [[10, 10, 6], [26], [20, 6]]


def test_a_landed_file_that_is_gone_or_short_is_noticed(reader: Reader) -> None:
    (found,) = reader.get()
    source = reader.endpoint
    with duckdb.connect() as engine:
        access = Access(engine, {"api": reader.connection})
        extract = source.extract(access, "orders", [found], ["id"])
        rows = engine.execute(f"SELECT _source_file, count(*) FROM ({extract.relation}) GROUP BY 1")
        counts = dict(rows.fetchall())
        assert extract.verify(engine, counts) == {}
        first = next(iter(counts))
        errors = extract.verify(engine, {**counts, first: counts[first] - 1})
        assert "another number of records than were read" in str(errors["all"])
        Path(found.items[0]).unlink()
        faults = source.inspect(access, "orders", [found], ["id"])
        assert "A landed file is gone" in str(faults["all"])
    told = source.explain("orders", found, duckdb.ConversionException(SECRET))
    assert SECRET not in str(told)
    assert "partition all" in told.where
