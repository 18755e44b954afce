"""Processes of their own: they start, answer, fail loudly, and none is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from ctxkit_conformance.children import Child


class Unusual:
    """A class of this file, which pytest may have imported under a name that leads nowhere."""


def echo(connection: Connection, *arguments: object) -> None:
    """Say who this is, then repeat every message."""
    connection.send((os.getpid(), os.getppid(), arguments, os.environ.get("UNUSUAL"), "pytest" in sys.argv[0]))
    while True:
        connection.send(connection.recv())


def fail(_connection: Connection) -> None:
    """Raise."""
    raise ValueError("on purpose")


def crash(_connection: Connection) -> None:
    """Die as a fault in native code makes a process die."""
    os.kill(os.getpid(), signal.SIGSEGV)


def hang(connection: Connection) -> None:
    """Never answer again."""
    connection.send("here")
    threading.Event().wait()


def breed(connection: Connection) -> None:
    """Start a process and stay."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as grandchild:
        connection.send(grandchild.pid)
        connection.recv()


def ends(pid: int) -> bool:
    """Whether a process ends before long."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
            if Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0] == "Z":
                return True
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.01)
    return False


def test_a_child_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets arguments, classes of a test file among them, the environment of now, and messages."""
    for value in ("one", "two"):
        monkeypatch.setenv("UNUSUAL", value)
        with Child(echo, Unusual, 7) as child:
            pid, parent, arguments, variable, _ = child.receive()
            assert (pid, arguments[1], variable) == (child.pid, 7, value)
            assert arguments[0].__qualname__ == "Unusual"
            assert os.getpid() not in (pid, parent)
            child.send({"a": 1})
            assert child.receive() == {"a": 1}
            assert child.alive
            assert child.stop() == 0
        assert ends(pid)


def test_leaving_leaves_nothing_behind() -> None:
    """However the block ends, the child and what it has started are gone, and so is the file of its output."""
    with suppress(RuntimeError), Child(breed) as child:
        grandchild = child.receive()
        raise RuntimeError("the check fails")
    assert not child.alive
    assert ends(grandchild)
    assert not child._output.exists()


def test_kill() -> None:
    """A killed child is gone when `kill` returns, and an answer that cannot come is a failure that says so."""
    with Child(hang) as child:
        assert child.receive() == "here"
        child.kill()
        assert child.wait() == -signal.SIGKILL
        with pytest.raises(AssertionError, match=r"test_children\.hang .* ended with SIGKILL"):
            child.receive()
        with pytest.raises(AssertionError, match="SIGKILL"):
            child.send("anything")


def test_a_child_that_fails() -> None:
    """Its traceback is in the message of the failed check."""
    with Child(fail) as child:
        with pytest.raises(AssertionError, match="exit code 1") as caught:
            child.receive()
        assert "ValueError: on purpose" in str(caught.value)
        assert child.wait() == 1


def test_a_child_that_crashes() -> None:
    """A crash in native code kills the child alone, and the message shows where it was."""
    with Child(crash) as child, pytest.raises(AssertionError, match="SIGSEGV") as caught:
        child.receive()
    assert "in crash" in str(caught.value)


def test_a_child_that_hangs() -> None:
    """No answer in time is a failure that shows where the child's threads stand."""
    with Child(hang) as child:
        child.receive()
        with pytest.raises(AssertionError, match=r"no answer within 0\.1 s") as caught:
            child.receive(0.1)
        assert "in hang" in str(caught.value)
        with pytest.raises(AssertionError, match=r"did not end within 0\.1 s"):
            child.wait(0.1)


def test_a_class_that_cannot_be_imported() -> None:
    """An author whose class stands inside a function is told where to put it."""

    class Hidden:
        pass

    with pytest.raises(AssertionError, match="at the top level of a module"):
        Child(echo, Hidden)


def test_a_module_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An author whose class stands where only this process can find it is told so."""
    file = tmp_path / "fleeting_module_of_a_test.py"
    file.write_text("class Fleeting:\n    pass\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    fleeting = __import__("fleeting_module_of_a_test").Fleeting
    file.unlink()
    with Child(echo, fleeting) as child, pytest.raises(AssertionError, match="at the top level of a module") as caught:
        child.receive()
    assert "fleeting_module_of_a_test" in str(caught.value)


def test_the_main_module_runs_once(tmp_path: Path) -> None:
    """A script that calls the suite without guarding its main part is not run again by each child."""
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / "work_of_a_script.py").write_text(
        "def work(connection):\n    connection.send('done')\n", encoding="utf-8"
    )
    script = tmp_path / "script.py"
    script.write_text(
        f"import sys\nsys.path.append({str(folder)!r})\nprint('main')\nfrom work_of_a_script import work\n"
        "from ctxkit_conformance.children import Child\n"
        "for _ in range(2):\n    with Child(work) as child:\n        print(child.receive())\n",
        encoding="utf-8",
    )
    run = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False, timeout=120)
    assert run.stdout.split() == ["main", "done", "done"], run.stderr
