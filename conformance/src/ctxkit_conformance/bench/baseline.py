"""What a store is compared with: somebody who uses the raw library well, without ctxkit.

An author of a backend whose library is not known here subclasses Baseline, or IndexBaseline for a library that only
searches vectors, and names it: `ctxkit bench vector-store acme --baseline my_module:MyBaseline`.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from ctxkit.errors import MissingDependencyError
from ctxkit.records import FloatVector, FloatVectors, RecordBatch
from ctxkit_conformance.bench.data import Dataset
from ctxkit_conformance.bench.sqlite_rows import BareWriter, TextRows

Row: TypeAlias = tuple[str, float, str, Mapping[str, Any]]
Labels: TypeAlias = npt.NDArray[np.int64]
Similarities: TypeAlias = npt.NDArray[np.float32]


class Writer(Protocol):
    """Writes batches durably."""

    def write(self, batch: RecordBatch) -> None:
        """Write a batch; it is on disk when this returns."""

    def close(self) -> None:
        """Release everything."""


class Baseline(ABC):
    """The raw library with what its user needs beside it: text and metadata of what was found.

    `folder` is empty and its own; `options` are those of the store under test, so that both use the same parameters.
    The distance is the cosine.
    """

    requires: ClassVar[str] = ""
    install: ClassVar[str] = ""

    def __init__(self, folder: Path, dimension: int, options: Mapping[str, Any]) -> None:
        self.folder = folder
        self.dimension = dimension
        self.options = options

    @property
    @abstractmethod
    def label(self) -> str:
        """What it is, in a few words."""

    @abstractmethod
    def load(self, data: Dataset) -> None:
        """Take in all rows; no clock runs."""

    @abstractmethod
    def query(self, vectors: FloatVectors, k: int) -> list[list[Row]]:
        """Return for each query, float32[n, d], its k nearest rows with text and metadata, best first."""

    def filtered(self, vector: FloatVector, k: int, where: Mapping[str, Any]) -> list[Row] | None:  # noqa: ARG002
        """Return the k nearest rows that pass a filter; None where the library has no filters of its own."""
        return None

    def writer(self, folder: Path) -> Writer:
        """Return what writes batches durably into a new folder: by default SQLite, without any index of vectors."""
        return BareWriter(folder)

    def save(self) -> bool:
        """Keep in the folder what another process needs for `restore`; False where that cannot be done."""
        return False

    def restore(self) -> None:
        """Be again what was saved in the folder."""
        raise NotImplementedError(f"{type(self).__name__} does not define restore()")

    def touch(self, vector: FloatVector, k: int) -> None:
        """Search once with the index alone, so that what it needs is in memory."""
        self.query(vector[None], k)

    def close(self) -> None:  # noqa: B027 - not every library has something to release
        """Release everything."""


class IndexBaseline(Baseline):
    """A library that searches vectors by place; SQLite holds the rest, by the same numbers."""

    def __init__(self, folder: Path, dimension: int, options: Mapping[str, Any]) -> None:
        super().__init__(folder, dimension, options)
        folder.mkdir(parents=True, exist_ok=True)
        self._rows = TextRows(folder / "rows.db")

    @abstractmethod
    def build(self, vectors: FloatVectors) -> None:
        """Index vectors, float32[n, d] of length 1, as 0, 1, 2, ..."""

    @abstractmethod
    def search(self, vectors: FloatVectors, k: int) -> tuple[Labels, Similarities]:
        """Return the k nearest of each query and their cosines, best first; queries may have any length but 0."""

    @property
    def threads(self) -> int:
        """How many threads one search may use: as many as the store was told to."""
        return int(self.options.get("threads", 1))

    def load(self, data: Dataset) -> None:
        """Index the vectors and write the rest."""
        self.build(data.vectors)
        self._rows.load(data.ids, data.texts, data.metadata)

    def query(self, vectors: FloatVectors, k: int) -> list[list[Row]]:
        """Search, and read what was found."""
        labels, similarities = self.search(vectors, k)
        return self.with_rows(labels.tolist(), similarities.tolist())

    def with_rows(self, labels: Sequence[Sequence[int]], similarities: Sequence[Sequence[float]]) -> list[list[Row]]:
        """Read the rows of several answers, and put them together."""
        # An index that finds fewer than k fills up with -1.
        fetched = iter(self._rows.read([label for found in labels for label in found if label >= 0]))
        return [
            [
                (id_, score, text, metadata)
                for (id_, text, metadata), score in (
                    (next(fetched), score) for label, score in zip(found, scores, strict=True) if label >= 0
                )
            ]
            for found, scores in zip(labels, similarities, strict=True)
        ]

    def touch(self, vector: FloatVector, k: int) -> None:
        """Search the index."""
        self.search(vector[None], k)

    def close(self) -> None:
        """Close the database."""
        self._rows.close()


def unit(vectors: FloatVectors) -> FloatVectors:
    """Return vectors of length 1, as the cosine of an inner-product index needs them."""
    made: FloatVectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return made


def library(name: str, install: str) -> Any:
    """Import a library only now; raises MissingDependencyError with the line that installs it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingDependencyError(f"the raw library {name} cannot be imported: {error}.", fix=install) from error
