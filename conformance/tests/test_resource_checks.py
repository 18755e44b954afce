"""The checks of announcements and of resources: each catches what it is meant for."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest
from ctxkit_conformance.marks import NotApplicable, checks_of
from ctxkit_conformance.mutants.faces import FACES
from ctxkit_conformance.stores import fresh, resources
from ctxkit_conformance.stores.announcement import AnnouncementChecks, _place, _secrets
from ctxkit_conformance.stores.resources import ResourceChecks, Usage
from pydantic import Field, SecretBytes, SecretStr

from ctxkit.defaults.exact import ExactConfig
from ctxkit.interfaces import BackendConfig

HERE = Path(__file__).parent
AROUND = {mutant.__name__: check for mutant, check in FACES.items() if not hasattr(mutant, "async_class")}
AROUND["AsyncThreadsStay"] = "asynchronous_openings_leave_nothing_behind"


Outcomes: TypeAlias = dict[str, dict[str, dict[str, set[str]]]]
Run: TypeAlias = Callable[..., tuple[Outcomes, str]]


@pytest.fixture(scope="module")
def outcomes(outcomes_of: Run) -> Outcomes:
    """Return how each mutant fares in its check, and the unbroken store in all of them."""
    pairs = [*AROUND.items(), *(("ExactStore", check) for check in sorted(set(AROUND.values())))]
    found, printed = outcomes_of(HERE, *(f"broken_faces.py::Test{owner}::test_{check}" for owner, check in pairs))
    assert set(found) == {*AROUND, "ExactStore"}, printed
    return found


@pytest.mark.parametrize(("mutant", "check"), AROUND.items(), ids=list(AROUND))
def test_a_defect_is_caught(outcomes: Outcomes, mutant: str, check: str) -> None:
    """The check meant for it fails, in every case."""
    assert set(outcomes[mutant][check]) == {"FAILED"}


def test_the_unbroken_store_passes(outcomes: Outcomes) -> None:
    """The checks that catch the mutants pass where nothing is broken."""
    assert set(outcomes["ExactStore"]) == set(AROUND.values())
    assert all(set(cases) == {"PASSED"} for cases in outcomes["ExactStore"].values())


def test_what_no_mutant_fails_is_known() -> None:
    """Announcements are broken in files further down; wrong answers at speed are those of other checks."""
    ours = {marks.name for group in (AnnouncementChecks, ResourceChecks) for marks in checks_of(group).values()}
    assert ours - set(FACES.values()) == {
        "found_by_name_in_a_fresh_process",
        "missing_dependency_names_the_install_line",
        "speed_beside_plain_numpy",
    }


PLUGIN = """
{imports}
from ctxkit.hookspecs import hookimpl
from ctxkit.interfaces import BackendSpec, Capabilities


@hookimpl
def ctxkit_vector_stores():
    capabilities = Capabilities(
        metrics=frozenset({{"cosine", "dot", "l2"}}), exact=True, optional_vectors=True, text_search="bm25",
        ordered_scan=True, {announced}
    )
    return [BackendSpec(name="acme", factory="{factory}:{kind}Store", config="{config}:{kind}Config",
                        summary="a store", capabilities=capabilities, {more})]
"""
EXACT = {
    "factory": "ctxkit.defaults.exact",
    "config": "ctxkit.defaults.exact",
    "kind": "Exact",
    "imports": "",
    "more": "",
    "announced": "",
}
FAISS = {**EXACT, "factory": "ctxkit_faiss.store", "config": "ctxkit_faiss.config", "kind": "Faiss"}
CALLING = "import socket\ntry: socket.getaddrinfo('localhost', 80)\nexcept OSError: pass"
FOUND, LIGHT, MISSING = (
    "found_by_name_in_a_fresh_process",
    "importing_is_light_and_offline",
    "missing_dependency_names_the_install_line",
)
ANNOUNCED = "announced_as_configured"
# The parts of a plugin, and the checks that have to fail.
PLUGINS: dict[str, tuple[dict[str, str], set[str]]] = {
    "good": (EXACT, set()),
    "needy": ({**FAISS, "more": "requires=('faiss',), install_hint='pip install faiss-cpu'"}, set()),
    "heavy": ({**EXACT, "imports": "import numpy"}, {LIGHT}),
    "eager": ({**EXACT, "imports": "import wave", "more": "requires=('wave',)"}, {LIGHT, MISSING}),
    "calling": ({**EXACT, "imports": CALLING}, {LIGHT}),
    "silent": (FAISS, {MISSING}),
    "wanting": ({**EXACT, "more": "requires=('wave',)"}, set()),
    "fickle": (
        {
            **EXACT,
            "more": "install_hint=__import__('os').environ.get('PYTEST_CURRENT_TEST', 'x')",
            "announced": "crash_safe=True",
        },
        {FOUND, ANNOUNCED},
    ),
}
SUITE = """
from ctxkit.plugins import PluginRegistry
from ctxkit_conformance.stores.announcement import AnnouncementChecks
from ctxkit_conformance.subject import find_subject

