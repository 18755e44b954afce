"""An embedder that asks its cache first."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ctxkit.cache.embeddings import EmbeddingCache, Purpose
from ctxkit.errors import EmbedderError
from ctxkit.interfaces import Embedder, EmbedderCapabilities
from ctxkit.records import FloatVector, FloatVectors


class CachedEmbedder(Embedder):
    """The vectors of another embedder, each computed once: the next time, and in the next process, it is looked up.

    A text that occurs twice in a call is embedded once. `hits` and `misses` count texts. Closing it closes the embedder
    and the cache.
    """

    def __init__(self, embedder: Embedder, cache: EmbeddingCache) -> None:
        self.embedder = embedder
        self.cache = cache
        self.hits = 0
        self.misses = 0
        self._closed = False

    @property
    def dimension(self) -> int:
        """As the embedder."""
        return self.embedder.dimension

    @property
    def normalized(self) -> bool:
        """As the embedder."""
        return self.embedder.normalized

    @property
    def max_tokens(self) -> int | None:
        """As the embedder."""
        return self.embedder.max_tokens

    @property
    def fingerprint(self) -> str:
        """As the embedder: a cached vector is the same vector."""
        return self.embedder.fingerprint

    def embed_documents(self, texts: Sequence[str]) -> FloatVectors:
        """Return vectors as the embedder's; raises EmbedderError for what it fails at and the cache has not."""
        if isinstance(texts, (str, bytes)) or not texts or not all(isinstance(text, str) for text in texts):
            return self.embedder.embed_documents(texts)  # which knows how to refuse it
        found = self._found("document", texts)
        missing = [text for text in dict.fromkeys(texts) if text not in found]
        if missing:
            rows = self.embedder.embed_documents(missing)
            made = dict(zip(missing, rows, strict=True))
            self.cache.put(self.fingerprint, "document", made)
            found |= made
        self._count(len(texts), len(missing))
        return np.stack([found[text] for text in texts])

    def embed_query(self, text: str) -> FloatVector:
        """Return the vector as the embedder's; errors as for `embed_documents`."""
        is_text = isinstance(text, str)
        vector = self._found("query", [text]).get(text) if is_text else None
        self._count(1, int(vector is None))
        if vector is None:
            vector = self.embedder.embed_query(text)  # which knows how to refuse what is no text
            self.cache.put(self.fingerprint, "query", {text: vector})
        return vector

    def close(self) -> None:
        """Close the embedder and the cache; closing twice is fine, embedding afterwards is an error."""
        self._closed = True
        self.cache.close()
        self.embedder.close()

    def _found(self, purpose: Purpose, texts: Sequence[str]) -> dict[str, FloatVector]:
        """Return what the cache has of these texts, in vectors of the right length."""
        if self._closed:
            raise EmbedderError("the embedder was closed.", fix="make a new one.")
        found = self.cache.get(self.fingerprint, purpose, dict.fromkeys(texts))
        return {text: vector for text, vector in found.items() if vector.shape == (self.dimension,)}

    def _count(self, texts: int, missing: int) -> None:
        self.misses += missing
        self.hits += texts - missing


def with_cache(embedder: Embedder, declared: EmbedderCapabilities, folder: Path | None) -> Embedder:
    """Return the embedder with a cache in `folder` where its calls cost money or much time; otherwise itself."""
    if folder is None or not declared.costs:
        return embedder
    return CachedEmbedder(embedder, EmbeddingCache(folder))
