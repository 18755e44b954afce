"""The checks of language model adapters: what is right passes, what is broken is killed by the check meant for it."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from ctxkit_conformance.llms import clauses
from ctxkit_conformance.llms.base import LLMChecks, bounded
from ctxkit_conformance.llms.completion import CompletionChecks
from ctxkit_conformance.llms.contract import LLMContract
from ctxkit_conformance.llms.retries import RetryChecks
from ctxkit_conformance.marks import Clause, NotApplicable, marks_of
from ctxkit_conformance.mutants.llm_bases import (
    HARMLESS_LLMS,
    Echo,
    LeavesTemperatureOut,
    OnlyCompletes,
    RefusesOptions,
    ToyAnthropic,
    ToyLLMConfig,
    ToyOpenAI,
)
from ctxkit_conformance.mutants.llms import LLMS

from ctxkit.errors import RateLimitedError
from ctxkit.interfaces import LLM, BackendConfig, LLMCapabilities

# Where a whole check would wait out its patience several times, one case of it is enough.
CASES: Final = {
    "AbandonedStreamsGoOn": "[closed]",
    "BlocksTheLoop": "[acomplete]",
    "WaitsForDays": "[complete]",
    "WaitsForEver": "[hang-complete]",
}
FILE: Final = """
from ctxkit_conformance.llms import base, loops, streams
from ctxkit_conformance.llms.contract import LLMContract
from ctxkit_conformance.mutants.llms import LLMS

for module in (base, loops, streams):  # most of the time would be spent on waiting for what never comes
    module.PATIENCE = 3.0

for each in LLMS:
    globals()[f"Test{each.__name__}"] = type(
        f"Test{each.__name__}",
        (LLMContract,),
        {"llm_class": each, "capabilities": getattr(each, "capabilities_of_spec", None), "__module__": __name__},
    )
"""
FIRST: Final = """
from ctxkit_conformance.llms.contract import LLMContract
from ctxkit_conformance.mutants.llm_bases import ToyOpenAI

class TestWithoutFormat(LLMContract):
    llm_class = type("Dumb", (ToyOpenAI,), {"wire_format": None})
"""
Outcomes = dict[str, dict[str, dict[str, set[str]]]]
RunChecks = Callable[..., tuple[Outcomes, str]]


class TestToyOpenAI(LLMContract):
    """An adapter of OpenAI's format on the standard library keeps the contract."""

    llm_class = ToyOpenAI

    def make_config(self, base_url: str, api_key: str) -> BackendConfig:
        """Return what an author would write here."""
        return ToyLLMConfig.model_validate({"base_url": base_url, "api_key": api_key})


class TestToyAnthropic(LLMContract):
    """An adapter of Anthropic's format keeps the contract."""

    llm_class = ToyAnthropic


class TestEcho(LLMContract):
    """An adapter that asks nobody keeps the contract, in which every fault then means that nobody is asked."""

    llm_class = Echo


class TestOnlyCompletes(LLMContract):
    """An adapter that leaves streams and event loops to the base class, and declares neither, keeps the contract."""

    llm_class = OnlyCompletes


class TestLeavesTemperatureOut(CompletionChecks):
    """A parameter may be left out, as long as that is said."""

    llm_class = LeavesTemperatureOut


class TestRefusesOptions(CompletionChecks):
    """An option may be refused, as long as it is named."""

    llm_class = RefusesOptions


def test_the_harmless_ones_are_all_tried() -> None:
    """No variant that has to pass is left out of this file."""
    here = {value for value in globals().values() if isinstance(value, type) and issubclass(value, LLMChecks)}
    assert {each.llm_class for each in here if "llm_class" in vars(each)} == set(HARMLESS_LLMS)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory, outcomes_of: RunChecks) -> Outcomes:
    """Return how each mutant fares in the check that is meant for it, run in a process of their own."""
    file = tmp_path_factory.mktemp("mutants") / "test_mutants.py"
    file.write_text(FILE, encoding="utf-8")
    targets = [
        f"{file}::Test{mutant.__name__}::test_{check}{CASES.get(mutant.__name__, '')}" for mutant, check in LLMS.items()
    ]
    return outcomes_of(file.parent, *targets)[0]


