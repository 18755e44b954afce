"""Processes of their own in which the suite runs a store, so that they can be killed."""

from __future__ import annotations

import ctypes
import faulthandler
import json
import multiprocessing
import multiprocessing.forkserver
import os
import pickle
import signal
import sys
import tempfile
import threading
import time
import traceback
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Any, Final

from typing_extensions import Self

from ctxkit_conformance import preloading

PATIENCE: Final = 60.0  # seconds that a child has for an answer, on a machine that is busy with other things
_SHOWN: Final = 8000  # characters of what a child printed
_STACKS: Final = getattr(signal, "SIGUSR1", None)  # makes a child print where its threads stand
_METHOD: Final = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
_WHEN_THE_PARENT_ENDS: Final = 1  # PR_SET_PDEATHSIG of <sys/prctl.h>
_starting = threading.RLock()
_preloaded: dict[str, str | None] = {}
_alive: set[Child] = set()


class Child:
    """A process of its own that runs `function(connection, *arguments)`; a context manager that leaves none behind.

    The function, and the class of each argument, has to stand at the top level of a module. `connection` is this end
    of the pipe whose other end the function got. The process is not forked from this one, which has threads and
    open files, but from a server that has imported the modules in question and nothing else; `modules` names more of
    them, which the function will need.
    """

    def __init__(self, function: Callable[..., object], *arguments: object, modules: Sequence[str] = ()) -> None:
        self.name = f"{function.__module__.rpartition('.')[2]}.{function.__qualname__}"
        needed = _modules_of(function, arguments)
        payload = _packed(function, arguments)
        descriptor, name = tempfile.mkstemp(prefix="ctxkit-child-", suffix=".txt")
        os.close(descriptor)
        self._output = Path(name)
        self._context = multiprocessing.get_context(_METHOD)
        self.connection, theirs = self._context.Pipe()
        self._started, starting = self._context.Pipe(duplex=False)
        try:
            with _starting:
                _prepare(self._context, {**dict.fromkeys(modules), **needed})
                inherited = (theirs, starting, payload, needed, dict(os.environ), name)
                self._process = self._context.Process(target=_run, args=inherited, daemon=True)  # type: ignore[attr-defined]
                with _without_main():
                    self._process.start()
                _alive.add(self)
        except BaseException:
            self._output.unlink()
            raise
        theirs.close()
        starting.close()

    @property
    def pid(self) -> int:
        """The number of the process."""
        return int(self._process.pid)

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return bool(self._process.is_alive())

    @property
    def output(self) -> str:
        """The end of what the process wrote to its standard output and error."""
        with suppress(OSError):
            return self._output.read_text("utf-8", "replace").strip()[-_SHOWN:]
        return ""

    @property
    def _printed(self) -> int:
        """How many bytes the process wrote so far."""
        with suppress(OSError):
            return self._output.stat().st_size
        return 0

    def send(self, message: object) -> None:
        """Send a message to the function; fails the check when the process has died."""
        try:
            self.connection.send(message)
        except OSError:
            raise self._died() from None

    def receive(self, timeout: float = PATIENCE) -> Any:
        """Return the next message of the function; fails the check when it died or does not answer in time.

        The time runs from when the function was called; what a process needs to start and to import is not in it.
        """
        try:
            self._started.poll(PATIENCE)
            if self.connection.poll(timeout):
                return self.connection.recv()
        except (EOFError, OSError):
            raise self._died() from None
        raise AssertionError(f"{self.name} in another process gave no answer within {timeout:g} s.{self._stacks()}")

    def wait(self, timeout: float = PATIENCE) -> int:
        """Wait until the process has ended and return its exit code, or minus the signal that ended it."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise AssertionError(f"{self.name} in another process did not end within {timeout:g} s.{self._stacks()}")
        return int(self._process.exitcode)

    def kill(self) -> None:
        """Kill the process at once, as SIGKILL does, and wait until it is gone."""
        self._process.kill()
        self._process.join()

    def stop(self, timeout: float = PATIENCE) -> int:
        """Close the connection, which ends a function that waits for a message, and return the exit code."""
        self.connection.close()
        return self.wait(timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_details: object) -> None:
        self.kill()
        if hasattr(os, "killpg"):
            # What the function itself has started goes with it.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
        self.connection.close()
        self._started.close()
        self._output.unlink(missing_ok=True)
        _alive.discard(self)

    def _died(self) -> AssertionError:
        code = self.wait(PATIENCE)
        how = f"exit code {code}"
        if code < 0:
            with suppress(ValueError):
                how = signal.Signals(-code).name
        shown = self.output
        return AssertionError(
            f"{self.name} in another process ended with {how} where an answer was expected."
            + (f" The end of its output:\n{shown}" if shown else " It printed nothing.")
        )

    def _stacks(self) -> str:
        """Return what the process printed, with the stacks of its threads as the last."""
        if _STACKS is not None and self.alive:
            before = size = self._printed
            os.kill(self.pid, _STACKS)
            deadline = time.monotonic() + 2.0
            # The stacks are whole once what came has stopped growing.
            while (size == before or size != self._printed) and time.monotonic() < deadline:
                size = self._printed
                time.sleep(0.05)
        shown = self.output
        return f" The end of its output, its threads last:\n{shown}" if shown else " It printed nothing."


def _run(
    connection: Connection,
    starting: Connection,
    payload: bytes,
    modules: Mapping[str, str | None],
    environment: dict[str, str],
    output: str,
) -> None:
    """Run in the child: send its output to a file, import what it needs, and call the function.

    `starting` is closed when the function is called, and that is what its other end waits for.
    """
    descriptor = os.open(output, os.O_WRONLY | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    faulthandler.enable(file=2)
    if _STACKS is not None:
        faulthandler.register(_STACKS, file=2, all_threads=True)
    if hasattr(os, "setsid"):
        os.setsid()
    _end_with_the_server()
    if dict(os.environ) != environment:
        os.environ.clear()
        os.environ.update(environment)
    status = 1
    try:
        function, arguments = _unpacked(payload, modules)
        starting.close()
        function(connection, *arguments)
        status = 0
    except BaseException as error:  # noqa: BLE001 - whatever it is, the parent shows it
        traceback.print_exc(file=sys.__stderr__)
        # Where the parent has closed its end there is nobody left to work for, and that is no failure.
        status = 0 if isinstance(error, EOFError) else 1
    finally:
        with suppress(OSError):
            connection.close()
    sys.exit(status)


def _end_with_the_server() -> None:
    """Have Linux kill this process when the one ends that it was forked from, should nobody else."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_WHEN_THE_PARENT_ENDS, int(signal.SIGKILL))


