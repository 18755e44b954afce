"""The suite is worth what it can notice: every mutant is killed by the check that is meant for it."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ctxkit_conformance import selftest
from ctxkit_conformance.marks import checks_of
from ctxkit_conformance.mutants import catalogue, session
from ctxkit_conformance.mutants.catalogue import Specimen
from ctxkit_conformance.selftest import SelftestResult

from ctxkit.errors import ConfigError, CtxkitError

MUTANTS = catalogue.mutants()
# The first mutant of each module whose checks take no time to speak of.
SAMPLE = list({each.component.__module__: each.name for each in reversed(MUTANTS) if each.everyday}.values())

Trying = Callable[..., SelftestResult]

ODD_STORES = """
import os, time
from ctxkit.defaults.exact import ExactStore

class NothingIsWrong(ExactStore):
    "Has no defect at all."

class DiesAtOnce(ExactStore):
    "Takes the process along."
    def count(self, where=None):
        os._exit(3)

class NeverAnswers(ExactStore):
    "Waits for ever."
    def count(self, where=None):
        time.sleep(600)

class HasABug(ExactStore):
    "Is itself not sound."
    def count(self, where=None):
        return self.no_such_attribute

class CannotBeOpened(ExactStore):
    "Fails before any check begins."
    @classmethod
    def open(cls, spec, config):
        raise AssertionError("not in a check")

class RaisesItsOwn(ExactStore):
    "Raises what it says it raises."
    leaks = (LookupError,)
    def count(self, where=None):
        raise KeyError("x")
