"""The command as a process: interruptions, kills, closed pipes, terminals, and what it imports."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

COMMAND = [sys.executable, "-m", "ctxkit"]
FILES = 1500
PLAIN = ("--set", "vector_store.provider=exact", "--set", "embedder.provider=none")
HEAVY = ("anthropic", "chromadb", "faiss", "hnswlib", "openai", "sentence_transformers", "tokenizers", "torch")


def environment(**extra: str) -> dict[str, str]:
    """Return this process's environment without ctxkit's own variables."""
    return {**{key: value for key, value in os.environ.items() if not key.startswith("CTXKIT")}, **extra}


def ctxkit(*arguments: str, cwd: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run the command in a folder and check its exit code."""
    done = subprocess.run(
        [*COMMAND, *arguments],
        cwd=cwd,
        env=environment(),
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=120,
    )
    assert done.returncode == code, (done.stdout, done.stderr)
    return done


def as_json(*arguments: str, cwd: Path) -> Any:
    """Run the command with --json and return what it prints."""
    return json.loads(ctxkit(*arguments, "--json", cwd=cwd).stdout)


def word(number: int) -> str:
    """Return a word that only file `number` holds."""
    return "zq" + "".join(chr(ord("a") + int(digit)) for digit in f"{number:05}")


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with many small files, each with a word of its own."""
    folder = tmp_path_factory.mktemp("many")
    for number in range(FILES):
        (folder / f"{number:05}.txt").write_text(f"Note {number} is about {word(number)} and nothing else.\n")
    return folder


def stop_during_ingest(folder: Path, store: Path, how: signal.Signals) -> subprocess.CompletedProcess[str]:
    """Start ingesting a folder, wait until the store grows, and send the process a signal."""
    process = subprocess.Popen(
        [*COMMAND, "ingest", str(folder), "--store", str(store)],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if sum(path.stat().st_size for path in store.rglob("*") if path.is_file()) > 300_000:
            break
        time.sleep(0.01)
    process.send_signal(how)
    out, err = process.communicate(timeout=60)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def assert_whole(folder: Path, store: Path) -> int:
    """Everything that stats counts is found, as often as it is counted; return the count."""
    count = int(as_json("stats", "--store", str(store), cwd=folder)["long_term_memory"]["num_entries"])
    assert 0 < count < FILES
    hits = as_json("query", "note", "-k", str(2 * FILES), "--store", str(store), cwd=folder)["hits"]
    assert len(hits) == count
    for hit in hits:
        number = int(Path(hit["source"]).stem)
        assert hit["text"] == Path(hit["source"]).read_text(), number
    last = max(hits, key=lambda hit: str(hit["source"]))
    (found,) = as_json("query", word(int(Path(last["source"]).stem)), "-k", "1", "--store", str(store), cwd=folder)[
        "hits"
    ]
    assert found["source"] == last["source"]
    return count


def test_ctrl_c_during_ingest_leaves_everything_whole(many: Path, tmp_path: Path) -> None:
    """The interruption ends with 130 and one line; what is counted is there, and the same command goes on."""
    store = tmp_path / "store"
    stopped = stop_during_ingest(many, store, signal.SIGINT)
    assert stopped.returncode == 130, stopped.stderr
    assert stopped.stderr == (
        "Interrupted. Every file counted so far is stored; the same command again goes on from there.\n"
    )
    count = assert_whole(many, store)
    report = as_json("ingest", str(many), "--store", str(store), cwd=tmp_path)
    assert report["unchanged"] >= count
    assert report["files"] + report["unchanged"] == FILES
    assert as_json("stats", "--store", str(store), cwd=tmp_path)["store"]["records"] == FILES


def test_a_killed_ingest_leaves_everything_whole(many: Path, tmp_path: Path) -> None:
    """After SIGKILL, stats and query open the store at once and agree about what it holds."""
    store = tmp_path / "store"
    assert stop_during_ingest(many, store, signal.SIGKILL).returncode == -signal.SIGKILL
    assert_whole(many, store)


def test_a_reader_that_goes_away_is_no_error(many: Path, tmp_path: Path) -> None:
    """A pipe that closes early ends the command without a traceback or a complaint at exit."""
    ctxkit("ingest", str(many / "00000.txt"), cwd=tmp_path)
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(
            [*COMMAND, "context", "note"],
            cwd=tmp_path,
            env=environment(),
            stdout=write,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            check=False,
            timeout=60,
        )
    finally:
        os.close(write)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def test_closed_streams_are_no_error(tmp_path: Path) -> None:
    """Started with all three standard streams closed, a chat answers nobody, ends well, and keeps its turn whole."""
    done = subprocess.run(
        ["/bin/sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *COMMAND, "chat", "--once", "Where is it?", *PLAIN],
        cwd=tmp_path,
        env=environment(),
        check=False,
        timeout=60,
    )
    assert done.returncode == 0
    (hit,) = as_json("query", "where", *PLAIN, cwd=tmp_path)["hits"]
    assert "Where is it?" in hit["text"]


def test_without_a_terminal_there_are_no_control_characters(many: Path, tmp_path: Path) -> None:
    """Output into a file or a log has neither colours nor a moving bar."""
    for arguments in (["ingest", str(many / "00001.txt")], ["stats"], ["query", "note"], ["plugins", "list"]):
        done = ctxkit(*arguments, cwd=tmp_path)
        for text in (done.stdout, done.stderr):
            assert not any(character < " " and character != "\n" for character in text), text


def on_a_terminal(*arguments: str, cwd: Path, **extra: str) -> str:
    """Run the command on a pseudo-terminal of 80 columns and return all that it wrote there."""
    here, there = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=cwd,
        env=environment(TERM="xterm-256color", COLUMNS="80", LINES="40", **extra),
        stdin=there,
        stdout=there,
        stderr=there,
    )
    os.close(there)
    written = b""
    while True:
        try:
            piece = os.read(here, 65536)
        except OSError:  # how a terminal says that nobody has it open any more
            break
        if not piece:
            break
        written += piece
    os.close(here)
    assert process.wait(timeout=60) == 0, written
    return written.decode("utf-8")


def test_a_terminal_shows_a_bar_and_colours(many: Path, tmp_path: Path) -> None:
    """On a terminal the ingestion moves; NO_COLOR takes the colours away."""
    (tmp_path / "few").mkdir()
    for name in ("00000.txt", "00001.txt"):
        (tmp_path / "few" / name).write_text((many / name).read_text())
    shown = on_a_terminal("ingest", "few", cwd=tmp_path, NO_COLOR="")
    assert "Ingesting few" in shown
    assert "Stored 2 files as 2 chunks." in shown
    coloured = on_a_terminal("context", "note", cwd=tmp_path, NO_COLOR="")
    assert "\x1b[36m" in coloured
    assert "\x1b[36m" not in on_a_terminal("context", "note", cwd=tmp_path, NO_COLOR="1")


def test_no_encoding_makes_a_command_fail(many: Path, tmp_path: Path) -> None:
    """A terminal without Unicode gets question marks, and JSON in plain ASCII."""
    (tmp_path / "tea.txt").write_text("Der Käse heißt Brie – ☕ 茶.\n", encoding="utf-8")
    ctxkit("ingest", "tea.txt", str(many / "00000.txt"), cwd=tmp_path)
    for arguments in (["query", "Käse"], ["query", "Käse", "--json"], ["context", "Käse"]):
        done = subprocess.run(
            [*COMMAND, *arguments],
            cwd=tmp_path,
            env=environment(PYTHONIOENCODING="ascii", PYTHONUTF8="0"),
            capture_output=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        text = done.stdout.decode("ascii")
        if "--json" in arguments:
            assert any("茶" in hit["text"] for hit in json.loads(text)["hits"])


def test_importing_the_command_line_is_light() -> None:
    """Start-up loads no command before it heeds Ctrl-C, and neither numpy nor pydantic; listing loads nothing heavy."""
    program = (
        "import sys, ctxkit.cli; print('typer' in sys.modules); import ctxkit.cli.app; "
        "print(*[name for name in ('numpy', 'pydantic', 'rich.console') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["False"]
    program = (
        "import sys, ctxkit.cli; code = ctxkit.cli.run(['plugins', 'list']); "
        f"sys.exit(code or ' '.join(name for name in {HEAVY!r} if name in sys.modules) or None)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert "exact" in done.stdout


def test_a_command_on_a_store_loads_nothing_that_moves_one(tmp_path: Path) -> None:
    """Each asks where its store is; what copies, compares and exports one waits until it is asked for."""
    program = (
        "import sys, ctxkit.cli; code = ctxkit.cli.run(['stats']); "
        "print(code, *sorted(name for name in sys.modules if name.startswith('ctxkit.moving')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["1", "ctxkit.moving", "ctxkit.moving.places"]
