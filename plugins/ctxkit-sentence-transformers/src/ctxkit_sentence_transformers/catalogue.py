"""The usual models: how large, how quick and how good they are."""

from __future__ import annotations

from typing import Final, NamedTuple

LIBRARY_OWN: Final = "sentence-transformers"


class Known(NamedTuple):
    """A model of the library's own.

    `size_mb` is what is downloaded, about; `sentences_per_second` was measured on one V100; `score` is the mean over
    fourteen sets of sentences and six of searches. Source: https://sbert.net/docs/sentence_transformer/pretrained_models.html
    """

    name: str
    size_mb: int
    dimension: int
    sentences_per_second: int
    score: float


KNOWN: Final = (
    Known("paraphrase-MiniLM-L3-v2", 61, 384, 19_000, 50.74),
    Known("all-MiniLM-L6-v2", 90, 384, 14_200, 58.80),
    Known("all-MiniLM-L12-v2", 120, 384, 7_500, 59.76),
    Known("all-distilroberta-v1", 290, 768, 4_000, 59.84),
    Known("all-mpnet-base-v2", 420, 768, 2_800, 63.30),
    Known("multi-qa-MiniLM-L6-cos-v1", 90, 384, 14_200, 58.08),
    Known("multi-qa-mpnet-base-dot-v1", 420, 768, 2_800, 62.18),
    Known("paraphrase-multilingual-MiniLM-L12-v2", 420, 384, 7_500, 51.72),
    Known("paraphrase-multilingual-mpnet-base-v2", 970, 768, 2_500, 53.75),
)
_BY_NAME: Final = {known.name: known for known in KNOWN}


def names_on_the_hub(model: str) -> list[str]:
    """Return the names that a model may have on the hub, the likeliest first."""
    return [model] if "/" in model else [f"{LIBRARY_OWN}/{model}", model]


def dimension_of(model: str) -> int | None:
    """Return the length of the vectors of a usual model, None for any other."""
    known = _BY_NAME.get(model.removeprefix(f"{LIBRARY_OWN}/"))
    return None if known is None else known.dimension
