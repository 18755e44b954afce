"""Embeddings by the name of a model: the public face of the embedders."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from ctxkit.cache import CachedEmbedder, EmbeddingCache
from ctxkit.errors import PluginError
from ctxkit.interfaces import Embedder
from ctxkit.interfaces.models import EmbeddingModel
from ctxkit.plugins import Component, PluginRegistry, get_registry
from ctxkit.plugins.construction import load_models
from ctxkit.records import FloatVector

__all__ = ["EmbeddingProvider"]

_log = logging.getLogger(__name__)
_OF_OTHER_MODELS: Final = "sentence-transformers"
_UNKNOWN: Final[dict[str, Any]] = {
    "provider": None,
    "dimension": None,
    "size_mb": None,
    "speed": None,
    "quality": None,
    "on_this_machine": None,
    "description": "",
}


class EmbeddingProvider:
    """Embeds text with the model of a name, and compares embeddings.

        provider = EmbeddingProvider("paraphrase-MiniLM-L3-v2")
        print(list(provider.list_available_models()))
        print(provider.similarity(provider.embed_single("a boat"), provider.embed_single("a ship")))

    `model_name` is the name of an installed embedder ("static" needs nothing), a model that one of them lists, or any
    name or folder that sentence-transformers knows. `provider` names the embedder where that is not enough; `options`
    are its own. With `cache`, a folder, what was embedded once is looked up the next time. Nothing is loaded, and no
    network is needed, before the first text is embedded.

    Embedding raises PluginNotFoundError with the line that installs the embedder, ConfigError, and EmbedderError, which
    says whether it was the network, the disk, the memory or the name.
    """

    def __init__(
        self,
        model_name: str = "all-MiniLM-L6-v2",
        *,
        provider: str | None = None,
        registry: PluginRegistry | None = None,
        cache: Path | str | None = None,
        **options: Any,
    ) -> None:
        self.model_name = model_name
        self._provider = provider
        self._registry = registry or get_registry()
        self._cache = cache
        self._options = options
        self._embedder: Embedder | None = None
        self._lock = threading.Lock()

    @property
    def embedder(self) -> Embedder:
        """The component behind it, made when it is first asked for."""
        with self._lock:
            if self._embedder is None:
                name = self.provider
                options = dict(self._options)
                if self.model_name != name and "model" in self._registry.config_class("embedder", name).model_fields:
                    options.setdefault("model", self.model_name)
                made = self._registry.create_embedder(name, options)
                self._embedder = made if self._cache is None else CachedEmbedder(made, EmbeddingCache(self._cache))
            return self._embedder

    @property
    def provider(self) -> str:
        """The name of the embedder that has the model, installed or not."""
        if self._provider is not None:
            return self._provider
        for component in self._registry.components("embedder"):
            if self.model_name in {component.name, component.qualified_name}:
                return self.model_name
        listed = self.list_available_models().get(self.model_name)
        return _OF_OTHER_MODELS if listed is None else str(listed["provider"])

    @property
    def dimension(self) -> int:
        """The length of each embedding; what the model's own files say, so they may have to be downloaded."""
        return self.embedder.dimension

    def get_dimension(self) -> int:
        """Return the length of each embedding."""
        return self.dimension

    def embed(self, texts: str | Sequence[str]) -> NDArray[np.float32]:
        """Return float32 of shape (len(texts), d), row i for text i; for one str of shape (d,)."""
        if isinstance(texts, str):
            return self.embed_single(texts)
        return self.embedder.embed_documents(texts)

    def embed_single(self, text: str) -> FloatVector:
        """Return the embedding of one text, as a text that is stored: float32 of shape (d,)."""
        vector: FloatVector = self.embedder.embed_documents([text])[0]
        return vector

    def embed_query(self, text: str) -> FloatVector:
        """Return the embedding of one text to search with, which in some models is another one: shape (d,)."""
        return self.embedder.embed_query(text)

    def similarity(self, embedding1: NDArray[Any], embedding2: NDArray[Any]) -> float:
        """Return the cosine of two embeddings, -1 to 1; 0 where one of them is all zeros."""
        return float(self.batch_similarity(embedding1, np.atleast_2d(embedding2))[0])

    def batch_similarity(self, query_embedding: NDArray[Any], embeddings: NDArray[Any]) -> NDArray[np.float64]:
        """Return the cosine of one embedding with each row of others: float64 of shape (n,), -1 to 1."""
        query = np.asarray(query_embedding, np.float64)
        rows = np.asarray(embeddings, np.float64).reshape(-1, query.shape[0])
        lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(query)
        cosines = np.divide(rows @ query, lengths, out=np.zeros(len(rows)), where=lengths > 0)
        clipped: NDArray[np.float64] = np.clip(cosines, -1.0, 1.0)
        return clipped

    def list_available_models(self) -> dict[str, dict[str, Any]]:
        """Return the usual models of the installed embedders by name, with what a choice needs.

        Each has `provider`, `dimension`, `size_mb`, `speed` ("very fast" to "slow"), `quality` ("excellent" to "fair"),
        `on_this_machine` (no download is needed) and `description`. Looks at the disk only, and loads no model.
        """
        found: dict[str, dict[str, Any]] = {}
        for component in self._registry.components("embedder"):
            for model in _models_of(component):
                found.setdefault(model.name, {"provider": component.name, **_described(model)})
        return found

    def get_model_info(self) -> dict[str, Any]:
        """Return what `list_available_models` says about this model; None for each value that nobody knows."""
        listed = self.list_available_models().get(self.model_name)
        return {**_UNKNOWN, **(listed or {"provider": self.provider})}

    def close(self) -> None:
        """Release the model; closing twice is fine."""
        with self._lock:
            if self._embedder is not None:
                self._embedder.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"EmbeddingProvider({self.model_name!r})"


def _models_of(component: Component) -> list[EmbeddingModel]:
    """Return what a plugin lists; nothing, with a WARNING, where that fails: the other catalogues still count."""
    try:
        return load_models(component)
    except PluginError as exc:
        _log.warning("the models of %s cannot be listed: %s", component.qualified_name, exc)
        return []


def _described(model: EmbeddingModel) -> dict[str, Any]:
    said: dict[str, Any] = model.model_dump(mode="python")
    said.pop("name")
    return said
