"""A run by name: what becomes of each check, also of those that crash, hang, skip, or are known to fail."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ctxkit_conformance.results import SubjectResult
from ctxkit_conformance.runner import RunRequest, run_subject

from ctxkit.errors import ConfigError, PluginNotFoundError

HOSTILE = str(Path(__file__).with_name("hostile_backends.py"))


def run(target: str, expression: str = "", **more: object) -> SubjectResult:
    """Run the checks that an expression chooses."""
    request = RunRequest(target=target, expression=expression, plugins=(HOSTILE,), **more)  # type: ignore[arg-type]
    return run_subject(request)


def outcomes(result: SubjectResult) -> dict[str, str]:
    """Return what became of each check, by name."""
    return {check.name: check.outcome for check in result.checks}


def test_a_sound_store_passes() -> None:
    """The checks of one tier pass, each with its meaning and its clause; a part of them grants no level."""
    result = run("vector_store:exact", tiers=("T2",))
    assert result.ok
    assert {check.tier for check in result.checks} == {"T2"}
    assert set(outcomes(result).values()) == {"passed"}
    assert all(check.meaning.startswith("A failure means") and check.clauses for check in result.checks)
    assert (result.level, result.level_reason) == (None, "only part of the checks ran: tier T2")


def test_capabilities_are_those_of_the_configuration_that_ran() -> None:
    """The report shows what the examined configuration declares, not the default of the announcement."""
    expression = "get_is_aligned or close_and_reopen"
    assert run("vector_store:exact", expression).capabilities["persistent"] is True
    in_memory = run("vector_store:exact", expression, options=("path=null",))
    assert in_memory.capabilities["persistent"] is False
    assert in_memory.config == {"path": None}
    assert run("vector_store:exact", expression, variant="in memory").capabilities == in_memory.capabilities


@pytest.mark.parametrize("target", ["vector_store:skips", "vector_store:raises", "vector_store:stub"])
def test_doing_nothing_earns_nothing(target: str) -> None:
    """A store that skips, refuses or forgets everything fails most checks and gets no level."""
    result = run(target, tiers=("T1", "T2"))
    found = outcomes(result)
    assert not result.ok
    assert result.level is None
    assert sum(outcome == "failed" for outcome in found.values()) > len(found) / 2
    assert "not_applicable" not in found.values()


def test_a_crash_names_its_check_and_spares_the_others() -> None:
    """A native crash is one check's failure with the place where it died; the next checks still run."""
    result = run("vector_store:crashes", "law_of_k or results_are_hits or get_is_aligned or min_score")
    found = outcomes(result)
    assert found == {
        "get_is_aligned": "passed",
        "law_of_k": "crashed",
        "min_score_is_inclusive": "crashed",
        "results_are_hits": "crashed",
    }
    case = next(check for check in result.checks if check.name == "law_of_k").cases[0]
    assert "SIGSEGV" in case.message
    assert "hostile_backends.py" in case.message


def test_a_hang_ends() -> None:
    """A check that never ends is stopped, with what every thread was doing, and the others run."""
    result = run("vector_store:hangs", "get_is_aligned or results_are_hits", check_timeout=3.0)
    assert outcomes(result) == {"get_is_aligned": "passed", "results_are_hits": "hung"}
    case = next(check for check in result.checks if check.name == "results_are_hits").cases[0]
    assert "no end after 3 seconds" in case.message
    assert "hostile_backends.py" in case.message


def test_a_failure_can_be_found_again() -> None:
    """A failure says what was found, and shows the calls that lead there."""
    result = run("vector_store:stub", "get_is_aligned")
    case = result.checks[0].cases[0]
    assert "assert" in case.message
    assert "store = Stub.open(CollectionSpec(" in case.reproduction
    assert re.search(r"store\.upsert\(.*\nstore\.get\(", case.reproduction)


