"""The stages by name, and how they make one ranking."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from ctxkit.errors import ConfigError
from ctxkit.retrieval.candidates import Candidate
from ctxkit.retrieval.cues import asking, date, speaker
from ctxkit.retrieval.fusion import fused
from ctxkit.retrieval.pool import Pool, Question, Stage
from ctxkit.retrieval.scoring import importance, recency
from ctxkit.retrieval.smoothing import neighbors

STAGES: Final[Mapping[str, Stage]] = {
    "fused": fused,
    "neighbor": neighbors,
    "asking": asking,
    "speaker": speaker,
    "date": date,
    "recency": recency,
    "importance": importance,
}


def find_stages(names: Sequence[str]) -> dict[str, Stage]:
    """Return the stages of these names in their order; "module:function" names one that is not ours.

    Raises ConfigError for a name that leads to no function.
    """
    return {name: STAGES[name] if name in STAGES else _imported(name) for name in names}


def rank(candidates: Sequence[Candidate], question: Question, stages: Mapping[str, Stage]) -> list[Candidate]:
    """Let each stage add to the candidates' scores and return them best first, ties by id.

    Sets the `scores` and `final` of each candidate. A stage sees the sum of those before it. Raises ConfigError for a
    stage that does not return one finite number for each candidate.
    """
    total = np.zeros(len(candidates))
    added: dict[str, list[float]] = {}
    for name, stage in stages.items():
        scores = np.asarray(stage(Pool(question, candidates, total)), dtype=np.float64)
        if scores.shape != total.shape or not np.isfinite(scores).all():
            raise ConfigError(
                f"the stage {name} did not return one finite number for each of {len(candidates)} candidates.",
                fix=f"mend it, or take {name} out of retrieval.stages.",
            )
        added[name] = scores.tolist()
        total = total + scores
    for row, (candidate, final) in enumerate(zip(candidates, total.tolist(), strict=True)):
        candidate.stages, candidate.row, candidate.final = added, row, final
    return sorted(candidates, key=lambda item: (-item.final, item.id))


def _imported(name: str) -> Stage:
    module, _, attribute = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as exc:
        raise ConfigError(
            f"the retrieval stage {name} cannot be imported: {exc}.",
            fix=f"name an importable module:function, or one of {', '.join(STAGES)}.",
        ) from exc
    if not callable(found):
        raise ConfigError(f"the retrieval stage {name} is no function.", fix="name a function of one Pool.")
    stage: Stage = found
    return stage
