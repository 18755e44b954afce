"""The embedder interface: text in, float32 vectors out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from types import TracebackType
from typing import TypeVar

from typing_extensions import Self

from ctxkit.records import FloatVector, FloatVectors

EmbedderT = TypeVar("EmbedderT", bound="Embedder")


class Embedder(ABC):
    """Turns text into vectors. Constructed from its configuration; safe to call from several threads."""

    @property
    @abstractmethod
    def dimension(self) -> int:
        """The length d of each vector."""

    @property
    @abstractmethod
    def normalized(self) -> bool:
        """Whether every vector has unit length."""

    @property
    @abstractmethod
    def max_tokens(self) -> int | None:
        """How many of the model's own tokens of a text count (None: all of them)."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """A name that changes if and only if the vectors do."""

    @abstractmethod
    def embed_documents(self, texts: Sequence[str]) -> FloatVectors:
        """Embed texts to store: finite float32 of shape (len(texts), d), row i for text i.

        Every str is accepted, the empty one included. Raises EmbedderError when the model fails.
        """

    def embed_query(self, text: str) -> FloatVector:
        """Embed one text to search with: finite float32 of shape (d,)."""
        vector: FloatVector = self.embed_documents([text])[0]
        return vector

    def close(self) -> None:  # noqa: B027 - most embedders hold nothing to release
        """Release the model; closing twice is fine."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
