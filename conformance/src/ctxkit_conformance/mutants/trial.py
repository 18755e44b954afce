"""A process in which specimens are tried: it tells, line by line, what became of each case of each check."""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from typing_extensions import Self

from ctxkit.errors import CtxkitError
from ctxkit_conformance import pytest_plugin
from ctxkit_conformance.chance import brief_shrinking
from ctxkit_conformance.component import ComponentChecks
from ctxkit_conformance.mutants.catalogue import Specimen

_CHECKS: Final = ("stores", "embedders", "tokenizers", "llms")
_SHRINKING: Final = 0.5  # seconds: nobody reads the shortest failure of a mutant
_SHOWN: Final = 400  # characters of a message
_on_trial: dict[str, Specimen] = {}


@dataclass(frozen=True)
class Trial:
    """One specimen, and the checks to try it on; None for all of them.

    With `until_killed` the rest of its cases is left out after the first that fails as it should. Without `every_face`
    stores are tried through the synchronous face only.
    """

    specimen: Specimen
    checks: tuple[str, ...] | None
    until_killed: bool = False
    every_face: bool = True

    def as_dict(self) -> dict[str, Any]:
        """Return it as values of JSON."""
        component = self.specimen.component
        return {
            "kind": self.specimen.kind,
            "module": component.__module__,
            "name": component.__name__,
            "check": self.specimen.check,
            "on_disk": self.specimen.on_disk,
            "checks": self.checks,
            "until_killed": self.until_killed,
            "every_face": self.every_face,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return it from values of JSON."""
        component = getattr(importlib.import_module(values["module"]), values["name"])
        specimen = Specimen(values["kind"], component, values["check"], values["on_disk"])
        checks = values["checks"]
        return cls(specimen, None if checks is None else tuple(checks), values["until_killed"], values["every_face"])


def contracts() -> dict[str, type[ComponentChecks]]:
    """Return the contracts of what is on trial, by the names of their classes."""
    return {contract.__name__: contract for contract in (each.contract() for each in _on_trial.values())}


def main() -> None:
    """Try what the file named by the last argument describes.

    Events go to standard output, what pytest and the specimens print to standard error.
    """
    plan = json.loads(Path(sys.argv[-1]).read_text(encoding="utf-8"))
    events = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def tell(event: dict[str, Any]) -> None:
        events.write(json.dumps(event) + "\n")
        events.flush()

    arguments = ["-c", plan["settings"], "--rootdir", plan["folder"], "--basetemp", f"{plan['folder']}/data"]
    arguments += [str(Path(__file__).with_name("collected.py")), "--import-mode=importlib"]
    arguments += ["-p", "no:cacheprovider", "--tb=short", "-q", "--no-header", "--noconftest"]
    code = pytest.main(arguments, plugins=[pytest_plugin, Recorder(plan["trials"], tell)])
    tell({"event": "end", "code": int(code)})
    os._exit(0)  # what a mutant has left running does not keep the process


@dataclass
class Recorder:
    """The plugin that picks the cases to run, runs them, and tells of each."""

    plan: list[dict[str, Any]]
    tell: Callable[[dict[str, Any]], None]
    trials: dict[str, Trial] = field(default_factory=dict)
    found: dict[str, dict[str, Any]] = field(default_factory=dict)

    def pytest_configure(self) -> None:
        """Import what is on trial: only now do the assertions of its checks show what they compared."""
        pytest.register_assert_rewrite(*(f"ctxkit_conformance.{package}" for package in _CHECKS))
        for trial in map(Trial.from_dict, self.plan):
            self.trials[trial.specimen.key] = trial
            _on_trial[trial.specimen.key] = trial.specimen

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Leave out the checks that no trial asks for."""
        kept = [item for item in items if _asked_for(item, self.trials[_key(item)])]
        config.hook.pytest_deselected(items=[item for item in items if item not in set(kept)])
        items[:] = kept

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run each case by itself, so that those that are no longer needed can be left out."""
        if session.testsfailed:
            raise session.Interrupted("the contract could not be collected")
        killed: set[str] = set()
        for item in session.items:
            key = _key(item)
            if key in killed:
                continue
            self.tell({"event": "start", "key": key, "case": item.name})
            self.found[item.nodeid] = {"outcome": "passed", "seconds": 0.0, "message": ""}
            with brief_shrinking(_SHRINKING) if self.trials[key].until_killed else nullcontext():
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
            found = self.found.pop(item.nodeid)
            self.tell({"event": "case", "key": key, "check": _check(item), "case": item.name, **found})
            if self.trials[key].until_killed and found["outcome"] == "failed":
                killed.add(key)
        return True

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Note what this phase says: only the check itself can fail, everything else is broken."""
        report = yield
        found = self.found[item.nodeid]
        found["seconds"] += call.duration
        if call.excinfo is not None:
            error = call.excinfo.value
            outcome = (
                "failed"
                if call.when == "call" and expected(error, self.trials[_key(item)].specimen.leaks)
                else "broken"
            )
            if isinstance(error, pytest.skip.Exception):
                outcome = "not_applicable"
            if found["outcome"] != "broken":
                found |= {"outcome": outcome, "message": f"{type(error).__name__}: {error}"[:_SHOWN]}
        return report


def expected(error: BaseException, leaks: tuple[type[BaseException], ...]) -> bool:
    """Whether a check failed by its own judgement, or by an error that belongs to the defect."""
    parts: tuple[BaseException, ...] = getattr(error, "exceptions", ())
    if parts:
        return all(expected(part, leaks) for part in parts)
    return isinstance(error, (AssertionError, pytest.fail.Exception, CtxkitError, *leaks))


def _asked_for(item: pytest.Item, trial: Trial) -> bool:
    spec = getattr(item, "callspec", None)
    if not trial.every_face and spec is not None and spec.params.get("face") == "async":
        return False
    return trial.checks is None or _check(item) in trial.checks


def _check(item: pytest.Item) -> str:
    return item.function.__name__.removeprefix("test_") if isinstance(item, pytest.Function) else item.name


def _key(item: pytest.Item) -> str:
    owner = item.cls if isinstance(item, pytest.Function) else None
    return "" if owner is None else owner.__name__.removeprefix("Test")
