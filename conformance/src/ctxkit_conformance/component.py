"""What the checks of every kind of component share: how hard to try, and the journal of what was called."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import numpy as np
import pytest

from ctxkit.errors import CtxkitError
from ctxkit.interfaces import BackendConfig
from ctxkit.interfaces.values import CheckedValue
from ctxkit.plugins.construction import contradictions
from ctxkit_conformance.children import PATIENCE
from ctxkit_conformance.effort import Effort
from ctxkit_conformance.journal import Journal, brief
from ctxkit_conformance.subject import Subject

JOURNAL = pytest.StashKey[Journal]()


class ComponentChecks:
    """Base of all checks. `tier` is that of each check which does not name its own.

    `subject` is the component as its plugin announces it, None where a test file names a class; `capabilities` are then
    those that its BackendSpec would have.
    `known_failures` names a file of failures that are known, with reason and link. `patience` is how many seconds of a
    quick run something may take before it counts as hung; it is no measure of speed.
    """

    tier: ClassVar[str] = ""
    subject: ClassVar[Subject | None] = None
    capabilities: ClassVar[CheckedValue | None] = None
    known_failures: ClassVar[str | None] = None
    patience: float = PATIENCE

    @pytest.fixture
    def effort(self, request: pytest.FixtureRequest) -> Effort:
        """How hard to try, from --ctxkit-seed and --ctxkit-thorough."""
        return effort_of(request.config)

    @pytest.fixture(autouse=True)
    def _thorough_patience(self, effort: Effort) -> None:
        self.patience = effort.patience(self.patience)

    def check_announced(self, model: type[BackendConfig]) -> None:
        """Check that what is announced is what the default options of the configuration model give."""
        announced = self.capabilities if self.subject is None else self.subject.spec.capabilities
        found = contradictions(announced, model)
        assert not found, f"the announcement and the default configuration contradict each other: {'; '.join(found)}"

    @pytest.fixture
    def rng(self, effort: Effort, request: pytest.FixtureRequest) -> np.random.Generator:
        """A source of chance that depends on the seed and the check alone."""
        return effort.rng(request.node.name)

    @pytest.fixture(autouse=True)
    def journal(self, request: pytest.FixtureRequest) -> Journal:
        """The calls of this check; shown when it fails."""
        made = Journal()
        request.node.stash[JOURNAL] = made
        self._journal = made
        return made


def must_raise(error: type[CtxkitError], call: Callable[[], object], what: str) -> None:
    """Check that a call raises this error and says what to do."""
    try:
        found = call()
    except error as caught:
        fix = caught.fix
    except Exception as other:
        raise AssertionError(f"{what} raised {type(other).__name__} ({other}), not {error.__name__}") from other
    else:
        raise AssertionError(f"{what} gave {brief(found)}; it has to raise {error.__name__}")
    assert fix, f"the {error.__name__} for {what} has to name a fix"


def effort_of(config: pytest.Config) -> Effort:
    """Return how hard a run tries."""
    return Effort(int(config.getoption("ctxkit_seed", 0)), bool(config.getoption("ctxkit_thorough", default=False)))