@pytest.mark.parametrize(("mutant", "check"), LLMS.items(), ids=[mutant.__name__ for mutant in LLMS])
def test_a_mutant_is_killed(outcomes: Outcomes, mutant: type[LLM], check: str) -> None:
    """The check that is meant for the fault fails; cases of it that the fault does not concern may pass."""
    assert set(outcomes[mutant.__name__]) == {check}
    found = outcomes[mutant.__name__][check]
    assert found.get("FAILED"), found
    assert set(found) <= {"FAILED", "PASSED"}, found


def test_an_adapter_of_another_format_is_told_what_is_missing(tmp_path: Path, outcomes_of: RunChecks) -> None:
    """Without a wire format no check can be made, and the reason says which word is missing where."""
    file = tmp_path / "test_first.py"
    file.write_text(FIRST, encoding="utf-8")
    _, printed = outcomes_of(tmp_path, f"{file}::TestWithoutFormat::test_model_is_the_one_that_answered")
    assert "names a wire_format, openai or anthropic" in printed


class _Incomplete(BackendConfig):
    base_url: str
    api_key: str

    def capabilities(self) -> LLMCapabilities:
        return LLMCapabilities()


def test_options_that_a_check_needs_are_asked_for() -> None:
    """A configuration without `max_retries` cannot show what it is for, and its author learns which name to add."""

    class Checks(RetryChecks):
        llm_class = ToyOpenAI

        def make_config(self, base_url: str, api_key: str) -> BackendConfig:
            return _Incomplete(base_url=base_url, api_key=api_key)

    checks = Checks()
    with pytest.raises(NotApplicable, match="_Incomplete has no option max_retries"):
        _provider_of(checks).config("http://127.0.0.1:9", max_retries=2)


def _provider_of(checks: LLMChecks) -> Any:
    from ctxkit_conformance.faults import FaultServer  # noqa: PLC0415
    from ctxkit_conformance.journal import Journal  # noqa: PLC0415
    from ctxkit_conformance.llms.base import Provider  # noqa: PLC0415

    with FaultServer() as server:
        return Provider(checks, server, "openai", "sk", checks.make_config("", "").capabilities(), Journal())


def test_a_class_that_says_nothing_is_told_what_to_say() -> None:
    """An author who forgets both ways of naming the adapter reads what they are."""

    class Checks(LLMContract):
        pass

    with pytest.raises((NotImplementedError, AttributeError)):
        Checks().make_config("http://127.0.0.1:9", "sk")


def test_a_call_that_never_ends_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """The suite outlives an adapter that hangs."""
    import threading  # noqa: PLC0415

    monkeypatch.setattr("ctxkit_conformance.llms.base.PATIENCE", 0.05)
    release = threading.Event()
    with pytest.raises(pytest.fail.Exception, match="the call did not end"):
        bounded(release.wait)
    release.set()


def _checks() -> Iterator[tuple[str, Any]]:
    for name in dir(LLMContract):
        marks = marks_of(LLMContract, getattr(LLMContract, name)) if name.startswith("test_") else None
        if marks is not None:
            yield name, marks


def test_every_check_says_what_it_is() -> None:
    """A check belongs to the tier L, covers a clause, and tells what its failure costs a user."""
    found = dict(_checks())
    assert set(found) == {name for name in dir(LLMContract) if name.startswith("test_")}
    for name, marks in found.items():
        assert marks.tier == "L", name
        assert marks.clauses, name
        assert marks.meaning.startswith("A failure means that "), name


def test_every_clause_is_covered() -> None:
    """No sentence of the contract is without a check, and each has a name of its own."""
    written = [clause for clause in vars(clauses).values() if isinstance(clause, Clause)]
    covered = {clause for _, marks in _checks() for clause in marks.clauses}
    assert covered == set(written)
    assert len({clause.name for clause in written}) == len(written)
    assert all(clause.name.startswith("llm-") for clause in written)


def test_the_wait_crosses_process_boundaries() -> None:
    """A worker's RateLimitedError still says how long to wait."""
    error = pickle.loads(pickle.dumps(RateLimitedError("busy.", fix="wait.", retry_after=2.5)))  # noqa: S301 - our own
    assert (str(error), error.retry_after) == ("busy. Fix: wait.", 2.5)
