"""Caches: what was computed once, or paid for, is kept for the next time."""

from __future__ import annotations

from ctxkit.cache.embedder import CachedEmbedder, with_cache
from ctxkit.cache.embeddings import EmbeddingCache

__all__ = ["CachedEmbedder", "EmbeddingCache", "with_cache"]
