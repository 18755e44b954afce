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

from ctxkit import Config, ContextManager, EmbedderConfig, LLMConfig
from ctxkit.errors import CtxkitError, LLMError
from ctxkit.llm.adapters import create_llm_adapter

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
    """Ask, and return the error in every form in which it reaches a person; nothing where there is none.

    A reporter of errors collects the variables of every frame too, from here on down.
    """
    try:
        ask(llm, how)
    except LLMError as error:
        logging.getLogger("application").exception("it failed")
        told = traceback.TracebackException.from_exception(error, capture_locals=True)
        texts = [str(error), repr(error), repr(error.args), repr(vars(error)), "".join(told.format())]
        return [*texts, repr(pickle.dumps(error))]
    return []


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
                told = met(llm, how)
                raised += bool(told)
                found += [*told, repr(llm), str(llm), f"{llm}"]
            assert {request.key for request in scenario.requests} == {KEY} or fault.startswith("hang")
    assert raised > len(FAULTS) / 2
    assert len(logged) > len(FAULTS), "nothing was logged"
    found += [*logged, *capfd.readouterr(), *(str(each.message) for each in warned)]
    check(found)


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
