"""A key is used, and then searched for in everything that people read, send or store."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import pickle
import re
import subprocess
import sys
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from ctxkit_conformance.faults import STEPS, FaultServer, WireFormat, step
from ctxkit_conformance.llms import faults_table
from ctxkit_conformance.subject import find_subject

from ctxkit import Config, ContextManager, EmbedderConfig, LLMConfig
from ctxkit.errors import CtxkitError, EmbedderError, LLMError
from ctxkit.interfaces import Embedder
from ctxkit.llm.adapters import create_llm_adapter
from ctxkit.plugins import PluginRegistry, get_registry

KEY: Final = "sk-secret-5Jq9Zr7TnW3xVb8Lm2Kd"
# Half of a key gives it away as well.
PART: Final = KEY[10:26]
ASKED: Final = [{"role": "user", "content": "Where is the boat?"}]
PROVIDERS: Final[dict[str, WireFormat]] = {"openai": "openai", "anthropic": "anthropic"}
EVERY: Final = pytest.mark.parametrize("provider", PROVIDERS)
FAULTS: Final = [name for name in STEPS if not name.startswith("hold")]


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    """The provider."""
    with FaultServer() as made:
        yield made


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep keys, addresses and proxies of whoever runs the tests out of them."""
    for name in [name for name in os.environ if name.startswith(("OPENAI_", "ANTHROPIC_"))]:
        monkeypatch.delenv(name)
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """Everything that any logger says, down to DEBUG."""
    lines: list[str] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    kept, before = Kept(logging.NOTSET), logging.root.level
    logging.root.addHandler(kept)
    logging.root.setLevel(logging.DEBUG)
    yield lines
    logging.root.removeHandler(kept)
    logging.root.setLevel(before)


async def _astream(llm: Any) -> None:
    async for _ in llm.astream(ASKED):
        pass


def ask(llm: Any, how: str) -> None:
    """Ask in one of four ways."""
    if how == "complete":
        llm.complete(ASKED)
    elif how == "stream":
        list(llm.stream(ASKED))
    elif how == "acomplete":
        asyncio.run(llm.acomplete(ASKED))
    else:
        asyncio.run(_astream(llm))


def met(llm: Any, how: str) -> list[str]:
    """Ask, and return the error as `told` does; nothing where there is none.

    A reporter of errors collects the variables of every frame too, from here on down.
    """
    try:
        ask(llm, how)
    except LLMError as error:
        return told(error)
    return []


def unembedded(embedder: Embedder) -> list[str]:
    """Embed, and return the error, from here on down; nothing where there is none."""
    try:
        embedder.embed_documents(["The boat is at berth 14."])
    except EmbedderError as error:
        return told(error)
    return []


def told(error: CtxkitError) -> list[str]:
    """Return an error in every form in which it reaches a person; it is logged too."""
    logging.getLogger("application").error("it failed", exc_info=error)
    whole = traceback.TracebackException.from_exception(error, capture_locals=True)
    texts = [str(error), repr(error), repr(error.args), repr(vars(error)), "".join(whole.format())]
    return [*texts, repr(pickle.dumps(error))]


def check(texts: list[str]) -> None:
    """Check that no text holds the key or half of it; what is shown of one that does is where."""
    for text in texts:
        place = max(text.find(KEY), text.find(PART))
        if place >= 0:
            around = text[max(place - 300, 0) : place + 100].replace(KEY, "(the key)").replace(PART, "(half of it)")
            pytest.fail(f"the key stands in: {around}", pytrace=False)


@EVERY
@pytest.mark.parametrize("how", ["complete", "stream", "acomplete", "astream"])
def test_no_fault_shows_the_key(
    server: FaultServer, logged: list[str], capfd: pytest.CaptureFixture[str], provider: str, how: str
) -> None:
    """Every fault of a provider that repeats the key, seen in messages, tracebacks, variables, logs and output."""
    found: list[str] = []
    raised = 0
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        for fault in FAULTS:
            scenario = server.scenario(step(fault, repeat_key=True, gap=0.001))
            patience = 0.3 if fault.startswith("hang") else 30.0
            options: dict[str, Any] = {"api_key": KEY, "max_retries": 0, "timeout": patience}
            options["base_url"] = scenario.url(PROVIDERS[provider])
            with create_llm_adapter(provider, **options) as llm:
                told_so = met(llm, how)
                raised += bool(told_so)
                found += [*told_so, repr(llm), str(llm), f"{llm}"]
            assert {request.key for request in scenario.requests} == {KEY} or fault.startswith("hang")
    assert raised > len(FAULTS) / 2
    assert len(logged) > len(FAULTS), "nothing was logged"
    found += [*logged, *capfd.readouterr(), *(str(each.message) for each in warned)]
    check(found)


