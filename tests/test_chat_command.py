"""`ctxkit chat`: lines from a pipe, JSON Lines, and a terminal that is interrupted and killed."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from cli_support import Cli, Outcome, make_cli
from ctxkit_conformance.faults import FaultServer, Scenario, step
from provider_cases import fault_server, own_environment

from ctxkit.chat import Reply
from ctxkit.cli.chat_view import Flow, Lines
from ctxkit.cli.settings import Settings
from ctxkit.interfaces import Completion

__all__ = ["fault_server", "own_environment"]  # fixtures
pytestmark = pytest.mark.usefixtures("own_environment")
KEY = "sk-test-0123456789abcdef"
PATIENCE = 30.0  # seconds
STEERING = "\x1b]0;owned\x07\x1b[31mred\x1b[0m\x9b2J"
Chat = Callable[..., Outcome]
Asking = Callable[[Scenario], list[str]]


@pytest.fixture(name="chat")
def _chat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Chat:
    """Run `ctxkit chat` on the exact store with lines from a pipe."""
    cli: Cli = make_cli(tmp_path, monkeypatch, capsys)

    def call(lines: str, *options: str) -> Outcome:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines.encode("utf-8", "surrogateescape"))))
        return cli("chat", "--set", "vector_store.provider=exact", "--set", "embedder.provider=none", *options)

    return call


@pytest.fixture(name="asking")
def _asking(monkeypatch: pytest.MonkeyPatch) -> Asking:
    """Return what gives the options by which a chat asks a scenario; the key is in the environment."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    return options


def options(scenario: Scenario) -> list[str]:
    """Return the options by which a chat asks this scenario."""
    given = {"provider": "openai", "model": "m", "base_url": scenario.url("openai"), "max_retries": 0}
    return [part for name, value in given.items() for part in ("--set", f"llm.{name}={value}")]


def test_lines_of_a_pipe_are_questions(chat: Chat) -> None:
    """Answers alone stand on standard output; that there is no model is said, and how to have one."""
    outcome = chat("The dinghy is moored at the old pier.\n\n Where is the dinghy moored? \n")
    assert outcome.code == 0
    assert outcome.out.splitlines() == ["Nothing in memory fits.", "“The dinghy is moored at the old pier.”"]
    assert "No language model is configured" in outcome.err
    assert "OPENAI_API_KEY" in outcome.err
    assert chat("", "--once", "Where is the dinghy?").out == "“The dinghy is moored at the old pier.”\n"


def test_neither_a_heading_nor_the_question_itself_is_quoted(chat: Chat) -> None:
    """One was asked before, without a mark; the other names what follows and says nothing of it."""
    chat("# The dinghy\nThe dinghy lies at the old pier.\n")
    for _ in range(2):
        assert chat("where does the dinghy lie\n").out == "“The dinghy lies at the old pier.”\n"


def test_help_shows_examples_that_can_be_copied(chat: Chat) -> None:
    """The help names the ways to begin."""
    assert "ctxkit chat --json < questions.txt" in chat("", "--help").out


def test_json_lines(chat: Chat, server: FaultServer, asking: Asking) -> None:
    """Each question and each command is one JSON value on a line, errors too, and the exit code tells."""
    scenario = server.scenario(step("ok", text="At the pier."), step("authentication", repeat_key=True))
    outcome = chat("Where?\nAnd now?\n/search pier\n/nosuch\n/quit\nNever asked\n", "--json", *asking(scenario))
    lines = [json.loads(line) for line in outcome.out.splitlines()]
    assert [line["kind"] for line in lines] == ["reply", "reply", "found", "error", "leave"]
    assert [line.get("state") for line in lines[:2]] == ["whole", "failed"]
    assert lines[0]["answer"] == "At the pier."
    assert lines[1]["error"]["type"] == "AuthenticationFailedError"
    assert lines[2]["hits"][0]["id"] == lines[0]["memory_id"]
    assert lines[3]["error"]["fix"]
    assert outcome.code == 1
    assert KEY not in outcome.out + outcome.err


