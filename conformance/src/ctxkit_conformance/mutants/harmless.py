"""Stores that differ from the exact store and are right all the same: each has to pass everything."""

from __future__ import annotations

import fcntl
import hashlib
import os
import random
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt
from typing_extensions import Self, override

from ctxkit.defaults.exact import ExactConfig, ExactStore
from ctxkit.errors import StoreLockedError, UnsupportedError
from ctxkit.filters import Where, check_operators
from ctxkit.interfaces import BackendConfig, Capabilities, CollectionSpec
from ctxkit.local.search import similarity
from ctxkit.records import FloatVectors, Hit, Hits, Record, normalize_batch
from ctxkit_conformance.mutants.bases import Reading, Scoring, Searching, Written, sound

LEAN: Final = Capabilities(
    metrics=frozenset({"l2"}),
    exact=False,
    filter_operators=frozenset({"$eq", "$gt", "$in", "$and"}),
    max_batch=64,
    min_dimension=2,
)


class WritesBackwards(ExactStore):
    """Writes the records of a batch from the last to the first."""

    @override
    def upsert(self, records: Written) -> None:
        super().upsert(sound(self, records)[::-1])


class ScansShuffled(ExactStore):
    """Scans in an order of its own where none was asked for."""

    @override
    def scan(self, where: Where | None = None, *, order_by: str | None = None, **options: Any) -> Iterator[Record]:
        found = super().scan(where, order_by=order_by, **options)
        if order_by is not None:
            return found
        records = list(found)
        random.Random(len(records)).shuffle(records)  # noqa: S311 - any order will do
        return iter(records)


class Delayed(ExactStore):
    """Takes a millisecond longer for each call, as over a network."""

    @override
    def upsert(self, records: Written) -> None:
        time.sleep(0.001)
        super().upsert(records)

    @override
    def get(self, ids: Sequence[str], **options: Any) -> list[Record | None]:
        time.sleep(0.001)
        return super().get(ids, **options)

    @override
    def query(self, vectors: npt.ArrayLike, k: int, **options: Any) -> list[Hits]:
        time.sleep(0.001)
        return super().query(vectors, k, **options)

    @override
    def scan(self, where: Where | None = None, **options: Any) -> Iterator[Record]:
        time.sleep(0.001)
        return super().scan(where, **options)


class SmallBatchesConfig(ExactConfig):
    """The configuration of a store that takes forty records at once."""

    @override
    def capabilities(self) -> Capabilities:
        return super().capabilities().model_copy(update={"max_batch": 40})


class TakesSmallBatches(ExactStore):
    """Declares a limit of forty records per batch and keeps to it."""

    config_class: ClassVar[type[ExactConfig]] = SmallBatchesConfig

    @override
    def upsert(self, records: Written) -> None:
        self.count()
        spec = self.spec
        super().upsert(
            normalize_batch(
                records,
                dimension=spec.dimension,
                metric=spec.metric,
                fields=spec.fields,
                max_batch=self.capabilities.max_batch,
            )
        )


class OtherContainers(Reading, Searching):
    """Returns vectors that nobody can write to, and metadata in another kind of dict."""

    @override
    def shown(self, record: Record) -> Record:
        return replace(record, vector=_frozen(record.vector), metadata=OrderedDict(record.metadata))

    @override
    def spoiled(self, hit: Hit) -> Hit:
        return replace(hit, vector=_frozen(hit.vector), metadata=OrderedDict(hit.metadata))


class SinglePrecision(Scoring):
    """Scores have the digits of a float32, where those of the metric fit."""

    @override
    def scores(self, query: FloatVectors, rows: FloatVectors) -> npt.NDArray[Any]:
        right = similarity(query[0], rows, self.spec.metric)
        narrow = right.astype(np.float32).astype(np.float64)
        return narrow if self.spec.metric == "cosine" else right


class RanksConfig(ExactConfig):
    """The configuration of a store whose search by words promises an order only."""

    @override
    def capabilities(self) -> Capabilities:
        return super().capabilities().model_copy(update={"text_search": "rank"})


