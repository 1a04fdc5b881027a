"""Commands in processes of their own that do not wait for imports: forked where they were made.

Belongs here: starting a command quickly. Does not belong here: which commands, or any assertion.

A command of the console script takes 1 s of processor time to load Dagster and pandas, and 3 s with
dbt, of which nothing is the platform's own. A server per process of tests loads those once, and
forks for each command. The platform itself is loaded by the command, from where it is told to, or
once for many commands, by a server that is forked from the first for one project's folder.

Programs in ``bin`` stand in for ``python``, ``platform-assets``, ``dagster`` and ``dbt``: a shell
or make finds them on its path. They hand their arguments, environment, folder and open files to the
server, and end as the command ends. What the server cannot do quicker is done by the real program.

A command is in the process group of who asked, where both are of one session: Ctrl-C reaches it as
it reaches any other, and whoever looks for what has outlived Ctrl-C finds it. Where `SERVERS` are
loaded too, a command takes the program that stands in for its own Python, and finds others beside
it: what it starts, such as dbt and the processes of ``dagster dev``, waits for no imports either.
"""

from __future__ import annotations

import array
import atexit
import fcntl
import gc
import json
import os
import runpy
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

# Nothing of the platform, and nothing that looks at the environment when it is loaded.
LOADED_AHEAD = (
    "dagster",
    "duckdb",
    "pandas",
    "pandera.pandas",
    "pyarrow",
    "sqlalchemy.dialects.sqlite",
    "dagster_duckdb",
    "dagster_dbt",
    "dbt.cli.main",
    "dbt.adapters.duckdb",
)
# The platform's own, that nearly each command needs; no setting is read when it is loaded.
PLATFORM = (
    "platform_assets.cli.main",
    "platform_assets.cli.backfill",
    "platform_assets.cli.code_location",
    "platform_assets.cli.summary",
    "platform_assets.assets.location",
    "platform_assets.assets.aggregates",
    "platform_assets.assets.customer_metrics",
    "platform_assets.demo",
)
# What ``dagster dev`` and the processes that it starts load.
SERVERS = (
    "dagster._cli.dev",
    "dagster._cli.api",
    "dagster._cli.code_server",
    "dagster._daemon.cli",
    "dagster_webserver.cli",
)
_SCRIPTS = {
    "python": [],
    "platform-assets": ["-c", "from platform_assets.cli.main import main; main()"],
    "dbt": ["-c", "import sys; from dbt.cli.main import cli; sys.exit(cli())"],
    "dagster": ["-c", "import sys; from dagster._cli import main; sys.exit(main())"],
}
MOST_FILES = 200
_CLIENT = """\
#!{python} -IS
import array, json, os, signal, socket, sys
arguments = {prefix!r} + sys.argv[1:]
if not arguments or arguments[0] not in ("-m", "-c"):
    os.execv({python!r}, [{python!r}, *arguments])
files = array.array("i")
for number in sorted(map(int, os.listdir("/proc/self/fd"))):
    try:
        if os.get_inheritable(number):
            files.append(number)
    except OSError:
        pass  # it was the listing's own
asked = json.dumps(
    {{
        "arguments": arguments,
        "folder": os.getcwd(),
        "environment": dict(os.environ),
        "files": files.tolist(),
        "group": os.getpgrp(),
    }}
).encode()
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    # Whoever interrupts the group interrupts the command itself, and its end is waited for.
    if os.getsid(0) == {session}:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    server.sendmsg(
        [len(asked).to_bytes(8, "big")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, files)]
    )
    server.sendall(asked)
    answer = server.recv(64)
ended = int(answer or b"1")
if ended < 0:
    os.kill(os.getpid(), -ended)
sys.exit(ended)
"""


@cache
def programs() -> Path:
    """The folder of the programs that stand in, with their server started."""
    return _started([sys.executable], LOADED_AHEAD, Path(__file__).resolve().parents[1], None)