"""


@pytest.fixture
def trying(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Trying]:
    """A function that tries stores of ODD_STORES as mutants, one check for each, or as harmless ones."""
    (tmp_path / "odd_stores.py").write_text(ODD_STORES, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    module = importlib.import_module("odd_stores")

    def specimen(name: str, check: str | None) -> Specimen:
        return Specimen("vector_store", getattr(module, name), check)

    def run(mutants: dict[str, str], harmless: tuple[str, ...] = (), **options: Any) -> SelftestResult:
        monkeypatch.setattr(catalogue, "mutants", lambda: [specimen(*pair) for pair in mutants.items()])
        monkeypatch.setattr(catalogue, "harmless", lambda: [specimen(name, None) for name in harmless])
        return selftest.run(**options)

    yield run
    del sys.modules["odd_stores"]


def verdicts(result: SelftestResult) -> dict[str, str]:
    """Return what became of each mutant, by the name of its class."""
    return {fate.name.partition(".")[2]: fate.verdict for fate in result.fates}


def test_every_mutant_is_described() -> None:
    """Names, and the sentences that tell a user what each defect is, are there and no two alike."""
    stores = [each for each in MUTANTS if each.kind == "vector_store"]
    assert len(stores) >= 60
    assert {each.kind for each in MUTANTS} == {"vector_store", "embedder", "tokenizer", "llm"}
    assert len({each.key for each in MUTANTS}) == len({each.name for each in MUTANTS}) == len(MUTANTS)
    for kind in {each.kind for each in MUTANTS}:
        defects = [each.defect for each in MUTANTS if each.kind == kind]
        assert all(defect.endswith(".") for defect in defects)
        assert len(set(defects)) == len(defects)
    assert all(each.component.__doc__ for each in MUTANTS), "a docstring of its own, not that of its base"


def test_every_mutant_names_a_check() -> None:
    """Each names a check that the contract of its kind has, of which no two are called alike."""
    for kind in {each.kind for each in MUTANTS}:
        of_kind = [each for each in MUTANTS if each.kind == kind]
        known = set(checks_of(of_kind[0].contract()))
        assert {each.check for each in of_kind} <= known


def test_there_are_harmless_variants() -> None:
    """At least six stores differ from the exact one and are right, and each kind has some."""
    harmless = catalogue.harmless()
    assert len([each for each in harmless if each.kind == "vector_store"]) >= 6
    assert {each.kind for each in harmless} == {each.kind for each in MUTANTS}
    assert len({each.key for each in [*harmless, *MUTANTS]}) == len(harmless) + len(MUTANTS)


def test_a_sample_is_killed() -> None:
    """One mutant of each everyday module is killed, and the store from which it derives passes the same checks."""
    told: list[tuple[int, int, str]] = []
    result = selftest.run(SAMPLE, progress=lambda *each: told.append(each))
    assert result.survivors == ()
    assert result.false_alarms == ()
    assert result.ok
    assert sorted(fate.name for fate in result.fates) == sorted(SAMPLE)
    assert [(each.name, each.variant) for each in result.bystanders] == [
        ("exact.ExactStore", "in memory"),
        ("exact.ExactStore", "on disk"),
    ]
    assert all(fate.message and fate.seconds > 0 for fate in result.fates)
    assert {name for _, _, name in told} == {*SAMPLE, "exact.ExactStore"}
    assert all(0 <= done <= total == len(SAMPLE) + 2 for done, total, _ in told)


def test_what_is_not_caught_is_told(trying: Trying) -> None:
    """A mutant is killed by a failed check alone: not by a bug of its own, a fixture, or a check that is not there."""
    result = trying(
        {
            "NothingIsWrong": "get_is_aligned",
            "HasABug": "get_many",
            "CannotBeOpened": "get_is_aligned",
            "RaisesItsOwn": "empty_store_answers",
        }
    )
    assert verdicts(result) == {
        "NothingIsWrong": "survived",
        "HasABug": "survived",
        "CannotBeOpened": "broken",
        "RaisesItsOwn": "killed",
    }
    result = trying({"HasABug": "empty_store_answers", "NothingIsWrong": "no_such_check"})
    assert verdicts(result) == {"HasABug": "broken", "NothingIsWrong": "survived"}
    assert not result.ok
    assert "AttributeError" in result.fates[0].message
    assert result.fates[1].message == "there is no check of that name"


def test_a_mutant_that_dies_takes_nobody_along(trying: Trying) -> None:
    """A process that dies or hangs is laid at the door of one mutant; the others are tried all the same."""
    mutants = dict.fromkeys(("DiesAtOnce", "NeverAnswers", "RaisesItsOwn"), "empty_store_answers")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "CASE_TIMEOUT", 20.0)
        result = trying(mutants)
    assert verdicts(result) == {"DiesAtOnce": "crashed", "NeverAnswers": "hung", "RaisesItsOwn": "killed"}
    assert result.false_alarms == ()


def test_a_false_alarm_is_told(trying: Trying) -> None:
    """What is said to be harmless and fails makes the self-test fail, and is named with the check."""
    result = trying({"RaisesItsOwn": "empty_store_answers"}, harmless=("NothingIsWrong", "HasABug"))
    assert [alarm.name for alarm in result.false_alarms] == ["odd_stores.HasABug"]
    assert list(result.false_alarms[0].failures) == ["empty_store_answers"]
    assert not result.ok


def test_nothing_is_not_enough(trying: Trying) -> None:
    """Without a mutant, without a component that is right, or with an unknown name there is no good result."""
    assert not SelftestResult((), (), 0.0).ok
    for names in ([], ["nobody.Nothing"]):
        with pytest.raises(ConfigError):
            trying({"RaisesItsOwn": "empty_store_answers"}, names=names)


def test_a_contract_that_cannot_be_collected_is_an_error(trying: Trying, monkeypatch: pytest.MonkeyPatch) -> None:
    """When no check can be run at all, that is told as an error, not as mutants that survived."""
    with monkeypatch.context() as patch:
        patch.setattr(session, "SETTINGS", "[pytest]\nnot_an_option = 1\naddopts = --no-such-option\n")
        with pytest.raises(CtxkitError, match="no-such-option"):
            trying({"RaisesItsOwn": "empty_store_answers"})


def test_the_table_shows_what_went_wrong_first(trying: Trying, capsys: pytest.CaptureFixture[str]) -> None:
    """The table begins with false alarms and survivors, and its last line counts."""
    result = trying(
        {"RaisesItsOwn": "empty_store_answers", "NothingIsWrong": "get_is_aligned"}, harmless=("CannotBeOpened",)
    )
    selftest.print_table(result)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("FALSE ALARM  odd_stores.CannotBeOpened")
    order = [next(i for i, line in enumerate(lines) if name in line) for name in ("NothingIsWrong", "RaisesItsOwn")]
    assert order == sorted(order)
    assert lines[-1].startswith("1 of 2 mutants killed, 1 of 2 harmless components passed")


def test_the_result_is_json(trying: Trying) -> None:
    """The result can be written as JSON, with its schema and its verdict."""
    result = trying({"RaisesItsOwn": "empty_store_answers"})
    values = json.loads(json.dumps(result.as_dict()))
    assert (values["schema"], values["ok"], values["everything"]) == (selftest.SCHEMA, True, False)
    assert [mutant["verdict"] for mutant in values["mutants"]] == ["killed"]
    assert [each["failures"] for each in values["harmless"]] == [{}]


@pytest.mark.slow
def test_every_mutant_is_killed() -> None:
    """Every mutant of every kind fails the check that is meant for it, and nothing that is right fails."""
    result = selftest.run()
    assert [(fate.name, fate.verdict, fate.message) for fate in result.survivors] == []
    assert [(alarm.name, alarm.failures) for alarm in result.false_alarms] == []
    assert len(result.fates) == len(MUTANTS)


@pytest.mark.slow
def test_harmless_variants_pass_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is merely different passes its whole contract, and so does what the mutants derive from."""
    one_each = {(each.kind, each.on_disk): each for each in MUTANTS}
    monkeypatch.setattr(catalogue, "mutants", lambda: list(one_each.values()))
    result = selftest.run(everything=True)
    assert [(alarm.name, alarm.variant, alarm.failures) for alarm in result.false_alarms] == []
    assert len(result.bystanders) >= len(catalogue.harmless())
    assert min(each.checks for each in result.bystanders) > 20


@pytest.mark.slow
def test_a_defect_shows_where_it_is() -> None:
    """Through the whole contract a mutant fails its own check and passes most others."""
    result = selftest.run(SAMPLE[::3], everything=True)
    assert result.survivors == ()
    most = next(each.checks for each in result.bystanders)
    for fate in result.fates:
        assert len(fate.also) < most / 2, (fate.name, fate.also)
