"""The checks of tokenizers: what is right passes, what is broken is killed by the check that is meant for it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence

import pytest
from ctxkit_conformance.marks import Clause, checks_of
from ctxkit_conformance.mutants.tokenizer_bases import Guess, GuessesHigher, longest
from ctxkit_conformance.mutants.tokenizers import HARMLESS_TOKENIZERS, TOKENIZERS
from ctxkit_conformance.tokenizers import clauses
from ctxkit_conformance.tokenizers.base import Side
from ctxkit_conformance.tokenizers.contract import TokenizerContract
from ctxkit_conformance.tokenizers.corpus import corpus, kinds
from tiktoken_vocab import encodings, real_counts

from ctxkit.errors import TokenizerError
from ctxkit.interfaces import BackendConfig, Tokenizer, TokenizerCapabilities

FILE = """
from ctxkit_conformance.mutants.tokenizers import HARMLESS_TOKENIZERS, TOKENIZERS, tokenizer_contract

for each in [*TOKENIZERS, *HARMLESS_TOKENIZERS]:
    globals()[f"Test{each.__name__}"] = tokenizer_contract(each)
"""
OUTCOME = re.compile(r"^(PASSED|FAILED|ERROR|SKIPPED|XFAIL|XPASS)\b.*?::Test(\w+)::test_(\w+)", re.MULTILINE)
# These count with the core's estimator, whose endurance TestEstimate tries.
GUESSES = (Guess, GuessesHigher)
ENDURANCE = "long_text_ends"
Outcomes = dict[str, dict[str, set[str]]]


class TiktokenConfig(BackendConfig):
    """Which vocabulary."""

    vocabulary: str = "o200k_base"

    def capabilities(self) -> TokenizerCapabilities:
        """Declare what tiktoken can do."""
        return TokenizerCapabilities(exact=True, encodes=True)


class TiktokenTokenizer(Tokenizer):
    """A thin face over tiktoken."""

    def __init__(self, config: TiktokenConfig) -> None:
        self._name = config.vocabulary
        self._encoding = encodings()[config.vocabulary]

    @property
    def name(self) -> str:
        """The vocabulary."""
        return self._name

    @property
    def exact(self) -> bool:
        """These are the model's own tokens."""
        return True

    @property
    def concatenation_bound(self) -> int:
        """As the estimator's."""
        return 16

    def count(self, text: str) -> int:
        """Count the ids."""
        return len(self.encode(text))

    def encode(self, text: str) -> list[int]:
        """Encode, special tokens being plain text; tiktoken's expression gives up on a megabyte of blanks."""
        try:
            return self._encoding.encode(text, disallowed_special=())
        except ValueError:
            middle = len(text) // 2
            return self.encode(text[:middle]) + self.encode(text[middle:])

    def decode(self, ids: Sequence[int]) -> str:
        """Decode, and refuse what is no id."""
        try:
            return self._encoding.decode(ids, errors="strict")
        except (KeyError, OverflowError, UnicodeDecodeError) as error:
            raise TokenizerError(f"these are no ids of text: {error}.", fix="pass what encode returned.") from error

    def truncate(self, text: str, max_tokens: int, side: Side = "right") -> str:
        """Search for the longest part that fits."""
        if max_tokens < 0 or side not in {"left", "right"}:
            raise TokenizerError("this cannot be cut.", fix="give 0 or more, and a side.")

        def part(size: int) -> str:
            return text[:size] if side == "right" else text[len(text) - size :]

        return part(longest(len(text), lambda size: self.count(part(size)) <= max_tokens))


class TestEstimate(TokenizerContract):
    """The tokenizer of the core keeps the contract."""

    component = "estimate"


class TestTiktoken(TokenizerContract):
    """An exact tokenizer with ids keeps the contract."""

    tokenizer_class = TiktokenTokenizer

    def make_config(self) -> TiktokenConfig:
        """Return the default configuration."""
        return TiktokenConfig()


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    """Return how each mutant fares in its check and each harmless variant in all, run in a process of their own."""
    file = tmp_path_factory.mktemp("mutants") / "test_mutants.py"
    file.write_text(FILE, encoding="utf-8")
    targets = [f"{file.name}::Test{mutant.__name__}::test_{check}" for mutant, check in TOKENIZERS.items()]
    targets += [f"{file.name}::Test{harmless.__name__}" for harmless in HARMLESS_TOKENIZERS]
    targets += [f"--deselect={file.name}::Test{guess.__name__}::test_{ENDURANCE}" for guess in GUESSES]
    command = [sys.executable, "-m", "pytest", "-q", "-rA", "--tb=no", "-p", "no:cacheprovider", *targets]
    ours = ("COVERAGE_", "COV_CORE_", "PYTEST_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    run = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=file.parent)
    assert run.returncode == 1, run.stdout + run.stderr
    found: Outcomes = {}
    for outcome, tokenizer, check in OUTCOME.findall(run.stdout):
        found.setdefault(tokenizer, {}).setdefault(outcome, set()).add(check)
    return found


@pytest.mark.parametrize(("mutant", "check"), TOKENIZERS.items(), ids=[mutant.__name__ for mutant in TOKENIZERS])
def test_a_mutant_is_killed(outcomes: Outcomes, mutant: type, check: str) -> None:
    """The check that is meant for the fault fails, by its own assertions."""
    assert outcomes[mutant.__name__].get("FAILED") == {check}
    assert set(outcomes[mutant.__name__]) <= {"FAILED", "PASSED"}, "parameters that the fault does not concern may pass"


@pytest.mark.parametrize("harmless", HARMLESS_TOKENIZERS, ids=lambda each: each.__name__)
def test_a_harmless_variant_passes(outcomes: Outcomes, harmless: type) -> None:
    """What is merely unusual passes every check, and none is skipped."""
    left_out = {ENDURANCE} if harmless in GUESSES else set()
    assert outcomes[harmless.__name__] == {"PASSED": set(checks_of(TokenizerContract)) - left_out}


def test_every_check_says_what_it_is() -> None:
    """A check belongs to the tier K, covers a clause, and tells what its failure costs a user."""
    for name, marks in checks_of(TokenizerContract).items():
        assert marks.tier == "K", name
        assert marks.clauses, name
        assert marks.meaning.startswith("A failure means that "), name


def test_every_clause_is_covered() -> None:
    """No sentence of the contract is without a check, and each has a name of its own."""
    written = [clause for clause in vars(clauses).values() if isinstance(clause, Clause)]
    covered = {clause for marks in checks_of(TokenizerContract).values() for clause in marks.clauses}
    assert covered == set(written)
    assert all(clause.name.startswith("tokenizer-") for clause in written)
    assert len({clause.name for clause in written}) == len(written)


def test_the_counts_of_the_corpus_are_true() -> None:
    """What estimates are judged by is what tiktoken counts."""
    for each in corpus():
        assert each.counts == real_counts(each.text), each.name


def test_the_corpus_is_wide_enough() -> None:
    """There is enough of each kind to mean something, and it stays small enough to ship."""
    assert kinds() == ["English", "code", "emoji", "other scripts", "signs", "white space"]
    of_kind = {kind: [each for each in corpus() if each.kind == kind] for kind in kinds()}
    assert all(len(found) >= 5 for found in of_kind.values())
    assert all(sum(len(each.text) for each in of_kind[kind]) > 8_000 for kind in ("English", "code"))
    assert sum(len(each.text.encode()) for each in corpus()) < 60_000
    assert any("\u4e00" <= character <= "\u9fff" for each in corpus() for character in each.text)
    assert len({each.text for each in corpus()}) == len(corpus())