def subject(name):
    registry = PluginRegistry.discover()
    registry.load_path(f"plugin_{name}.py")
    return find_subject(registry, f"vector_store:plugin_{name}:acme")

"""


def test_announcements_are_examined(tmp_path: Path, outcomes_of: Run) -> None:
    """A good plugin passes; each bad one is caught by the check of what it does wrong, and by no other."""
    suite = SUITE
    for name, (parts, _) in PLUGINS.items():
        tmp_path.joinpath(f"plugin_{name}.py").write_text(PLUGIN.format(**parts), encoding="utf-8")
        suite += f"class Test{name}(AnnouncementChecks):\n    subject = subject({name!r})\n\n"
    tmp_path.joinpath("test_announcements.py").write_text(suite, encoding="utf-8")
    found, printed = outcomes_of(tmp_path, "test_announcements.py")
    failed = {name: {check for check, cases in checks.items() if "FAILED" in cases} for name, checks in found.items()}
    assert failed == {name: wrong for name, (_, wrong) in PLUGINS.items()}, printed
    every = {marks.name for marks in checks_of(AnnouncementChecks).values()}
    assert all(set(checks) == every for checks in found.values())


def test_a_class_that_no_other_process_finds_is_left_out() -> None:
    """The report then says why; a class at the top of a file is found there."""

    class Hidden(ExactConfig):
        """Made inside a function."""

    with pytest.raises(NotApplicable, match="inside a function"):
        _place(Hidden)
    assert _place(ExactConfig)[0] == "ctxkit.defaults.exact"


class SecretiveConfig(BackendConfig):
    """Options of every sort."""

    path: Path | None = None
    api_key: SecretStr | None = None
    token: SecretBytes = SecretBytes(b"")
    db_password: str = ""
    partition_key: str = Field(default="id")
    tokens: int = 3


def test_secrets_are_known_by_type_or_name() -> None:
    """An option is a secret when its type says so, or when it is a text with such a name."""
    assert set(_secrets(SecretiveConfig)) == {"api_key", "token", "db_password"}
    assert _secrets(ExactConfig) == {}


def test_a_fresh_interpreter_that_dies_is_a_failure() -> None:
    """With what it printed; an exception in it is an answer."""
    error = fresh.ask("no_such_task", {})["error"]
    assert (error["type"], error["fix"]) == ("KeyError", None)
    with pytest.raises(AssertionError, match=r"(?s)exit code 1:.*encodings"):
        fresh.ask("imported", {}, {"PYTHONHOME": os.devnull})


def test_a_platform_without_proc_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What cannot be counted is not claimed to be in order."""
    monkeypatch.setattr(resources, "_PROC", tmp_path)
    with pytest.raises(NotApplicable, match="has no /proc"):
        ResourceChecks()._check_leaks(resources._cycle, 1, ExactConfig(), "cosine")


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="there is no /proc here")
def test_usage_is_counted() -> None:
    """A descriptor that is opened shows, by what it leads to."""
    before = resources._held()
    descriptor = os.open(os.devnull, os.O_RDONLY)
    after = resources._held()
    os.close(descriptor)
    assert isinstance(after, Usage)
    assert len(after.descriptors) == len(before.descriptors) + 1
    assert f"{descriptor} -> {os.devnull}" in after.descriptors
    assert after.memory > 2**20
    assert after.threads >= 1