def test_failures_become_plain_lines(chat: Chat, server: FaultServer, asking: Asking) -> None:
    """Cause, fix, and that the question is kept: three lines on standard error, none with a traceback."""
    scenario = server.scenario(step("rate_limited"), then=step("ok", text="Yes."))
    outcome = chat("Where?\nReally?\n", *asking(scenario))
    assert (outcome.code, outcome.out) == (1, "Yes.\n")
    cause, fix, kept = outcome.err.splitlines()
    assert cause.startswith("Error: openai: rate limit")
    assert fix.startswith("Fix: ")
    assert kept == "Your question is in memory all the same."
    stopped = chat("Where?\n", *asking(server.scenario(step("cut", text="At the pier."))))
    assert stopped.err.splitlines()[-1].startswith("Your question and what came of the answer are in memory")


def test_ctrl_c_ends_a_chat_of_lines(chat: Chat, server: FaultServer, asking: Asking) -> None:
    """Whoever interrupts a script wants it to end: code 130, and the turn is kept as far as it came."""
    scenario = server.scenario(step("hold_midway", text="At the pier."))

    def interrupt() -> None:
        scenario.wait_until(len)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    outcome = chat("Where?\nNever asked\n", *asking(scenario))
    thread.join()
    assert outcome.code == 130
    assert outcome.err.splitlines()[-1] == "Interrupted. What was stored is safe."
    assert json.loads(chat("/stats\n", "--json").out)["memory"]["short_term_memory"]["num_turns"] == 1


def test_an_answer_that_reached_its_limit_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """An answer that ends in mid-sentence is not taken for a whole one."""
    limited = Completion(text="At the", model="m", finish_reason="length")
    Lines(Settings()).replied(Reply("Where?", "At the", "whole", "turn-1", "openai m", completion=limited))
    assert "llm.max_tokens" in capsys.readouterr().err


def test_every_command_is_shown(chat: Chat) -> None:
    """The commands print what they found, and what was erased is said."""
    lines = "The dinghy is moored at the old pier.\n/context\n/search dinghy\n/stats\n/session\n/session boats\n"
    outcome = chat(
        f"{lines}The oars are in the shed.\n/session\n/forget last yes\n/forget last yes\n/search oars\n/help\n"
    )
    assert "Here: all sessions are in view." in outcome.out
    assert re.search(r"turn-[0-9a-f]{32}", outcome.out)
    assert re.search(r"boats\s+1 turn", outcome.out)
    assert re.search(r"Erased turn-\w+: 1 turn\.\nNo byte of it is left", outcome.out)
    assert "Nothing found." in outcome.out
    assert "/forget ID|last [yes]" in outcome.out
    assert "candidates" in outcome.err
    assert "there is no memory last" in outcome.err
    assert outcome.code == 1


def test_nothing_is_erased_without_being_agreed_to(chat: Chat) -> None:
    """A pipe cannot be asked, so the line has to say yes itself."""
    outcome = chat("The dinghy is at the pier.\n/forget last\n/search dinghy\n")
    assert re.search(r"Fix: /forget turn-\w+ yes", outcome.err)
    assert "The dinghy is at the pier." in outcome.out


def test_memories_and_providers_cannot_steer_the_terminal(chat: Chat, server: FaultServer, asking: Asking) -> None:
    """Escape sequences in what was stored, answered or refused reach no output raw, whatever is shown of them."""
    hostile = server.scenario(
        step("ok", text=f"Here: {STEERING} end"),
        step("ok", verbatim=json.dumps({"error": {"message": STEERING}}), status=400),
    )
    said = f"Remember {STEERING} this.\nWhat is this?\n/context\n/search this\n/session {STEERING}\nHi.\n"
    outcome = chat(f"{said}/session\n/stats\n/forget {STEERING}\n/{STEERING}\n", *asking(hostile))
    shown = outcome.out + outcome.err
    assert "[31mred" in shown
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", shown)


def test_broken_bytes_of_a_pipe_are_a_question_all_the_same(chat: Chat) -> None:
    """Input in another encoding ends in no traceback."""
    assert chat("Caf\udce9?\n").code == 0


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_an_answer_is_wrapped_between_words(size: int, capsys: pytest.CaptureFixture[str]) -> None:
    """However the pieces fall: words whole, line ends kept, wide characters counted as two columns."""
    flow = Flow(20)
    text = "On Thursday at eight, as agreed.\r\n\n  - 木曜日の八時に来ます、約束どおり\n"
    for start in range(0, len(text), size):
        flow.add(text[start : start + size])
    flow.end()
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["On Thursday at", "eight, as agreed.", "", "  - 木曜日の八時に来", "ます、約束どおり"]


