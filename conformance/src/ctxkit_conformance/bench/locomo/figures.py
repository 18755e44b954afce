"""What the measurement finds: the share of the evidence that stands in a context, with what may be chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from ctxkit_conformance.bench.locomo.data import CATEGORIES

SCHEMA_VERSION: Final = 1
_RESAMPLES: Final = 2_000
_INTERVAL: Final = (2.5, 97.5)


@dataclass(frozen=True)
class Answer:
    """One question under one budget.

    `recall` is the share of its evidence that stands in the context, `tokens` the context's length, and `headers` how
    many of them are no memory: titles, days, the question.
    """

    conversation: str
    category: int
    recall: float
    tokens: int
    headers: int


@dataclass(frozen=True)
class Result:
    """The answers of one configuration under one budget."""

    variant: str
    hash: str
    budget: int
    tried: bool
    answers: tuple[Answer, ...]

    @property
    def recall(self) -> float:
        """The mean over the questions, in percent."""
        return _percent(self.answers)

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % bootstrap interval of the mean over questions, in percent (2 000 resamples, seed 0)."""
        recalls = np.array([answer.recall for answer in self.answers])
        rng = np.random.default_rng(0)
        means = [recalls[rng.integers(0, len(recalls), len(recalls))].mean() for _ in range(_RESAMPLES)]
        low, high = np.percentile(means, _INTERVAL)
        return 100.0 * float(low), 100.0 * float(high)

    @property
    def categories(self) -> dict[str, float]:
        """The mean of each category that has questions, in percent."""
        split = {name: [each for each in self.answers if each.category == n] for n, name in CATEGORIES.items()}
        return {name: _percent(answers) for name, answers in split.items() if answers}

    @property
    def conversations(self) -> dict[str, float]:
        """The mean of each conversation, in percent."""
        return {name: _percent(self.of(name)) for name in dict.fromkeys(each.conversation for each in self.answers)}

    def of(self, name: str) -> list[Answer]:
        """Return the answers of one conversation."""
        return [answer for answer in self.answers if answer.conversation == name]

    def beside(self, name: str) -> float:
        """Return the mean over the questions of all other conversations, in percent."""
        return _percent([answer for answer in self.answers if answer.conversation != name])

    def as_dict(self) -> dict[str, Any]:
        """Return the result as JSON knows it."""
        low, high = self.interval
        return {
            "variant": self.variant,
            "configuration": self.hash,
            "budget": self.budget,
            "recall": self.recall,
            "interval": [low, high],
            "categories": self.categories,
            "conversations": self.conversations,
            "mean_tokens": float(np.mean([answer.tokens for answer in self.answers])),
            "mean_header_tokens": float(np.mean([answer.headers for answer in self.answers])),
        }


@dataclass(frozen=True)
class HeldOut:
    """What comes of choosing the best of what was tried without looking at the conversation that is then measured."""

    budget: int
    recall: float
    chosen: dict[str, str]

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON knows it."""
        return {"budget": self.budget, "recall": self.recall, "chosen": self.chosen}


@dataclass
class LocomoReport:
    """A whole run."""

    created: str
    machine: dict[str, Any]
    data: dict[str, Any]
    settings: dict[str, Any]
    results: list[Result] = field(default_factory=list)

    @property
    def held_out(self) -> list[HeldOut]:
        """The leave-one-conversation-out figure of each budget, where several configurations were tried."""
        found = []
        for budget in dict.fromkeys(result.budget for result in self.results):
            tried = [result for result in self.results if result.budget == budget and result.tried]
            if len(tried) > 1 and len(tried[0].conversations) > 1:
                found.append(held_out(tried))
        return found

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON knows it."""
        return {
            "schema_version": SCHEMA_VERSION,
            "created": self.created,
            "machine": self.machine,
            "data": self.data,
            "settings": self.settings,
            "results": [result.as_dict() for result in self.results],
            "leave_one_out": [each.as_dict() for each in self.held_out],
        }


def held_out(tried: Sequence[Result]) -> HeldOut:
    """Return the mean over all questions when each conversation is measured by the best of the others."""
    answers: list[Answer] = []
    chosen = {}
    for name in tried[0].conversations:
        best = max(tried, key=lambda result: result.beside(name))
        chosen[name] = best.variant
        answers += best.of(name)
    return HeldOut(tried[0].budget, _percent(answers), chosen)


def _percent(answers: Sequence[Answer]) -> float:
    return 100.0 * sum(answer.recall for answer in answers) / len(answers)
