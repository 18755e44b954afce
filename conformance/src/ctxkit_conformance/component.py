"""What the checks of every kind of component share: how hard to try, and the journal of what was called."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest

from ctxkit_conformance.children import PATIENCE
from ctxkit_conformance.effort import Effort
from ctxkit_conformance.journal import Journal

JOURNAL = pytest.StashKey[Journal]()


class ComponentChecks:
    """Base of all checks. `tier` is that of each check which does not name its own.

    `known_failures` names a file of failures that are known, with reason and link. `patience` is how many seconds of a
    quick run something may take before it counts as hung; it is no measure of speed.
    """

    tier: ClassVar[str] = ""
    known_failures: ClassVar[str | None] = None
    patience: float = PATIENCE

    @pytest.fixture
    def effort(self, request: pytest.FixtureRequest) -> Effort:
        """How hard to try, from --ctxkit-seed and --ctxkit-thorough."""
        return effort_of(request.config)

    @pytest.fixture(autouse=True)
    def _thorough_patience(self, effort: Effort) -> None:
        self.patience = effort.patience(self.patience)

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


def effort_of(config: pytest.Config) -> Effort:
    """Return how hard a run tries."""
    return Effort(int(config.getoption("ctxkit_seed", 0)), bool(config.getoption("ctxkit_thorough", default=False)))
