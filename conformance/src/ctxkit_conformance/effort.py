"""How hard a run tries: its seed, and how many times chance is given a chance."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import hypothesis
import numpy as np

_FACTOR = 10  # how much harder a thorough run tries
_PATIENCE = 5  # how much longer it waits: for hours the machine has other things to do as well


@dataclass(frozen=True)
class Effort:
    """`seed` makes a run repeatable; `thorough` gives every random check ten times as many tries, and patience."""

    seed: int = 0
    thorough: bool = False

    def times(self, few: int) -> int:
        """Return how often to try: `few` in a quick run, ten times that in a thorough one."""
        return few * _FACTOR if self.thorough else few

    def patience(self, seconds: float) -> float:
        """Return how long to wait for what may hang: these seconds in a quick run, five times as long in another."""
        return seconds * _PATIENCE if self.thorough else seconds

    def rng(self, name: str) -> np.random.Generator:
        """Return a generator of its own for a check, whatever ran before it."""
        return np.random.default_rng([self.seed, zlib.crc32(name.encode())])

    def settings(self, few: int, **more: object) -> hypothesis.settings:
        """Return Hypothesis settings with `few` examples, without deadlines and without a database."""
        health = [hypothesis.HealthCheck.function_scoped_fixture, hypothesis.HealthCheck.too_slow]
        health += [hypothesis.HealthCheck.differing_executors, hypothesis.HealthCheck.data_too_large]
        return hypothesis.settings(
            max_examples=self.times(few),
            deadline=None,
            database=None,
            print_blob=False,
            suppress_health_check=health,
            **more,  # type: ignore[arg-type]
        )
