"""Capabilities cut both ways: a store that declares little and refuses the rest passes every check."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy.typing as npt
from ctxkit_conformance import QuickVectorStoreContract
from typing_extensions import Self

from ctxkit.defaults.exact import ExactConfig, ExactStore
from ctxkit.errors import UnsupportedError
from ctxkit.filters import Where, check_operators
from ctxkit.interfaces import BackendConfig, Capabilities, CollectionSpec
from ctxkit.records import Hits, Record, RecordBatch, normalize_batch

LEAN: Final = Capabilities(
    metrics=frozenset({"l2"}),
    exact=False,
    filter_operators=frozenset({"$eq", "$gt", "$in", "$and"}),
    max_batch=64,
    min_dimension=2,
)


class LeanConfig(ExactConfig):
    """A configuration that leaves its capabilities to the specification of the backend."""

    def capabilities(self) -> Any:
        """Not say."""
        return None


class LeanStore(ExactStore):
    """The exact store, but with one metric, four operators, small batches, and neither words nor order."""

    backend = "lean"

    @property
    def capabilities(self) -> Capabilities:
        """Declare little."""
        return LEAN

    @classmethod
    def open(cls, spec: CollectionSpec, config: BackendConfig) -> Self:
        """Refuse other metrics and too few dimensions."""
        if spec.metric not in LEAN.metrics or spec.dimension < LEAN.min_dimension:
            raise UnsupportedError("this is not declared.", fix="use l2 and two dimensions.", backend=cls.backend)
        return super().open(spec, config)

    def upsert(self, records: Sequence[Record] | RecordBatch) -> None:
        """Refuse large batches and records without a vector."""
        self.count()
        spec = self.spec
        batch = normalize_batch(
            records,
            dimension=spec.dimension,
            metric=spec.metric,
            fields=spec.fields,
            optional_vectors=False,
            max_batch=LEAN.max_batch,
        )
        super().upsert(batch)

    def delete(self, ids: Sequence[str] | None = None, *, where: Where | None = None) -> int:
        """Refuse other operators."""
        self._check(where)
        return super().delete(ids, where=where)

    def count(self, where: Where | None = None) -> int:
        """Refuse other operators."""
        self._check(where)
        return super().count(where)

    def query(self, vectors: npt.ArrayLike, k: int, *, where: Where | None = None, **options: Any) -> list[Hits]:
        """Refuse other operators."""
        self._check(where)
        return super().query(vectors, k, where=where, **options)

    def text_query(self, text: str, k: int, *, where: Where | None = None) -> Hits:  # noqa: ARG002 - refused anyway
        """Refuse."""
        raise UnsupportedError("there is no text search.", fix="use query.", backend=self.backend)

    def scan(self, where: Where | None = None, *, order_by: str | None = None, **options: Any) -> Iterator[Record]:
        """Refuse an order, and other operators."""
        self._check(where)
        if order_by is not None:
            raise UnsupportedError("there is no ordered scan.", fix="sort what scan yields.", backend=self.backend)
        return super().scan(where, **options)

    def _check(self, where: Where | None) -> None:
        check_operators(where, LEAN.filter_operators, backend=self.backend)


class TestLean(QuickVectorStoreContract):
    """The suite takes the refusals for what they are."""

    store_class = LeanStore
    capabilities = LEAN

    def make_config(self, folder: Path) -> LeanConfig:  # noqa: ARG002 - nothing is kept anywhere
        """Return a configuration without a path."""
        return LeanConfig()