@cache
def programs_of(root: Path, *ahead: str, **environment: str) -> Path:
    """Those of a server that has loaded the platform of one folder too.

    Args:
        root: The project that commands run; their ``PYTHONPATH`` begins with it.
        ahead: Further modules to load, such as `SERVERS`.
        environment: What they have set that is looked at when it is loaded: the console's width.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PLATFORM_ASSETS_", "DAGSTER_"))
    }
    told = {**kept, **environment, "PYTHONPATH": str(root)}
    return _started([str(programs() / "python")], [*PLATFORM, *ahead], root, told)


def _started(
    python: Sequence[str], ahead: Sequence[str], root: Path, environment: dict[str, str] | None
) -> Path:
    """The folder of the programs of a server that a Python has been made to be."""
    folder = Path(tempfile.mkdtemp(prefix="warm-"))
    address = folder / "socket"
    server = subprocess.Popen(
        [*python, "-m", "platform_assets_tests.warm", str(address), *ahead],
        cwd=root,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )

    def end() -> None:
        server.kill()
        server.wait()
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(end)
    assert server.stdout is not None
    assert server.stdout.readline() == b"ready\n", "the server of commands did not start"
    for name, prefix in _SCRIPTS.items():
        program = folder / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(
            _CLIENT.format(
                python=sys.executable, prefix=prefix, address=str(address), session=os.getsid(0)
            )
        )
        program.chmod(0o755)
    return folder / "bin"


def serve(address: str, ahead: Sequence[str]) -> NoReturn:  # pragma: no cover -- runs in the server
    """Load what takes long, and fork for each command that is asked for.

    Args:
        address: The socket to listen on.
        ahead: The modules to load.
    """
    for name in ahead:
        __import__(name)
    # Or each command would look through all of it for garbage, and so copy it.
    gc.collect()
    gc.freeze()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        print("ready", flush=True)
        # Nobody writes to its input, which ends with the process of tests however that ends.
        while sys.stdin not in select.select([listener, sys.stdin], [], [])[0]:
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                _attend(connection, Path(address).parent / "bin" / "python")
            connection.close()
            _reap()
    sys.exit()


def _reap() -> None:  # pragma: no cover -- runs in the server
    """Forget children that have ended."""
    try:
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass
    except ChildProcessError:
        return


def _attend(  # pragma: no cover -- runs in the server
    connection: socket.socket, python: Path
) -> NoReturn:
    """Have a child do the command, and answer how it ended."""
    files = array.array("i")
    size, ancillary, _, _ = connection.recvmsg(8, socket.CMSG_LEN(MOST_FILES * files.itemsize))
    files.frombytes(ancillary[0][2])
    length, text = int.from_bytes(size, "big"), b""
    while len(text) < length:
        text += connection.recv(length - len(text))
    child = os.fork()
    if child == 0:
        connection.close()
        _do(json.loads(text), list(files), python)
    for file in files:
        os.close(file)
    # Whoever asked says nothing more: it is there to be read once that process is gone.
    ready, _, _ = select.select([connection, os.pidfd_open(child)], [], [])
    if connection in ready:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if connection not in ready:
        connection.sendall(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def _do(  # pragma: no cover -- runs in a child
    asked: dict[str, Any], files: list[int], python: Path
) -> NoReturn:
    """Be the command, as if it had been started in the first place."""
    # Out of the way of the numbers that they are to have.
    moved = [fcntl.fcntl(file, fcntl.F_DUPFD, MOST_FILES) for file in files]
    os.closerange(0, MOST_FILES)
    for number, file in zip(asked["files"], moved, strict=True):
        os.dup2(file, number)
        os.close(file)
    # A session of its own keeps others out of its groups.
    with suppress(PermissionError, ProcessLookupError):
        os.setpgid(0, asked["group"])
    if sys.modules.keys() >= set(SERVERS):
        sys.executable = str(python)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(asked["environment"])
    time.tzset()
    os.chdir(asked["folder"])
    kind, what, *rest = asked["arguments"]
    own = str(Path(__file__).resolve().parents[1])
    told = [each for each in os.environ.get("PYTHONPATH", "").split(os.pathsep) if each]
    sys.path[:] = [str(Path.cwd()), *told, *(each for each in sys.path[1:] if each != own)]
    loaded = sys.modules.get("platform_assets")
    if loaded is not None and Path(str(loaded.__file__)).parents[1] != Path(*told[:1]):
        sys.exit(f"{loaded.__file__} is loaded, and not the platform of {told}")
    status = 1
    try:
        sys.argv = ["-c" if kind == "-c" else what, *rest]
        if kind == "-c":
            exec(compile(what, "<string>", "exec"), {"__name__": "__main__"})
        else:
            runpy.run_module(what, run_name="__main__", alter_sys=True)
        status = 0
    except SystemExit as ended:
        status = _status(ended.code)
    except BaseException:
        traceback.print_exc()
    _end(status)


def _status(code: object) -> int:
    """What a process exits with that raises ``SystemExit`` with a code."""
    if code is None or isinstance(code, int):
        return code or 0
    print(code, file=sys.stderr)
    return 1


def _end(status: int) -> NoReturn:  # pragma: no cover -- runs in a child
    """End as an interpreter does: what was to be done at its end is done."""
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2:])