def _packed(function: Callable[..., object], arguments: tuple[object, ...]) -> bytes:
    try:
        return pickle.dumps((function, arguments))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise AssertionError(
            f"Another process cannot be given what it needs: {error}. Define the store's class and its configuration"
            " at the top level of a module that can be imported, not inside a function and not in __main__."
        ) from error


def _unpacked(payload: bytes, modules: Mapping[str, str | None]) -> tuple[Callable[..., object], tuple[object, ...]]:
    try:
        preloading.load(modules)
        function, arguments = pickle.loads(payload)  # noqa: S301 - it comes from our own parent
    except Exception as error:
        raise ImportError(
            f"Another process cannot import the store: {type(error).__name__}: {error}. Define its class and its"
            " configuration at the top level of a module that can be imported: an installed one, or one on PYTHONPATH."
        ) from error
    return function, arguments


def _modules_of(function: Callable[..., object], arguments: tuple[object, ...]) -> dict[str, str | None]:
    """Return the modules that the child needs, each with its file: those of the classes and their bases."""
    names = {function.__module__: None}
    for argument in arguments:
        cls = argument if isinstance(argument, type) else type(argument)
        names.update({base.__module__: None for base in reversed(cls.__mro__)})
    found: dict[str, str | None] = {}
    for name in names:
        module = sys.modules.get(name)
        if name not in {"__main__", "builtins"} and module is not None:
            found[name] = getattr(module, "__file__", None)
    return found


def _prepare(context: BaseContext, modules: Mapping[str, str | None]) -> None:
    """Have the server import modules that children need, once instead of every time."""
    if _METHOD != "forkserver" or modules.keys() <= _preloaded.keys() or _alive:
        return
    _preloaded.update(modules)
    server = multiprocessing.forkserver._forkserver  # noqa: SLF001
    if hasattr(server, "_stop"):
        # A server that runs cannot learn new modules; children of another one would import them each time.
        server._stop()  # noqa: SLF001
    context.set_forkserver_preload([preloading.__name__, "numpy"])
    os.environ[preloading.VARIABLE] = json.dumps([sys.path, _preloaded])
    try:
        with _without_main():
            multiprocessing.forkserver.ensure_running()
    finally:
        del os.environ[preloading.VARIABLE]


@contextmanager
def _without_main() -> Iterator[None]:
    """Hide the main module, which children would import a second time: it may be pytest, or an unguarded script."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