class Terminal:
    """A chat on a pseudo-terminal."""

    def __init__(self, process: subprocess.Popen[bytes], side: int) -> None:
        self.process = process
        self._side = side
        self.shown = ""

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._side, keys.encode())

    def wait_for(self, words: str) -> None:
        """Read until these words stand on the screen, in what was written since words were waited for last."""
        while words not in self.shown:
            self._read()
        self.shown = self.shown.partition(words)[2]

    def wait_for_the_end(self) -> int:
        """Read until the chat is over; return its exit code."""
        with suppress(OSError):  # how a terminal says that nobody has it open any more
            while True:
                self._read()
        return self.process.wait(timeout=PATIENCE)

    def _read(self) -> None:
        ready, _, _ = select.select([self._side], [], [], PATIENCE)
        assert ready, f"nothing came after {self.shown!r}"
        piece = os.read(self._side, 65536).decode("utf-8", "replace")
        if "\x1b[6n" in piece:  # where is the cursor?
            self.type("\x1b[1;1R")
        self.shown += piece


@contextmanager
def terminal(*options: str, cwd: Path) -> Iterator[Terminal]:
    """Start a chat on a pseudo-terminal of 80 columns, and end it."""
    here, there = pty.openpty()
    extra = {"TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"}
    process = subprocess.Popen(
        [sys.executable, "-m", "ctxkit", "chat", *options],
        cwd=cwd,
        env={**{name: value for name, value in os.environ.items() if not name.startswith("CTXKIT")}, **extra},
        stdin=there,
        stdout=there,
        stderr=there,
        start_new_session=True,
    )
    os.close(there)
    try:
        yield Terminal(process, here)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        process.wait(timeout=PATIENCE)
        os.close(here)


def test_a_terminal_is_interrupted_and_killed(chat: Chat, server: FaultServer, asking: Asking, tmp_path: Path) -> None:
    """SIGINT in mid-answer brings the prompt back, SIGKILL in mid-answer costs nothing: both turns are in memory."""
    (tmp_path / "ctxkit.toml").write_text("[vector_store]\nprovider = 'exact'\n[embedder]\nprovider = 'none'\n")
    held = step("hold", after=4, text="Behind the old boathouse, at the third post.")
    scenario = server.scenario(step("ok"), held, step("ok", text="Yes, at the pier."), held)
    chat("", "--once", "The dinghy is moored at the old pier.", *asking(scenario))
    with terminal(*asking(scenario), cwd=tmp_path) as screen:
        screen.wait_for("›")  # noqa: RUF001 - the prompt
        screen.type("\x1b[A")  # the arrow brings back what the memory was told
        screen.wait_for("The dinghy")
        screen.type("\x03Where is it?\r")
        screen.wait_for("Behind the")
        screen.process.send_signal(signal.SIGINT)
        screen.wait_for("Stopped.")
        screen.type("Is it there?\r")
        screen.wait_for("Yes, at the pier.")
        screen.type("/forget last\r")
        screen.wait_for("Erase this for good?")
        screen.type("n\r")
        screen.wait_for("Nothing was erased.")
        screen.type("Are you sure?\r")
        screen.wait_for("Behind the")
    found = chat("", "--json", "--once", "/stats")
    assert "1 turn of a chat that was killed came back" in found.err
    assert json.loads(found.out)["memory"]["short_term_memory"]["num_turns"] == 4


def test_a_terminal_is_left_with_ctrl_d(tmp_path: Path) -> None:
    """On an empty line it ends the chat with code 0, after the notice that nothing but memory answers."""
    with terminal(cwd=tmp_path) as screen:
        screen.wait_for("No language model is configured")
        screen.wait_for("›")  # noqa: RUF001 - the prompt
        screen.type("\x04")
        assert screen.wait_for_the_end() == 0
