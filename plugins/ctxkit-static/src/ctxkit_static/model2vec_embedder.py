"""Static models of model2vec by name or folder: other vocabularies and languages than the one inside the package."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctxkit.errors import EmbedderError
from ctxkit.interfaces import Embedder
from ctxkit.records import FloatVectors
from ctxkit_static.model2vec_config import Model2VecConfig
from ctxkit_static.model2vec_files import FAILURES, digest_of, dimension_in, locate
from ctxkit_static.texts import checked_texts, span_groups, unit_rows

# Raised whenever the same files would give other vectors because of something here.
ALGORITHM_VERSION = 1


class Model2VecEmbedder(Embedder):
    """Embeds text with a static model of model2vec: the mean of the vectors of its tokens, at unit length.

    Every token of a text counts, however long it is; a text in which the model knows nothing gets a fixed vector.
    Nothing is imported, read or fetched before it is needed. Instances may be used from several threads. Raises
    EmbedderError, which says whether it was the network, the disk, the memory or the name.
    """

    def __init__(self, config: Model2VecConfig | None = None) -> None:
        self._config = config or Model2VecConfig()
        self._lock = threading.RLock()
        self._folder: Path | None = None
        self._fingerprint: str | None = None
        self._model: Any = None
        self._closed = False

    @property
    def dimension(self) -> int:
        """The length of each vector, read from the model's files."""
        folder = self._located()
        try:
            return dimension_in(folder)
        except KeyError as exc:
            raise FAILURES.failed(self._config.model, "name", "its weights are not those of model2vec.") from exc
        except (OSError, ValueError) as exc:
            raise FAILURES.failed(self._config.model, "disk", "its file of weights is damaged.") from exc

    @property
    def normalized(self) -> bool:
        """Every vector has unit length."""
        return True

    @property
    def max_tokens(self) -> int | None:
        """None: every token of a text counts."""
        return None

    @property
    def fingerprint(self) -> str:
        """A digest of the model's weights and vocabulary; the same for a copy of the folder."""
        if self._fingerprint is None:
            digest = digest_of(self._located())
            self._fingerprint = f"model2vec-{digest[:24]}-d{self.dimension}-v{ALGORITHM_VERSION}"
        return self._fingerprint

    def embed_documents(self, texts: Sequence[str]) -> FloatVectors:
        """Return unit vectors, float32 of shape (len(texts), dimension), row i for text i. Raises EmbedderError."""
        checked_texts(texts, "model2vec")
        model = self._loaded()
        sums = np.zeros((len(texts), model.dim), np.float32)
        for owners, spans in span_groups(texts):
            for owner, tokens in zip(owners, model.tokenize(spans), strict=True):
                sums[owner] += _sum(model, np.asarray(tokens, np.int64))
        return unit_rows(sums)

    def close(self) -> None:
        """Release the model; closing twice is fine, embedding afterwards is an error."""
        with self._lock:
            self._closed = True
            self._model = None

    def _located(self) -> Path:
        with self._lock:
            if self._folder is None:
                self._folder = locate(self._config)
            return self._folder

    def _loaded(self) -> Any:
        with self._lock:
            if self._closed:
                raise EmbedderError("the embedder was closed.", fix="make a new one.", backend="model2vec")
            if self._model is None:
                folder = self._located()
                try:
                    from model2vec import StaticModel  # noqa: PLC0415 - at the first use

                    model = StaticModel.from_pretrained(folder)
                    model.tokenizer.no_truncation()
                except Exception as exc:
                    raise FAILURES.explained(exc, self._config.model) from exc
                self._model = model
            return self._model


def _sum(model: Any, tokens: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the sum of the vectors of tokens, float32 of shape (d,); vocabularies may be shared out or weighted."""
    places = tokens if model.token_mapping is None else model.token_mapping[tokens]
    vectors = model.embedding[places].astype(np.float32)
    if model.weights is not None:
        vectors *= model.weights[tokens].astype(np.float32)[:, None]
    total: NDArray[np.float32] = vectors.sum(axis=0, dtype=np.float32)
    return total
