"""Stores for the tests of the benchmark: one of a stranger, one that forgets, and a baseline that an author gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy.typing as npt
from ctxkit_conformance.bench.baselines.brute import BruteBaseline

from ctxkit.defaults.exact import ExactConfig, ExactStore
from ctxkit.filters import Where
from ctxkit.hookspecs import hookimpl
from ctxkit.interfaces import BackendSpec, Capabilities
from ctxkit.records import Hits, Record, RecordBatch

PLAIN: Final = Capabilities(
    metrics=frozenset({"l2"}), exact=True, filter_operators=frozenset({"$eq"}), max_batch=50, persistent=False
)


class PlainConfig(ExactConfig):
    """Nothing on disk, and little that is declared."""

    def capabilities(self) -> Capabilities:
        """Declare one metric, one operator and small batches."""
        return PLAIN


class PlainStore(ExactStore):
    """A stranger's store: the benchmark knows no library behind it."""

    backend = "plain"

    @property
    def capabilities(self) -> Capabilities:
        """Declare little."""
        return PLAIN

    def upsert(self, records: Sequence[Record] | RecordBatch) -> None:
        """Refuse what is declared to be too much."""
        assert len(records) <= 50
        super().upsert(records)


class ForgetfulStore(ExactStore):
    """A store that filters what an unfiltered search has found, as indexes without filters tempt one to."""

    backend = "forgetful"

    def query(self, vectors: npt.ArrayLike, k: int, *, where: Where | None = None, **more: Any) -> list[Hits]:
        """Leave out of the nearest those that do not pass."""
        nearest = super().query(vectors, k, **more)
        if where is None:
            return nearest
        passing = {record.id for record in self.scan(where)}
        return [Hits([hit for hit in hits if hit.id in passing]) for hits in nearest]


class OwnBaseline(BruteBaseline):
    """What an author compares with."""

    @property
    def label(self) -> str:
        """Say which options came."""
        return f"my own, path {self.options['path'] is not None}"


def no_baseline(*_arguments: object, **_options: Mapping[str, Any]) -> object:
    """Return something else than a baseline."""
    return object()


@hookimpl
def ctxkit_vector_stores() -> list[BackendSpec]:
    """Announce both."""
    here, declared = __name__, ExactConfig().capabilities()
    return [
        BackendSpec(
            name="plain",
            factory=f"{here}:PlainStore",
            config=f"{here}:PlainConfig",
            capabilities=PLAIN,
            summary="a stranger's",
        ),
        BackendSpec(
            name="forgetful",
            factory=f"{here}:ForgetfulStore",
            config="ctxkit.defaults.exact:ExactConfig",
            capabilities=declared,
            summary="filters afterwards",
        ),
    ]