class RanksWords(ExactStore):
    """Searches by words with places instead of scores, and says so."""

    config_class: ClassVar[type[ExactConfig]] = RanksConfig

    @override
    def text_query(self, text: str, k: int, *, where: Where | None = None) -> Hits:
        found = super().text_query(text, k, where=where)
        return Hits([replace(hit, score=-float(place)) for place, hit in enumerate(found)])


class OneOpenerConfig(ExactConfig):
    """The configuration of a store that one process at a time may open."""

    @override
    def capabilities(self) -> Capabilities:
        return super().capabilities().model_copy(update={"concurrency": "single-process"})


class OneOpenerOnly(ExactStore):
    """Declares "single-process" and refuses every second opener of a collection."""

    config_class: ClassVar[type[ExactConfig]] = OneOpenerConfig
    lock: int | None = None

    @classmethod
    @override
    def open(cls, spec: CollectionSpec, config: BackendConfig) -> Self:
        lock = _locked(_lock_file(config, spec.name), spec.name)
        try:
            opened = super().open(spec, config)
        except BaseException:
            os.close(lock)
            raise
        opened.lock = lock
        return opened

    @classmethod
    @override
    def drop_collection(cls, config: BackendConfig, name: str) -> None:
        super().drop_collection(config, name)
        _lock_file(config, name).unlink(missing_ok=True)

    @override
    def close(self) -> None:
        super().close()
        lock, self.lock = self.lock, None
        if lock is not None:
            os.close(lock)


class LeanConfig(ExactConfig):
    """A configuration that leaves its capabilities to the specification of the backend."""

    @override
    def capabilities(self) -> Any:
        return None


class LeanStore(ExactStore):
    """Declares one metric, four operators and small batches, neither words nor order, and refuses the rest."""

    backend = "lean"
    capabilities_of_spec: ClassVar[Capabilities] = LEAN
    config_class: ClassVar[type[ExactConfig]] = LeanConfig

    @property
    @override
    def capabilities(self) -> Capabilities:
        return LEAN

    @classmethod
    @override
    def open(cls, spec: CollectionSpec, config: BackendConfig) -> Self:
        if spec.metric not in LEAN.metrics or spec.dimension < LEAN.min_dimension:
            raise UnsupportedError("this is not declared.", fix="use l2 and two dimensions.", backend=cls.backend)
        return super().open(spec, config)

    @override
    def upsert(self, records: Written) -> None:
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

    @override
    def delete(self, ids: Sequence[str] | None = None, *, where: Where | None = None) -> int:
        self._check(where)
        return super().delete(ids, where=where)

    @override
    def count(self, where: Where | None = None) -> int:
        self._check(where)
        return super().count(where)

    @override
    def query(self, vectors: npt.ArrayLike, k: int, *, where: Where | None = None, **options: Any) -> list[Hits]:
        self._check(where)
        return super().query(vectors, k, where=where, **options)

    @override
    def text_query(self, *_question: Any, **_options: Any) -> Hits:
        raise UnsupportedError("there is no text search.", fix="use query.", backend=self.backend)

    @override
    def scan(self, where: Where | None = None, *, order_by: str | None = None, **options: Any) -> Iterator[Record]:
        self._check(where)
        if order_by is not None:
            raise UnsupportedError("there is no ordered scan.", fix="sort what scan yields.", backend=self.backend)
        return super().scan(where, **options)

    def _check(self, where: Where | None) -> None:
        check_operators(where, LEAN.filter_operators, backend=self.backend)


def _frozen(vector: npt.ArrayLike | None) -> npt.NDArray[np.float32] | None:
    if vector is None:
        return None
    array = np.asarray(vector, dtype=np.float32)
    array.setflags(write=False)
    return array


def _lock_file(config: BackendConfig, name: str) -> Path:
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
    return Path(str(getattr(config, "path", None))) / f".opener-{digest}"


def _locked(file: Path, collection: str) -> int:
    """Return the descriptor of a lock that is held as long as it is open."""
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise StoreLockedError(
            "another handle has it open.", fix="close that one first.", backend="exact", collection=collection
        ) from None
    return descriptor


HARMLESS: list[type] = [
    WritesBackwards,
    ScansShuffled,
    Delayed,
    TakesSmallBatches,
    OtherContainers,
    SinglePrecision,
    RanksWords,
    LeanStore,
]
HARMLESS_ON_DISK: list[type] = [OneOpenerOnly]
