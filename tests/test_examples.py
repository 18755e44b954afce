"""The examples, run as their READMEs say: from the root of the repository, offline, each with a memory of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
TOKENS = {"maren": "first-secret", "odile": "second-secret"}


def environment(**extra: str) -> dict[str, str]:
    """Return this process's environment with settings that make the examples start quickly."""
    fast = {"CTXKIT_VECTOR_STORE__PROVIDER": "exact", "CTXKIT_EMBEDDER__PROVIDER": "none"}
    return {**os.environ, **fast, **extra}


def run(*arguments: str, code: int = 0, **extra: str) -> str:
    """Run an example and return what it printed, or with another exit code than 0 what it complained of."""
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env=environment(**extra),
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=120,
    )
    assert done.returncode == code, (done.stdout, done.stderr)
    return done.stderr if code else done.stdout


def test_the_support_bot_keeps_tenants_apart(tmp_path: Path) -> None:
    """Two worker processes on one store find what the other one stored, and show no tenant another's secret."""
    printed = run("examples.support_bot", "--workers", "2", SUPPORT_MEMORY=str(tmp_path / "store"))
    assert "36 answers, 0 of them wrong" in printed
    assert re.search(r"alder: On file: .*ALDER-\d{4}", printed)


def test_the_support_bot_would_notice_a_leak() -> None:
    """An answer with another tenant's secret, or without one's own, is counted as wrong."""
    program = """
from examples.support_bot.__main__ import is_wrong, secret_of
from examples.support_bot.bot import Answer
question = "What is the access code of alder?"
assert not is_wrong(Answer("alder", question, secret_of("alder"), ""))
assert is_wrong(Answer("alder", question, "", ""))
assert is_wrong(Answer("birch", question, "", f"... {secret_of('alder')} ..."))
"""
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, timeout=60)


def test_the_support_bot_remembers_once_what_it_is_asked_again() -> None:
    """A message that comes a second time, as its answer was lost, is answered in the same words and stored once."""
    program = """
from contextlib import closing
from dataclasses import replace
from ctxkit import Config
from examples.support_bot.bot import Message, SupportBot
with closing(SupportBot(Config.load(), None)) as bot:
    message = Message("1", "alder", "Where is my parcel?")
    first, again = bot.handle(message), bot.handle(replace(message, tries=1))
    assert again.text == first.text
    assert len(bot.memory("alder").list_memories()) == 1
"""
    for model in (environment(CTXKIT_LLM__PROVIDER="echo"), environment()):
        subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=model, check=True, timeout=60)


def test_the_support_bot_gives_up_at_once_what_no_try_can_mend(tmp_path: Path) -> None:
    """A model that is not installed is an error in one line, and no reason to start worker after worker."""
    store = str(tmp_path / "store")
    said = run("examples.support_bot", "--workers", "1", code=1, SUPPORT_MEMORY=store, CTXKIT_LLM__PROVIDER="nosuch")
    assert "gets no answer: no installed plugin provides the llm 'nosuch'" in said
    assert said.count("\n") == 1


def test_the_coding_assistant_names_file_and_lines(tmp_path: Path) -> None:
    """Answers name the place; the second run stores what changed, erases what is gone, and leaves the rest.

    The store lies in the repository, where the README has it for `.`, and is no part of what is remembered.
    """
    code = tmp_path / "code"
    code.mkdir()
    boat = code / "boat.py"
    boat.write_text("# Boats\n\n\ndef moor(boat, post):\n    '''Moor a boat at a post of the pier.'''\n")
    (code / "oven.py").write_text("def bake(bread):\n    '''Bake the bread in the oven.'''\n")
    (code / "shed.txt").write_text("The oars are in the shed.\n")
    asked = ["--store", str(code / "store"), str(code), "where is a boat moored?"]
    first = run("examples.coding_assistant", *asked)
    assert "3 files stored, 0 unchanged, 0 removed" in first
    assert "  boat.py:1-5" in first
    boat.write_text(f"{boat.read_text()}\n\ndef sail(boat):\n    '''Sail.'''\n")
    (code / "shed.txt").unlink()
    second = run("examples.coding_assistant", *asked, "where are the oars?", CTXKIT_LLM__PROVIDER="echo")
    assert "1 files stored, 1 unchanged, 1 removed" in second
    assert "  boat.py:1-9" in second
    assert "shed.txt" not in second
    assert second.count("where are the oars?") == 2, "the question, and what the model says, which repeats it"


def test_the_coding_assistant_says_what_is_wrong(tmp_path: Path) -> None:
    """A folder that is not there is an error in one line, not a traceback."""
    said = run("examples.coding_assistant", str(tmp_path / "nosuch"), "--store", str(tmp_path / "store"), code=1)
    assert "nosuch" in said
    assert said.count("\n") == 1


