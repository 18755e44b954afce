"""The model inside the package and those of model2vec as ctxkit lists them; imports no numpy and no tokenizer."""

from __future__ import annotations

import importlib.util
from typing import Final, NamedTuple

from ctxkit.errors import EmbedderError
from ctxkit.interfaces.models import EmbeddingModel
from ctxkit_static.model2vec_config import Model2VecConfig
from ctxkit_static.model2vec_files import locate


class _Known(NamedTuple):
    """A model of the library's own; `size_mb` is what is downloaded, about."""

    name: str
    dimension: int
    size_mb: float
    about: str


# The means are over MTEB, that of the last one over MMTEB: https://github.com/MinishLab/model2vec/tree/main/results
_KNOWN: Final = (
    _Known("potion-base-2M", 64, 8.0, "English; mean of MTEB 44.8"),
    _Known("potion-base-4M", 128, 16.0, "English; mean of MTEB 48.2"),
    _Known("potion-base-8M", 256, 31.0, "English; mean of MTEB 50.0"),
    _Known("potion-base-32M", 512, 131.0, "English; mean of MTEB 51.7"),
    _Known("potion-retrieval-32M", 512, 131.0, "English, for searching; mean of MTEB 49.8"),
    _Known("potion-multilingual-128M", 256, 530.0, "101 languages; mean of MMTEB 47.3"),
)


def shipped_model() -> list[EmbeddingModel]:
    """Return the one model there is; its longest vectors are the default."""
    return [
        EmbeddingModel(
            name="static",
            dimension=384,
            size_mb=5.7,
            speed="very fast",
            quality="fair",
            on_this_machine=True,
            description="English; inside the package: no download, no torch; also 256, 128 and 64 components",
        )
    ]


def models_of_model2vec() -> list[EmbeddingModel]:
    """Return the library's own models, the smallest first."""
    return [
        EmbeddingModel(
            name=known.name,
            dimension=known.dimension,
            size_mb=known.size_mb,
            speed="very fast",
            quality="fair",
            on_this_machine=_is_here(known.name),
            description=known.about,
        )
        for known in _KNOWN
    ]


def _is_here(name: str) -> bool:
    if importlib.util.find_spec("huggingface_hub") is None:
        return False
    try:
        locate(Model2VecConfig(model=name, offline=True))
    except EmbedderError:
        return False
    return True
