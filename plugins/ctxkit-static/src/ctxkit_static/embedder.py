"""The static embedder: look up pieces, add them, bring the sum to unit length."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ctxkit.errors import EmbedderError
from ctxkit.interfaces import Embedder
from ctxkit.records import FloatVectors
from ctxkit_static.config import StaticConfig
from ctxkit_static.model_file import MODEL_PATH, MODEL_SHA256, read_model
from ctxkit_static.pieces import UNKNOWN, PieceTokenizer
from ctxkit_static.pooling import PiecePool
from ctxkit_static.texts import checked_texts, span_groups, unit_rows
from ctxkit_static.unknown import hashed_sum

# Raised whenever the same model file would give other vectors: pieces, pooling or the unknown words changed.
ALGORITHM_VERSION = 1


class StaticEmbedder(Embedder):
    """Embeds text with the model inside the package; no network, no torch, no limit on the length.

    A text is the sum of the vectors of its WordPiece pieces, each scaled by its weight (smooth inverse frequency:
    Arora, Liang and Ma, "A simple but tough-to-beat baseline for sentence embeddings", ICLR 2017), brought to unit
    length. Documents and queries are embedded alike. The model is read and verified at the first use; instances
    may be used from several threads.

    `model_path` names another copy of the shipped file. Raises EmbedderError when the file is missing or damaged.
    """

    def __init__(self, config: StaticConfig | None = None, *, model_path: Path = MODEL_PATH) -> None:
        self._dimension: int = (config or StaticConfig()).dimension
        self._model_path = model_path
        self._lock = threading.Lock()
        self._engine: _Engine | None = None
        self._closed = False

    @property
    def dimension(self) -> int:
        """The length of each vector: 384, 256, 128 or 64."""
        return self._dimension

    @property
    def normalized(self) -> bool:
        """Every vector has unit length."""
        return True

    @property
    def max_tokens(self) -> int | None:
        """None: every piece of a text counts."""
        return None

    @property
    def fingerprint(self) -> str:
        """The model file's hash, the dimension and the version of the algorithm; known without loading."""
        return f"static-{MODEL_SHA256[:16]}-d{self._dimension}-v{ALGORITHM_VERSION}"

    def embed_documents(self, texts: Sequence[str]) -> FloatVectors:
        """Return unit vectors, float32 of shape (len(texts), dimension), row i for text i.

        Any str is accepted: an empty one gets a fixed vector, lone surrogates count as U+FFFD. Raises
        EmbedderError for anything else, after `close`, or when the model file is missing or damaged.
        """
        checked_texts(texts, "static")
        return self._loaded().embed(texts)

    def close(self) -> None:
        """Release the model; closing twice is fine, embedding afterwards is an error."""
        with self._lock:
            self._closed = True
            self._engine = None

    def _loaded(self) -> _Engine:
        with self._lock:
            if self._closed:
                raise EmbedderError("the embedder was closed.", fix="make a new one.", backend="static")
            if self._engine is None:
                self._engine = _Engine(self._model_path, self._dimension)
            return self._engine


class _Engine:
    """The loaded model; immutable, so that threads share it without a lock."""

    def __init__(self, path: Path, dimension: int) -> None:
        model = read_model(path)
        self._tokenizer = PieceTokenizer(model.pieces)
        self._pool = PiecePool(model, dimension)
        self._unknown_scales = model.column_scales[:dimension] * np.float32(model.unknown_scale)
        self._dimension = dimension

    def embed(self, texts: Sequence[str]) -> FloatVectors:
        sums = np.zeros((len(texts), self._dimension), np.float32)
        for owners, spans in span_groups(texts):
            # Unbuffered addition, because several spans may belong to one text.
            np.add.at(sums, owners, self._span_sums(spans))
        return unit_rows(sums)

    def _span_sums(self, spans: list[str]) -> NDArray[np.float32]:
        rows, counts = self._tokenizer.rows(spans)
        span_of_row = np.repeat(np.arange(len(spans)), counts)
        unknown = rows == UNKNOWN
        known_counts = np.bincount(span_of_row[~unknown], minlength=len(spans))
        sums = self._pool.sums(rows[~unknown], known_counts)
        for span in np.unique(span_of_row[unknown]):
            words = self._tokenizer.unknown_words(spans[span])
            sums[span] += self._unknown_scales * hashed_sum(words, self._dimension)
        return sums
