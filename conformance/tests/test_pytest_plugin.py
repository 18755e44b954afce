"""The suite inside pytest: by the name of a component, and as three lines in an author's own file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HOSTILE = str(Path(__file__).with_name("hostile_backends.py"))
THREE_LINES = """
from ctxkit_conformance import VectorStoreContract

class TestExact(VectorStoreContract):
    component = "exact"
"""


def run_pytest(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run pytest in a folder, in another process, with the options of nobody else."""
    ours = ("COVERAGE_", "COV_CORE_", "PYTEST_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=environment)


def test_by_name(tmp_path: Path) -> None:
    """The checks of an installed component run without a file of one's own, and a tier alone."""
    done = run_pytest(
        tmp_path, "--pyargs", "ctxkit_conformance", "--ctxkit-backend", "vector_store:exact", "--ctxkit-tier", "T5"
    )
    assert done.returncode == 0, done.stdout
    assert " passed, " in done.stdout
    assert "skipped" not in done.stdout


def test_three_lines(tmp_path: Path) -> None:
    """An author's file needs the name of the component and nothing else."""
    (tmp_path / "test_mine.py").write_text(THREE_LINES, encoding="utf-8")
    done = run_pytest(tmp_path, "-k", "law_of_k or scores_by_hand")
    assert done.returncode == 0, done.stdout
    assert "failed" not in done.stdout


def test_a_failure_shows_the_contract_and_the_calls(tmp_path: Path) -> None:
    """Beside pytest's own comparison stand the sentence, the advice, and what was called."""
    where = ("--pyargs", "ctxkit_conformance", "--ctxkit-plugin", HOSTILE)
    done = run_pytest(tmp_path, *where, "--ctxkit-backend", "vector_store:stub", "-k", "get_is_aligned")
    assert done.returncode == 1
    assert "contract: get" in done.stdout
    assert "get answers in the order of the ids" in done.stdout
    assert "What to do: " in done.stdout
    assert "store.get(['b', 'x', 'a', 'b', ''])  # [None, None, None, None, None]" in done.stdout
    assert "AssertionError: assert [None" in done.stdout


def test_a_skip_is_a_failure(tmp_path: Path) -> None:
    """A component cannot leave a check."""
    where = ("--pyargs", "ctxkit_conformance", "--ctxkit-plugin", HOSTILE)
    done = run_pytest(tmp_path, *where, "--ctxkit-backend", "vector_store:skips", "-k", "get_is_aligned")
    assert done.returncode == 1
    assert "A check cannot be skipped" in done.stdout


def test_the_suite_without_a_component_says_what_it_needs(tmp_path: Path) -> None:
    """Nothing that is examined is no green run."""
    done = run_pytest(tmp_path, "--pyargs", "ctxkit_conformance")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "--ctxkit-backend KIND:NAME" in done.stderr


def test_known_failures_of_an_authors_file(tmp_path: Path) -> None:
    """A class can name the file; what it excuses is shown as an expected failure."""
    (tmp_path / "known.toml").write_text(
        '[[known]]\ncomponent = "vector_store:exact"\ncheck = "law_of_k"\nreason = "r"\nlink = "https://example.org"\n',
        encoding="utf-8",
    )
    (tmp_path / "test_mine.py").write_text(THREE_LINES + '    known_failures = "known.toml"\n', encoding="utf-8")
    done = run_pytest(tmp_path, "-k", "law_of_k and not async")
    assert done.returncode == 1
    assert "it is known to fail (r, https://example.org): take the entry out" in done.stdout


def test_other_tests_are_left_alone(tmp_path: Path) -> None:
    """A session that has nothing to do with components is as it was: skips are skips."""
    source = (
        "import pytest\n\nclass TestOwn:\n    def test_one(self): pass\n    def test_two(self): pytest.skip('later')\n"
    )
    (tmp_path / "test_own.py").write_text(source, encoding="utf-8")
    done = run_pytest(tmp_path)
    assert done.returncode == 0
    assert "1 passed, 1 skipped" in done.stdout
