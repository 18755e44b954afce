"""What a user can set on the static embedder."""

from __future__ import annotations

from typing import Literal

from ctxkit.interfaces import BackendConfig, EmbedderCapabilities


class StaticConfig(BackendConfig):
    """How many components of the model to keep.

    The components are ordered by the variance that they explain, so the first 256, 128 or 64 of them are the
    best vectors of that length; they are brought back to unit length. Fewer cost recall and save memory.
    """

    dimension: Literal[384, 256, 128, 64] = 384

    def capabilities(self) -> EmbedderCapabilities:
        """Return what the embedder can do with this many components."""
        return EmbedderCapabilities(dimension=self.dimension, normalized=True, offline=True, truncates=False)