class Service:
    """The FastAPI service in a process of its own."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process = process
        self.port = port

    def ask(self, method: str, path: str, body: object = None, *, token: str | None = None) -> tuple[int, Any]:
        """Send a request and return status and answer."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = {"Content-Type": "application/json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def hang_up(self, path: str, body: object, *, token: str) -> None:
        """Send a request, and go away before the answer comes."""
        content = json.dumps(body).encode()
        head = f"POST {path} HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer {token}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
            connection.sendall(head.encode() + content)


@pytest.fixture(name="service", scope="module")
def _service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Start uvicorn on a free port of this machine."""
    store = tmp_path_factory.mktemp("service") / "store"
    tokens = ",".join(f"{user}={token}" for user, token in TOKENS.items())
    process = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "examples.fastapi_service.service:app", "--port", "0"],
        cwd=ROOT,
        env=environment(MEMORY_PATH=str(store), MEMORY_TOKENS=tokens),
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    assert process.stderr is not None
    try:
        said = []
        for line in process.stderr:
            said.append(line)
            if found := re.search(r"running on http://127\.0\.0\.1:(\d+)", line):
                yield Service(process, int(found[1]))
                break
        else:
            pytest.fail(f"the service did not start: {''.join(said)}")
    finally:
        process.kill()
        process.wait(timeout=30)
        process.stderr.close()


def test_the_service_keeps_users_apart(service: Service) -> None:
    """Observe, context, query and erase work for the token's user; another user's token finds and erases nothing."""
    maren, odile = TOKENS.values()
    assert service.ask("GET", "/health") == (200, {"status": "ok"})
    turn = {"user": "I moved to Lisbon.", "assistant": "Noted.", "turn_id": "1", "session": "s"}
    status, stored = service.ask("POST", "/turns", turn, token=maren)
    assert status == 201
    assert service.ask("POST", "/turns", turn, token=maren) == (201, stored), "the same turn sent again"
    status, context = service.ask("POST", "/context", {"question": "Where is Lisbon?"}, token=maren)
    assert status == 200
    assert "I moved to Lisbon." in context["text"]
    assert context["messages"][-1] == {"role": "user", "content": "Where is Lisbon?"}
    assert service.ask("POST", "/query", {"text": "Lisbon"}, token=odile) == (200, [])
    assert service.ask("DELETE", f"/memories/{stored['id']}", token=odile)[0] == 404
    assert len(service.ask("POST", "/query", {"text": "Lisbon"}, token=maren)[1]) == 1
    status, report = service.ask("DELETE", f"/memories/{stored['id']}", token=maren)
    assert (status, report["turns"], report["bytes_erased"]) == (200, 1, True)
    assert service.ask("POST", "/query", {"text": "Lisbon"}, token=maren) == (200, [])


def test_the_service_serves_many_clients_at_once(service: Service) -> None:
    """Eight clients of two users find what they said, and no more; one that hangs up leaves a turn whole, and once."""

    def talk(number: int) -> None:
        user, token = list(TOKENS.items())[number % 2]
        for each in range(3):
            turn = {
                "user": f"Parcel {user}says{number}x{each} came.",
                "assistant": "Noted.",
                "turn_id": f"{number}-{each}",
            }
            service.hang_up("/turns", turn, token=token)
            assert service.ask("POST", "/turns", turn, token=token)[0] == 201
            status, context = service.ask("POST", "/context", {"question": f"Which parcel {number}?"}, token=token)
            assert status == 200
            assert f"{user}says{number}x{each}" in context["text"]
            assert set(re.findall(r"(\w+)says", context["text"])) == {user}

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(talk, range(8)))
    for user, token in TOKENS.items():
        found = service.ask("POST", "/query", {"text": "parcel", "k": 100}, token=token)[1]
        assert len(found) == 12
        assert len({re.findall(rf"{user}says\S+", each["text"])[0] for each in found}) == 12


def test_the_service_refuses_what_it_should(service: Service) -> None:
    """No token and a wrong one are 401, and what the caller can mend is 422 with the fix."""
    assert service.ask("POST", "/query", {"text": "Lisbon"})[0] in {401, 403}
    assert service.ask("POST", "/query", {"text": "Lisbon"}, token="third-secret")[0] == 401  # noqa: S106 - nobody's
    status, problem = service.ask("POST", "/turns", {"user": " ", "assistant": ""}, token=TOKENS["maren"])
    assert (status, bool(problem["fix"])) == (422, True)
    assert service.ask("POST", "/context", {"question": "Where? " * 99, "budget": 9}, token=TOKENS["maren"])[0] == 422


def test_the_service_ends_gracefully(service: Service) -> None:
    """On SIGTERM it closes the memories and leaves, and what it stored is there."""
    turn = {"user": "The last word.", "assistant": "Noted."}
    assert service.ask("POST", "/turns", turn, token=TOKENS["maren"])[0] == 201
    service.process.send_signal(signal.SIGTERM)
    assert service.process.stderr is not None
    assert "Application shutdown complete." in service.process.stderr.read()
    assert service.process.wait(timeout=30) in {0, -signal.SIGTERM}
