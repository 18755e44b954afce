"""Small real components for the tests: an embedder of hashed words, and one that fails or hangs when told to."""

from __future__ import annotations

import re
import threading
import zlib
from collections.abc import Sequence
from types import SimpleNamespace

import numpy as np

from ctxkit import Config, EmbedderConfig, MemoryConfig, PluginRegistry, VectorStoreConfig
from ctxkit.hookspecs import hookimpl
from ctxkit.interfaces import BackendConfig, BackendSpec, Embedder, EmbedderCapabilities
from ctxkit.records import FloatVectors

DIMENSION = 64


class WordsConfig(BackendConfig):
    """The dimension of the hashed space."""

    dimension: int = DIMENSION


class WordEmbedder(Embedder):
    """Texts that share words have similar vectors: each word adds one pseudo-random direction."""

    def __init__(self, config: WordsConfig) -> None:
        self._dimension = config.dimension

    @property
    def dimension(self) -> int:
        """As configured."""
        return self._dimension

    @property
    def normalized(self) -> bool:
        """Always."""
        return True

    @property
    def max_tokens(self) -> int | None:
        """No limit."""
        return None

    @property
    def fingerprint(self) -> str:
        """Depends on the dimension alone."""
        return f"words-{self._dimension}"

    def embed_documents(self, texts: Sequence[str]) -> FloatVectors:
        """Sum the directions of the words."""
        rows = np.zeros((len(texts), self._dimension), dtype=np.float32)
        for number, text in enumerate(texts):
            for word in re.findall(r"\w+", text.lower()) or [""]:
                rows[number] += np.random.default_rng(zlib.crc32(word.encode())).standard_normal(self._dimension)
        unit: FloatVectors = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return unit


class Faults:
    """What the faulty embedder does, for one test.

    `mode` is "ok", "raise", "hang", "zeros", "huge", "shape" or "picky".
    """

    def __init__(self) -> None:
        self.mode = "ok"
        self.release = threading.Event()
        self.calls = 0


class FaultyEmbedder(WordEmbedder):
    """Works, raises, hangs, or returns rubbish, as `faults` says."""

    faults = Faults()

    def embed_documents(self, texts: Sequence[str]) -> FloatVectors:
        """Do what the faults say."""
        faults = self.faults
        faults.calls += 1
        if faults.mode == "raise":
            raise RuntimeError("the model is gone")
        if faults.mode == "hang":
            faults.release.wait(60)
        if faults.mode == "zeros":
            return np.zeros((len(texts), self.dimension), dtype=np.float32)
        if faults.mode == "huge":
            return np.full((len(texts), self.dimension), 3e38, dtype=np.float32)
        if faults.mode == "picky" and any("poison" in text for text in texts):
            raise ValueError("not this one")
        if faults.mode == "shape":
            return np.zeros((len(texts), self.dimension + 1), dtype=np.float32)
        return super().embed_documents(texts)

    def close(self) -> None:
        """Fail or hang like the rest."""
        if self.faults.mode == "raise":
            raise RuntimeError("cannot be released")
        if self.faults.mode == "hang":
            self.faults.release.wait(60)


class BrokenEmbedder(WordEmbedder):
    """Cannot say what it is."""

    @property
    def fingerprint(self) -> str:
        """Divide by zero."""
        return str(1 / 0)


class OtherWordEmbedder(WordEmbedder):
    """Another model, which happens to make vectors of the same length."""

    @property
    def fingerprint(self) -> str:
        """Another one."""
        return f"other-{super().fingerprint}"


class CostlyEmbedder(WordEmbedder):
    """The same, but a call is declared to cost something."""


@hookimpl
def ctxkit_embedders() -> list[BackendSpec]:
    """Announce all of them."""
    return [
        BackendSpec(
            name=name,
            factory=f"components:{factory}",
            config="components:WordsConfig",
            capabilities=EmbedderCapabilities(dimension=DIMENSION, costs=name == "costly"),
            summary="for tests",
        )
        for name, factory in {
            "words": "WordEmbedder",
            "faulty": "FaultyEmbedder",
            "broken": "BrokenEmbedder",
            "other-words": "OtherWordEmbedder",
            "costly": "CostlyEmbedder",
        }.items()
    ]


def registry(plugins: str = "core") -> PluginRegistry:
    """Return a registry of its own with the components of these plugins, separated by commas, and those here."""
    found = PluginRegistry.discover({"CTXKIT_PLUGINS": plugins})
    found.register(SimpleNamespace(ctxkit_embedders=ctxkit_embedders), name="test-components")
    return found


def config(*, embedder: str = "words", **memory: object) -> Config:
    """Return a configuration on the exact store and the embedder of that name."""
    return Config(
        memory=MemoryConfig.model_validate(memory),
        embedder=EmbedderConfig(provider=embedder),
        vector_store=VectorStoreConfig(provider="exact"),
    )
