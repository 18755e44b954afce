"""What a stage is given: the question, the candidates, and what the stages before it made of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ctxkit.config import MemoryConfig, RetrievalConfig
from ctxkit.retrieval.candidates import Candidate
from ctxkit.retrieval.dates import Period, periods

Scores: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Question:
    """What is asked, when (seconds since the epoch), and the weights of its answers."""

    text: str
    now: float
    memory: MemoryConfig
    retrieval: RetrievalConfig

    @cached_property
    def periods(self) -> list[Period]:
        """The days that the question speaks of."""
        return periods(self.text, self.now)


@dataclass(frozen=True)
class Pool:
    """The candidates, and the sum of the scores that they have so far: float64 of shape (candidates,)."""

    question: Question
    candidates: Sequence[Candidate]
    total: Scores


Stage: TypeAlias = Callable[[Pool], Scores]
"""Returns what it adds to the score of each candidate, in their order; changes nothing."""
