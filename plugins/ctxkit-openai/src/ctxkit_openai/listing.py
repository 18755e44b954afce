"""OpenAI's embedding models as ctxkit lists them; imports nothing of OpenAI's."""

from __future__ import annotations

from typing import Final

from ctxkit.interfaces.models import EmbeddingModel
from ctxkit_openai.config import DIMENSIONS

# The mean over the MTEB benchmark: https://openai.com/index/new-embedding-models-and-api-updates/
_SCORES: Final = {"text-embedding-3-large": 64.6, "text-embedding-3-small": 62.3, "text-embedding-ada-002": 61.0}
_EXCELLENT: Final = 64.0


def usual_models() -> list[EmbeddingModel]:
    """Return OpenAI's own models, the best first; none is ever on this machine, and nothing is downloaded."""
    return [
        EmbeddingModel(
            name=name,
            dimension=DIMENSIONS[name],
            size_mb=0.0,
            speed="medium",
            quality="excellent" if score >= _EXCELLENT else "very good",
            on_this_machine=False,
            description=f"a provider's: each text is sent there and paid for; many languages; mean of MTEB {score}",
        )
        for name, score in _SCORES.items()
    ]