def write_known(folder: Path, check: str, component: str = "vector_store:stub") -> Path:
    """Write a file of one known failure."""
    path = folder / "known.toml"
    entry = (
        f'[[known]]\ncomponent = "{component}"\ncheck = "{check}"\nreason = "a stub"\nlink = "https://example.org/1"\n'
    )
    path.write_text(entry, encoding="utf-8")
    return path


def test_a_known_failure_is_excused_but_earns_no_level(tmp_path: Path) -> None:
    """It is shown with reason and link, does not fail the run, and is no pass."""
    result = run("vector_store:stub", "get_is_aligned", known_failures=write_known(tmp_path, "get_is_aligned"))
    assert result.ok
    case = result.checks[0].cases[0]
    assert (case.outcome, case.reason, case.link) == ("known", "a stub", "https://example.org/1")


def test_an_unexpected_pass_fails(tmp_path: Path) -> None:
    """An entry that no longer holds has to go."""
    known = write_known(tmp_path, "get_is_aligned", "vector_store:exact")
    result = run("vector_store:exact", "get_is_aligned", known_failures=known)
    assert not result.ok
    assert outcomes(result) == {"get_is_aligned": "unexpected_pass"}


def test_a_name_that_no_check_has_is_an_error(tmp_path: Path) -> None:
    """A mistyped entry excuses nothing without a word."""
    known = write_known(tmp_path, "law_of_j", "vector_store:exact")
    with pytest.raises(ConfigError, match="law_of_j"):
        run("vector_store:exact", tiers=("T5",), known_failures=known)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[[known]]\ncomponent = "vector_store:exact"\ncheck = "x"\nreason = "y"\n', "exactly"),
        ('[[known]]\ncomponent = "v"\ncheck = "x"\nreason = " "\nlink = "https://example.org"\n', "empty reason"),
        ('[[known]]\ncomponent = "v"\ncheck = "x"\nreason = "y"\nlink = "soon"\n', "no link"),
        ("known = 3\n", "list of tables"),
        ("[[known\n", "TOML"),
    ],
)
def test_a_careless_file_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    """Every entry needs component, check, reason and link."""
    path = tmp_path / "known.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=problem):
        run("vector_store:exact", "get_is_aligned", known_failures=path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """A file that is not there excuses nothing."""
    with pytest.raises(ConfigError, match="no file"):
        run("vector_store:exact", "get_is_aligned", known_failures=tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"target": "faiss"}, ConfigError),
        ({"target": "store:faiss"}, ConfigError),
        ({"target": "vector_store:nobody"}, PluginNotFoundError),
        ({"target": "vector_store:exact", "tiers": ("T77",)}, ConfigError),
        ({"target": "vector_store:exact", "options": ("durability",)}, ConfigError),
        ({"target": "vector_store:exact", "options": ("durability=soft",)}, ConfigError),
        ({"target": "vector_store:exact", "options": ("unknown=1",)}, ConfigError),
        ({"target": "vector_store:exact", "variant": "nobody"}, ConfigError),
        ({"target": "vector_store:exact", "expression": "nothing_is_called_this"}, ConfigError),
    ],
)
def test_what_cannot_be_run_says_so(arguments: dict[str, object], error: type[Exception]) -> None:
    """A mistyped name, option, tier or expression is an error with a fix, not a green run of nothing."""
    with pytest.raises(error, match="Fix:"):
        run_subject(RunRequest(**arguments))  # type: ignore[arg-type]


def test_same_seed_same_result_in_any_order() -> None:
    """Runs of one seed agree in every case and outcome, from the first check to the last and back."""
    tiers = ("T1", "T2", "T4", "T5")
    runs = [run("vector_store:stub", tiers=tiers, seed=3, reverse=backwards) for backwards in (False, False, True)]
    found = [{(check.name, case.case, case.outcome) for check in each.checks for case in check.cases} for each in runs]
    assert found[0] == found[1] == found[2]
    assert {"passed", "failed"} <= {outcome for _, _, outcome in found[0]}
