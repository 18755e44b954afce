"""The embedder: validates, loads at the first use, and lets concurrent callers share batches."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from ctxkit.errors import EmbedderError
from ctxkit.interfaces import Embedder
from ctxkit.records import FloatVector, FloatVectors
from ctxkit_sentence_transformers.batching import MicroBatcher
from ctxkit_sentence_transformers.config import SentenceTransformersConfig
from ctxkit_sentence_transformers.description import content_hash, dimension_in, is_normalized, prompts_in
from ctxkit_sentence_transformers.failures import NAME, load_failure
from ctxkit_sentence_transformers.files import locate, weights_of

if TYPE_CHECKING:
    from ctxkit_sentence_transformers.encoder import Encoder

# Raised whenever the same files would give other vectors because of something here.
ALGORITHM_VERSION: Final = 1
_living: weakref.WeakSet[SentenceTransformersEmbedder] = weakref.WeakSet()


class SentenceTransformersEmbedder(Embedder):
    """Embeds text with a model of sentence-transformers, in batches that concurrent callers share.

    Nothing is imported, read or fetched before it is needed: `dimension` and `fingerprint` need the model's files,
    which are downloaded once, and embedding needs torch. Raises EmbedderError, which says whether it was the network,
    the disk, the memory or the name.
    """

    def __init__(self, config: SentenceTransformersConfig | None = None) -> None:
        self._config = config or SentenceTransformersConfig()
        self._batcher = MicroBatcher(self._run, self._config.batch_size)
        self._closed = False
        self._folder: Path | None = None
        self._fingerprint: str | None = None
        self._encoder: Encoder | None = None
        self._failure: EmbedderError | None = None
        self._failures = 0
        self._lock = threading.RLock()
        _living.add(self)

    def renew(self) -> None:
        """Make the locks anew: in a forked child, threads that held them are gone, and so are those of torch."""
        self._lock = threading.RLock()
        self._batcher.renew()
        if self._encoder is not None:
            self._encoder.use_one_thread()

    @property
    def dimension(self) -> int:
        """The length of each vector."""
        if self._config.dimension is not None:
            return self._config.dimension
        return dimension_in(self._located()) or self._loaded().dimension

    @property
    def normalized(self) -> bool:
        """Whether vectors are brought to unit length."""
        return self._config.normalize

    @property
    def max_tokens(self) -> int | None:
        """How many of the model's tokens of a text count, the prompt and the marks at its ends left out."""
        return self._loaded().max_tokens

    @property
    def fingerprint(self) -> str:
        """The name of the model and a digest of its files and of every option that changes a vector."""
        if self._fingerprint is None:
            self._fingerprint = self._make_fingerprint(self._located())
        return self._fingerprint

    def embed_documents(self, texts: Sequence[str]) -> FloatVectors:
        """Return vectors, float32 of shape (len(texts), dimension), row i for text i.

        Any str is accepted, and what is beyond `max_tokens` does not count. Raises EmbedderError.
        """
        given = _checked(texts)
        if not given:
            return np.zeros((0, self.dimension), np.float32)
        return self._embedded("document", given)

    def embed_query(self, text: str) -> FloatVector:
        """Return the vector of one text to search with, float32 of shape (dimension,). Raises EmbedderError."""
        vector: FloatVector = self._embedded("query", _checked([text]))[0]
        return vector

    def close(self) -> None:
        """Release the model; closing twice is fine, embedding afterwards is an error."""
        with self._lock:
            self._closed = True
            self._encoder = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}(model={self._config.model!r}, backend={self._config.backend!r})"

    def _embedded(self, purpose: Literal["document", "query"], texts: list[str]) -> FloatVectors:
        return self._batcher.submit(self._loaded().route(purpose), texts)

    def _run(self, route: str, texts: list[str]) -> FloatVectors:
        return self._loaded().encode(route, texts)

    def _located(self) -> Path:
        with self._lock:
            if self._folder is None:
                self._refuse_closed()
                try:
                    self._folder = locate(self._config)
                except EmbedderError:
                    raise
                except Exception as exc:
                    raise load_failure(exc, self._config.model) from exc
            return self._folder

    def _loaded(self) -> Encoder:
        """Return the loaded model; whoever waited while it failed to load for another is told so at once."""
        failures = self._failures
        encoder = self._encoder
        if encoder is not None:
            return encoder
        with self._lock:
            self._refuse_closed()
            if self._failure is not None and self._failures != failures:
                raise EmbedderError(self._failure.message, fix=self._failure.fix, backend=NAME) from self._failure
            if self._encoder is None:
                from ctxkit_sentence_transformers.encoder import Encoder  # noqa: PLC0415 - it imports torch

                try:
                    self._encoder = Encoder(self._located(), self._config)
                except EmbedderError as error:
                    self._failure, self._failures = error, self._failures + 1
                    raise
            return self._encoder

    def _refuse_closed(self) -> None:
        if self._closed:
            raise EmbedderError("the embedder was closed.", fix="make a new one.", backend=NAME)

    def _make_fingerprint(self, folder: Path) -> str:
        config = self._config
        prompts = prompts_in(folder)
        own = {"query": config.query_prompt, "document": config.document_prompt}
        prompts["prompts"] |= {name: prompt for name, prompt in own.items() if prompt is not None}
        prompts["prompts"] = {name: prompt for name, prompt in prompts["prompts"].items() if prompt}
        made_unit = config.normalize or (is_normalized(folder) and config.dimension is None)
        whole = dimension_in(folder)
        options = {
            "files": content_hash(folder, weights_of(folder, config)),
            "backend": config.backend,
            "prompts": prompts,
            "normalized": made_unit,
            "dimension": None if config.dimension == whole else config.dimension,
            "version": ALGORITHM_VERSION,
        }
        digest = hashlib.sha256(json.dumps(options, sort_keys=True).encode()).hexdigest()
        length = config.dimension or whole or self._loaded().dimension
        return f"{NAME}-{digest[:24]}-d{length}"


def _checked(texts: Sequence[str]) -> list[str]:
    """Return the texts as a model can read them; raises EmbedderError for what is no text."""
    if isinstance(texts, (str, bytes)):
        raise EmbedderError(
            f"embed_documents takes a list of texts, not one {type(texts).__name__}.",
            fix="pass [text], or call embed_query(text).",
            backend=NAME,
        )
    found = list(texts)
    for place, text in enumerate(found):
        if not isinstance(text, str):
            raise EmbedderError(
                f"text {place} is a {type(text).__name__}, not a str.",
                fix="convert it before it is embedded.",
                backend=NAME,
            )
        if not text.isascii():
            found[place] = _well_formed(text)
    return found


def _well_formed(text: str) -> str:
    """Return the text with surrogate pairs joined and lone surrogates replaced by U+FFFD."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def _renew_all() -> None:
    for embedder in list(_living):
        embedder.renew()


os.register_at_fork(after_in_child=_renew_all)
