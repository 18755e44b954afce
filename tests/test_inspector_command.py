"""`ctxkit inspect`: what it prints, writes and serves, and how it ends."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import webbrowser
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cli_support import Cli, assert_error, make_cli
from components import config
from inspector_support import BEGAN, QUESTION
from manager_support import REGISTRY

from ctxkit import Config, ContextManager


@pytest.fixture(name="cli")
def _cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run command lines in an empty folder."""
    return make_cli(tmp_path, monkeypatch, capsys)


@pytest.fixture(name="store")
def _store(tmp_path: Path) -> str:
    """Return the folder of a store with a short conversation, as anybody's settings make it."""
    settings = Config(embedder={"provider": "none"}, vector_store=config().vector_store)
    with ContextManager(settings, path=tmp_path / "store", registry=REGISTRY) as made:
        for number in range(30):
            said = "The dinghy is moored at the third post." if number == 7 else f"Nothing of note, day {number}."
            made.observe(said, f"Noted, number {number}.", timestamp=BEGAN + 3600.0 * number)
        made.add_memory("\x1b[2Jdinghy \u202ereversed", {"speaker": "\x1b]0;x\x07Mallory"})
    return str(tmp_path / "store")


def test_the_terminal_shows_budget_scores_and_reasons(cli: Cli, store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In 80 columns: the question, the budget, what was kept with its scores, and why the rest is out."""
    monkeypatch.setenv("COLUMNS", "80")
    outcome = cli("inspect", QUESTION, "--store", store, "--budget", "220")
    assert outcome.code == 0, outcome.err
    lines = outcome.out.splitlines()
    assert lines[0] == QUESTION
    assert re.match(r"\d+ of 220 tokens, built in \d+ ms, 31 records", lines[1].replace("\N{NO-BREAK SPACE}", ""))
    assert any(re.match(r" +1\. +\d+\.\d{3}  \d+ tokens, search \+\d", line) for line in lines)
    assert "third post" in outcome.out
    assert "does not fit what is left of the budget" in outcome.out
    assert max(len(line) for line in lines if not line.startswith("Store: ")) <= 80


def test_the_help_shows_its_examples_as_written(cli: Cli) -> None:
    """A user can copy an example from the help."""
    assert '\n    ctxkit inspect "when do we open?" --html context.html --open\n' in cli("inspect", "--help").out


def test_stored_text_steers_no_terminal(cli: Cli, store: str) -> None:
    """Escapes and marks of direction in memories come out as replacement characters."""
    outcome = cli("inspect", "dinghy Mallory reversed", "--store", store)
    assert "Mallory" in outcome.out
    assert not set("\x1b\x07\u202e") & set(outcome.out + outcome.err)


def test_json_is_the_data_of_the_page(cli: Cli, store: str, tmp_path: Path) -> None:
    """Standard output is the document that the page holds."""
    page = tmp_path / "page.html"
    outcome = cli("inspect", QUESTION, "--store", store, "--json", "--html", str(page), "--previous", "What day?")
    assert outcome.code == 0, outcome.err
    found = outcome.json
    assert found["question"] == QUESTION
    assert found["previous"]["question"] == "What day?"
    held = page.read_text(encoding="utf-8").partition('id="data">')[2].partition("</script>")[0]
    assert json.loads(held) == {"asks": False, "inspection": found}


def test_without_a_question_it_is_the_newest_one(cli: Cli, store: str) -> None:
    """The newest user turn is asked again; a store without one wants a question."""
    assert cli("inspect", "--store", store, "--json").json["question"] == "Nothing of note, day 29."
    assert_error(cli("inspect", "--store", store, "--session", "nobody"), "no turn of a user", "give a QUESTION")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--serve", "--json"), "--serve and --json exclude each other"),
        (("--serve", "--html", "x.html"), "--serve and --html exclude each other"),
        (("--port", "80"), "--port is for --serve"),
        (("--open",), "--open has no page to open"),
        (("--budget", "2"), "raise --budget"),
        (("--html", "missing/x.html"), "cannot be written"),
        (("--serve", "--port", "70000"), "port 70000 cannot be had"),
    ],
)
def test_what_cannot_be_done_is_said(cli: Cli, store: str, options: tuple[str, ...], words: str) -> None:
    """Options that do not go together and values that cannot work are errors with a fix."""
    assert_error(cli("inspect", QUESTION, "--store", store, *options), words)


def test_open_opens_the_page(cli: Cli, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The browser gets the address of the file; where there is none, a line says so and nothing fails."""
    opened: list[str] = []
    for there in (True, False):

        def browse(address: str, there: bool = there) -> bool:  # noqa: FBT001 - bound now
            opened.append(address)
            return there

        monkeypatch.setattr(webbrowser, "open", browse)
        outcome = cli("inspect", QUESTION, "--store", store, "--html", "page.html", "--open")
        assert outcome.code == 0
        assert outcome.out == "Wrote page.html\n"
        assert ("no browser was found" in outcome.err) is not there
    assert opened == [(tmp_path / "page.html").as_uri()] * 2


def test_serving_ends_cleanly_when_it_is_interrupted(store: str) -> None:
    """The link stands alone on standard output; Ctrl-C ends the process with code 0 and without a traceback."""
    command = [sys.executable, "-m", "ctxkit", "inspect", "--serve", "--store", store]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with process:
        try:
            assert process.stdout is not None
            link = urlsplit(process.stdout.readline().strip())
            connection = HTTPConnection("127.0.0.1", link.port or 0, timeout=20)
            connection.request("GET", link.path)
            assert connection.getresponse().status == 200
            connection.close()
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == 0, err
    assert out == ""
    assert err.splitlines()[-1] == "Stopped."
    assert "Traceback" not in err
