"""What the tests of moving share: every backend, records that are hard to keep, and stores that keep them badly."""

from __future__ import annotations

import atexit
import hashlib
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pytest
from components import registry

from ctxkit.defaults.exact import ExactStore
from ctxkit.filters import Where
from ctxkit.hookspecs import hookimpl
from ctxkit.interfaces import BackendSpec, Capabilities, CollectionSpec
from ctxkit.local.capabilities import local_capabilities
from ctxkit.local.config import LocalConfig
from ctxkit.moving import StorePlace
from ctxkit.records import Hits, Metric, Record, RecordBatch

BACKENDS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "exact": ("exact", {}),
    "faiss": ("faiss", {}),
    "faiss-hnsw": ("faiss", {"index_type": "HNSW", "exact_below": 0, "index_build": "inline"}),
    "hnswlib": ("hnswlib", {"exact_below": 0, "index_build": "inline"}),
    "chroma": ("chroma", {}),
    "pgvector": ("pgvector", {}),
}
# hnswlib comes as source, so it is not everywhere.
NAMES: Final = [pytest.param(name, marks=pytest.mark.needs_hnswlib) if name == "hnswlib" else name for name in BACKENDS]
DIMENSION: Final = 8
COLLECTION: Final = "c"


class LossyStore(ExactStore):
    """Keeps one digit of each number of a vector, and says nothing."""

    backend = "lossy"

    def upsert(self, records: Sequence[Record] | RecordBatch) -> None:
        """Round before writing."""
        super().upsert([Record(r.id, r.text, np.round(np.asarray(r.vector), 1), r.metadata) for r in records])


