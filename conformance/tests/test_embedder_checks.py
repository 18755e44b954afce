"""The checks of embedders: what is right passes, what is broken is killed by the check that is meant for it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from ctxkit_conformance.embedders import clauses
from ctxkit_conformance.embedders.base import cosines, distances
from ctxkit_conformance.embedders.contract import EmbedderContract
from ctxkit_conformance.embedders.triples import SHARE, TRIPLES
from ctxkit_conformance.marks import Clause, checks_of
from ctxkit_conformance.mutants.embedders import EMBEDDERS, HARMLESS_EMBEDDERS

FILE = """
from ctxkit_conformance.mutants.embedders import EMBEDDERS, HARMLESS_EMBEDDERS, embedder_contract

for each in [*EMBEDDERS, *HARMLESS_EMBEDDERS]:
    globals()[f"Test{each.__name__}"] = embedder_contract(each)
"""
OUTCOME = re.compile(r"^(PASSED|FAILED|ERROR|SKIPPED|XFAIL|XPASS)\b.*?::Test(\w+)::test_(\w+)", re.MULTILINE)
Outcomes = dict[str, dict[str, set[str]]]


class TestStatic(EmbedderContract):
    """The embedder of the default installation keeps the contract."""

    component = "static"


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    """Return how each mutant fares in its check and each harmless variant in all, run in a process of their own."""
    file = tmp_path_factory.mktemp("mutants") / "test_mutants.py"
    file.write_text(FILE, encoding="utf-8")
    targets = [f"{file.name}::Test{mutant.__name__}::test_{check}" for mutant, check in EMBEDDERS.items()]
    targets += [f"{file.name}::Test{harmless.__name__}" for harmless in HARMLESS_EMBEDDERS]
    command = [sys.executable, "-m", "pytest", "-q", "-rA", "--tb=no", "-p", "no:cacheprovider", *targets]
    ours = ("COVERAGE_", "COV_CORE_", "PYTEST_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    run = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=file.parent)
    assert run.returncode == 1, run.stdout + run.stderr
    found: Outcomes = {}
    for outcome, embedder, check in OUTCOME.findall(run.stdout):
        found.setdefault(embedder, {}).setdefault(outcome, set()).add(check)
    return found


@pytest.mark.parametrize(("mutant", "check"), EMBEDDERS.items(), ids=[mutant.__name__ for mutant in EMBEDDERS])
def test_a_mutant_is_killed(outcomes: Outcomes, mutant: type, check: str) -> None:
    """The check that is meant for the fault fails, by its own assertions."""
    assert outcomes[mutant.__name__].get("FAILED") == {check}
    assert set(outcomes[mutant.__name__]) <= {"FAILED", "PASSED"}, "parameters that the fault does not concern may pass"


@pytest.mark.parametrize("harmless", HARMLESS_EMBEDDERS, ids=lambda each: each.__name__)
def test_a_harmless_variant_passes(outcomes: Outcomes, harmless: type) -> None:
    """What is merely unusual passes every check, and none is skipped."""
    assert outcomes[harmless.__name__] == {"PASSED": set(checks_of(EmbedderContract))}


def test_every_check_says_what_it_is() -> None:
    """A check belongs to the tier E, covers a clause, and tells what its failure costs a user."""
    for name, marks in checks_of(EmbedderContract).items():
        assert marks.tier == "E", name
        assert marks.clauses, name
        assert marks.meaning.startswith("A failure means that "), name


def test_every_clause_is_covered() -> None:
    """No sentence of the contract is without a check, and each has a name of its own."""
    written = [clause for clause in vars(clauses).values() if isinstance(clause, Clause)]
    covered = {clause for marks in checks_of(EmbedderContract).values() for clause in marks.clauses}
    assert covered == set(written)
    assert all(clause.name.startswith("embedder-") for clause in written)
    assert len({clause.name for clause in written}) == len(written)


def test_words_alone_do_not_find_the_paraphrases() -> None:
    """The triples cannot be told by the words that sentences share: that would pass an embedder without meaning."""
    vocabulary = sorted({word for triple in TRIPLES for text in triple for word in _words(text)})
    sides = [np.array([[_words(triple[side])[word] for word in vocabulary] for triple in TRIPLES]) for side in range(3)]
    share = float(np.mean(cosines(sides[0], sides[1]) > cosines(sides[0], sides[2])))
    assert share < SHARE / 4
    assert len({text for triple in TRIPLES for text in triple}) == 3 * len(TRIPLES) >= 90


def _words(text: str) -> Counter[str]:
    return Counter(re.findall(r"\w+", text.casefold()))


def test_distances_are_relative_and_never_blind() -> None:
    """NaN is infinitely far from everything, zero is no distance from zero, and length plays no part."""
    one = np.array([[3.0, 4.0], [0.0, 0.0], [np.nan, 1.0], [3e6, 4e6]], np.float32)
    other = np.array([[3.0, 3.0], [0.0, 0.0], [np.nan, 1.0], [3e6, 3e6]], np.float32)
    assert distances(one, other).tolist() == pytest.approx([0.2, 0.0, np.inf, 0.2])