@EVERY
@pytest.mark.parametrize("source", ["key_file", "variable"])
def test_wherever_the_key_comes_from(
    server: FaultServer, logged: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, provider: str, source: str
) -> None:
    """A key out of a file or the environment is shown no more than one that was given, by good calls and bad ones."""
    scenario = server.scenario(*(step(fault, repeat_key=True) for fault in ("ok", "authentication", "reset", "page")))
    options: dict[str, Any] = {"base_url": scenario.url(PROVIDERS[provider]), "max_retries": 0}
    if source == "variable":
        monkeypatch.setenv(f"{provider.upper()}_API_KEY", KEY)
    else:
        options["key_file"] = tmp_path / "key"
        (tmp_path / "key").touch(mode=0o600)
        (tmp_path / "key").write_text(f"{KEY}\n")
    with create_llm_adapter(provider, **options) as llm:
        found = [text for _ in range(4) for text in met(llm, "complete")]
        found += [repr(llm), repr(vars(llm)), repr(llm._config)]  # type: ignore[attr-defined]  # where it might lie
        (tmp_path / "key").unlink(missing_ok=True)
        (tmp_path / "key").touch(mode=0o644)
        (tmp_path / "key").write_text(KEY)
        found += met(llm, "complete")
    assert [request.key for request in scenario.requests][:4] == [KEY] * 4
    assert len(found) > 18
    check([*found, *logged])


@pytest.mark.parametrize("fault", ["authentication", "bad_request", "rate_limited", "page", "reset", "hang"])
def test_no_failed_embedding_shows_the_key(server: FaultServer, logged: list[str], fault: str) -> None:
    """The errors of an embedder, with their causes and the variables of every frame, and the embedder itself."""
    scenario = server.scenario(then=step(fault, repeat_key=True))
    options = {"api_key": KEY, "base_url": scenario.url("openai"), "max_retries": 0, "dimension": 8, "timeout": 0.3}
    embedder = get_registry().create_embedder("openai", options)
    found = unembedded(embedder)
    embedder.close()
    assert scenario.requests[0].key == KEY
    assert len(found) > 1
    check([*found, repr(embedder), *logged])


def test_no_record_of_the_fault_server_shows_the_key(server: FaultServer, capsys: pytest.CaptureFixture[str]) -> None:
    """What the server saw may be printed, compared in a failed check, or saved as the table of faults."""
    scenario = server.scenario()
    with create_llm_adapter("openai", api_key=KEY, base_url=scenario.url("openai")) as llm:
        llm.complete(ASKED)
    [request] = scenario.requests
    assert (request.key, request.asked and request.asked.key) == (KEY, KEY)
    check([repr(request), repr(request.asked), repr(scenario), json.dumps(request.as_json())])
    subject = find_subject(PluginRegistry.discover(), "llm:openai", variant="chat")
    faults = ("authentication", "bad_request", "reset")
    rows = list(faults_table.meet(subject, "openai", server, only=faults))
    assert len(rows) == 12
    faults_table.print_faults(rows, [], 120)
    shown = [capsys.readouterr().out, json.dumps(faults_table.as_dict(rows, [])), repr(rows)]
    assert not [text for text in shown if "sk-conformance" in text]


def test_no_store_holds_the_key(server: FaultServer, tmp_path: Path, logged: list[str]) -> None:
    """A memory that was made with keys, and whose embedder failed in between, keeps none in its files."""
    scenario = server.scenario(step("ok"), step("authentication", repeat_key=True))
    config = Config(
        llm=LLMConfig.model_validate({"provider": "openai", "api_key": KEY}),
        embedder=EmbedderConfig.model_validate(
            {"provider": "openai", "api_key": KEY, "base_url": scenario.url("openai"), "dimension": 8, "max_retries": 0}
        ),
    )
    found = [repr(config), str(config), config.model_dump_json(), repr(config.llm), repr(config.embedder)]
    with ContextManager(config, path=tmp_path / "memory") as memory:
        for number in range(3):
            memory.observe(f"The boat is at berth {number}.", "Noted.")
        found += [memory.build_context("Where is the boat?"), repr(memory), json.dumps(memory.get_stats(), default=str)]
        found.append(repr(memory.debug_context_building("Where is the boat?")))
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    assert scenario.requests[0].key == KEY
    found += [*logged, *(path.read_bytes().decode("latin-1") for path in files)]
    check(found)


def test_no_configuration_error_shows_the_key() -> None:
    """A slip beside the key is told without it, in the message and in what caused it."""
    found: list[str] = []
    for options in (
        {"api_key": KEY, "timeout": "long"},
        {"api-key": KEY},
        {"model": 7, "api_key": KEY},
        {"base_url": f"https://user:{KEY}@host/v1"},
        {"timeout": KEY},
    ):
        for provider in PROVIDERS:
            with pytest.raises(CtxkitError) as caught:
                create_llm_adapter(provider, **options)
            found.append("".join(traceback.format_exception(caught.value)))
    assert len(found) == 10
    check(found)


def test_no_report_holds_a_key(tmp_path: Path) -> None:
    """The suite's own reports, in every form, and what it prints."""
    reports = [tmp_path / f"report.{kind}" for kind in ("json", "html", "md")]
    command = [sys.executable, "-m", "ctxkit", "conformance", "run", "llm:openai", "--variant", "chat", "-k"]
    files = [argument for name, path in zip(("json", "html", "markdown"), reports, strict=True) for argument in
             (f"--{name}", str(path))]  # fmt: skip
    done = subprocess.run(
        [*command, "key_is_in_no_error or wrong_key", *files], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout
    for text in (done.stdout, done.stderr, *(path.read_text() for path in reports)):
        assert not re.search(r"sk-conformance-[0-9a-f]{8}", text)