class BlindStore(ExactStore):
    """Finds the nearest half of what was asked for, and fills up with the farthest."""

    backend = "blind"

    def query(self, vectors: npt.ArrayLike, k: int, *, where: Where | None = None, **options: Any) -> list[Hits]:
        """Leave out what lies between."""
        found = super().query(vectors, self.count(), where=where, **options)
        return [Hits([*hits[: k // 2], *hits[-(k - k // 2) :]]) for hits in found]


class UnorderedConfig(LocalConfig):
    """A store that promises little."""

    def capabilities(self) -> Capabilities:
        """Leave the order out, and more."""
        less = {"ordered_scan": False, "max_batch": 7, "metrics": {"cosine"}, "min_dimension": 2}
        return super().capabilities().model_copy(update=less)


class UnorderedStore(ExactStore):
    """Scans in no order of a field, and takes small batches."""

    backend = "unordered"

    def upsert(self, records: Sequence[Record] | RecordBatch) -> None:
        """Refuse what is too many."""
        assert len(records) <= 7
        super().upsert(records)

    def scan(self, where: Where | None = None, *, order_by: str | None = None, **options: Any) -> Iterator[Record]:
        """Refuse an order."""
        assert order_by is None
        return super().scan(where, **options)


class Halting:
    """A progress that interrupts at its n-th call of one phase."""

    def __init__(self, phase: str, calls: int) -> None:
        self.phase = phase
        self.left = calls

    def __call__(self, phase: str, _done: int, _total: int) -> None:
        """Count, and raise as Ctrl-C does."""
        self.left -= phase == self.phase
        if phase == self.phase and not self.left:
            raise KeyboardInterrupt


@hookimpl
def ctxkit_vector_stores() -> list[BackendSpec]:
    """Announce the bad stores."""
    return [
        BackendSpec(
            name=name,
            factory=f"moving_support:{name.title()}Store",
            config=f"moving_support:{'UnorderedConfig' if name == 'unordered' else 'LocalConfig'}",
            capabilities=local_capabilities(durable=True),
            summary="for tests",
        )
        for name in ("lossy", "blind", "unordered")
    ]


def make_registry() -> Any:
    """Return a registry of the shipped stores, the bad ones, and the tests' embedders."""
    found = registry("core,ctxkit-faiss,ctxkit-hnswlib,ctxkit-chroma,ctxkit-pgvector")
    found.register(SimpleNamespace(ctxkit_vector_stores=ctxkit_vector_stores), name="bad-stores")
    return found


REGISTRY: Final = make_registry()


@cache
def server() -> str:
    """Return how to reach PostgreSQL, which is started once for all tests of a process and ends with it."""
    from ctxkit_pgvector.server import PostgresServer  # noqa: PLC0415 - most of what imports this needs no server

    started = PostgresServer()
    atexit.register(started.stop)
    return started.conninfo


def place(name: str, folder: Path) -> StorePlace:
    """Return a place of one of the backends, or of a store by its own name; a server has a schema for each folder."""
    provider, options = BACKENDS.get(name, (name, {}))
    if provider == "pgvector":
        schema = f"of_{hashlib.blake2b(bytes(folder), digest_size=12).hexdigest()}"
        return StorePlace(provider, {"conninfo": server(), "schema_name": schema, **options}, REGISTRY)
    return StorePlace(provider, {"path": folder, **options}, REGISTRY)


def spec_of(metric: Metric = "cosine", **changes: Any) -> CollectionSpec:
    """Return the collection of these tests."""
    fields = {"n": "int", "x": "number"}
    return CollectionSpec(
        **{
            "name": COLLECTION,
            "dimension": DIMENSION,
            "metric": metric,
            "fingerprint": "m",
            "fields": fields,
            **changes,
        }
    )


def nasty() -> list[Record]:
    """Return records with everything that is easily changed on the way."""
    rng = np.random.default_rng(5)
    vectors = rng.normal(size=(60, DIMENSION)).astype(np.float32)
    vectors[0, :3] = [-0.0, 1e-42, 3e18]
    vectors[2] = vectors[1]
    vectors[3] *= np.float32(1e-30)
    values: list[Any] = [1, 1.0, True, "1", [1], [1.0], [True], ["1"], 2**63 - 1, -(2**63), 2**53 + 1, -0.0, 5e-324]
    values += [1.7976931348623157e308, 0.1, float(2**53), "", "nul \0 in it", "\u2028\ufeff'; DROP TABLE x; --", False]
    ids = ["a", "A", "ä", "a\u0308", "nul\0", " ", "\U0001f600", "\uffff", "../x", "$id", "x" * 512, "%s{}\n"]
    ids += [f"r{number:02d}" for number in range(len(ids), 60)]
    texts = ["", "\0", "quick fox\r\n", "日本語の文章", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "long " * 3000]
    return [
        Record(
            record_id,
            texts[row % len(texts)],
            vectors[row],
            {
                "n": row,
                "value": values[row % len(values)],
                "ключ \0 $": row / 7,
                **({"x": 1.0} if row % 3 else {"x": 1}),
            },
        )
        for row, record_id in enumerate(ids)
    ]


def plain(count: int, *, start: int = 0) -> list[Record]:
    """Return many small records."""
    rng = np.random.default_rng(start)
    vectors = rng.normal(size=(count, DIMENSION)).astype(np.float32)
    return [Record(f"p{start + row:05d}", f"text {row}", vectors[row], {"n": row}) for row in range(count)]


def fill(there: StorePlace, records: Sequence[Record], spec: CollectionSpec | None = None) -> None:
    """Write a collection."""
    with there.open(spec or spec_of()) as store:
        step = store.capabilities.max_batch or len(records) or 1
        for first in range(0, len(records), step):
            store.upsert(records[first : first + step])


def contents(there: StorePlace, collection: str = COLLECTION) -> dict[str, tuple[str, bytes | None, str]]:
    """Return what a collection holds: text, the bytes of the vector, metadata with their types."""
    with there.open(there.existing(collection)) as store:
        return {record.id: _kept(record) for record in store.scan(include_vectors=True)}


def _kept(record: Record) -> tuple[str, bytes | None, str]:
    vector = None if record.vector is None else np.asarray(record.vector, np.float32).tobytes()
    return record.text, vector, repr(sorted(record.metadata.items()))
