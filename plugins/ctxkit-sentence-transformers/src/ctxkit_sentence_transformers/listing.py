"""The usual models as ctxkit lists them, with a look at what is on this machine; imports no torch."""

from __future__ import annotations

import importlib.util

from ctxkit.interfaces.models import EmbeddingModel
from ctxkit_sentence_transformers.catalogue import KNOWN, LIBRARY_OWN, Known
from ctxkit_sentence_transformers.config import SentenceTransformersConfig
from ctxkit_sentence_transformers.files import downloaded

_SPEEDS = ((15_000, "very fast"), (7_000, "fast"), (2_000, "medium"), (0, "slow"))
_QUALITIES = ((62.0, "excellent"), (59.0, "very good"), (55.0, "good"), (0.0, "fair"))


def usual_models() -> list[EmbeddingModel]:
    """Return the library's own models that are used most, the smallest first."""
    has_client = importlib.util.find_spec("huggingface_hub") is not None
    return [_listed(known, has_client=has_client) for known in sorted(KNOWN, key=lambda each: each.size_mb)]


def _listed(known: Known, *, has_client: bool) -> EmbeddingModel:
    config = SentenceTransformersConfig(model=known.name)
    here = has_client and downloaded(f"{LIBRARY_OWN}/{known.name}", config) is not None
    return EmbeddingModel(
        name=known.name,
        dimension=known.dimension,
        size_mb=float(known.size_mb),
        speed=next(word for least, word in _SPEEDS if known.sentences_per_second >= least),
        quality=next(word for least, word in _QUALITIES if known.score >= least),
        on_this_machine=here,
        description=(
            f"{'about fifty languages' if 'multilingual' in known.name else 'English'};"
            f" {known.sentences_per_second:,} sentences a second on a V100; mean score {known.score:.2f} (sbert.net)"
        ),
    )
