"""The table of faults: an adapter that keeps the contract is all right in it, and one that does not is shown."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from ctxkit_conformance.faults import STEPS, FaultServer
from ctxkit_conformance.llms.base import HOW
from ctxkit_conformance.llms.faults_table import EXPECTED, NOBODY, as_dict, meet, print_faults, wait, wire_of
from ctxkit_conformance.mutants.llm_bases import ToyOpenAI
from ctxkit_conformance.subject import Subject, find_subject

from ctxkit.hookspecs import hookimpl
from ctxkit.interfaces import BackendSpec, LLMCapabilities
from ctxkit.plugins import PluginRegistry

_BASES = "ctxkit_conformance.mutants.llm_bases"


class Plugin:
    """Announces an adapter that keeps the contract, and one that asks nobody."""

    @hookimpl
    def ctxkit_llms(self) -> list[BackendSpec]:
        """Return both."""
        made = {"toy": ("ToyOpenAI", "ToyLLMConfig"), "echo": ("Echo", "EchoConfig")}
        return [
            BackendSpec(
                name=name,
                factory=f"{_BASES}:{factory}",
                config=f"{_BASES}:{config}",
                capabilities=LLMCapabilities(),
                summary="for a test",
            )
            for name, (factory, config) in made.items()
        ]


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    """The provider."""
    with FaultServer() as made:
        yield made


def subject(name: str) -> Subject:
    """Return one of the two."""
    registry = PluginRegistry()
    registry.register(Plugin(), name="tables")
    return find_subject(registry, f"llm:{name}")


def test_every_fault_of_the_server_has_a_line() -> None:
    """A step that is added to the server cannot be forgotten here; those that wait to be released are for tests."""
    assert set(EXPECTED) == {name for name in STEPS if not name.startswith("hold")} | {NOBODY}


def test_who_asks_nobody_has_no_line() -> None:
    """An adapter without a provider has no format, and so no faults."""
    assert (wire_of(subject("toy")), wire_of(subject("echo"))) == ("openai", None)


def test_a_sound_adapter_and_a_broken_one(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each fault is met in each way; a raw error, a wrong one and a key in a message are all wrong, and shown."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    kinds = {"ok": "answers", "unavailable": "ProviderUnavailableError", "hang": "ProviderTimeoutError"}
    monkeypatch.setattr("ctxkit_conformance.llms.faults_table.EXPECTED", kinds)
    met = list(meet(subject("toy"), "openai", server))
    assert [(each.fault, each.how) for each in met] == [(fault, how) for fault in kinds for how in HOW]
    assert all(each.ok for each in met)
    waited = list(wait(subject("toy"), "openai", server))
    assert all(each.seconds >= each.asked for each in waited)
    print_faults(met, waited, 120)
    assert "12 of 12 are as they have to be" in capsys.readouterr().out

    def complete(*_arguments: object, **_options: object) -> None:
        raise ZeroDivisionError("sk-conformance-faults-table")

    monkeypatch.setattr(ToyOpenAI, "complete", complete)
    broken = list(meet(subject("toy"), "openai", server))
    assert [each.how for each in broken if not each.ok] == ["complete"] * 3
    assert not as_dict(broken, [])["ok"]
    print_faults(broken, [], 120)
    assert "builtins.ZeroDivisionError" in capsys.readouterr().out


def test_a_call_that_never_ends_is_a_line_too(server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """An adapter that hangs spoils its own line, and not the table."""
    released = threading.Event()
    monkeypatch.setattr("ctxkit_conformance.llms.base.PATIENCE", 0.2)
    monkeypatch.setattr(ToyOpenAI, "complete", lambda *_arguments, **_options: released.wait(30))
    found = next(meet(subject("toy"), "openai", server, only=["ok"]))
    released.set()
    assert (found.how, found.found, found.ok) == ("complete", "does not end", False)
