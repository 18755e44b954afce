"""One store beside its raw baseline, both with the same rows."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ctxkit.interfaces import BackendConfig, Capabilities, CollectionSpec, VectorStore
from ctxkit.records import FloatVectors, Hits, Metric
from ctxkit_conformance.bench import baselines
from ctxkit_conformance.bench.baseline import Baseline, Row
from ctxkit_conformance.bench.data import FIELDS, Dataset
from ctxkit_conformance.bench.job import Job
from ctxkit_conformance.harness import harness_for
from ctxkit_conformance.subject import Subject

K: Final = 10
COLLECTION: Final = "bench"
_BATCH: Final = 1000
_METRICS: Final[tuple[Metric, ...]] = ("cosine", "dot", "l2")
_SEEN_AFTER: Final = 60.0  # seconds until a store that is eventually consistent has to show what was written


@dataclass(frozen=True)
class Effort:
    """How often to measure: `rounds` of a cheap figure; the dear ones take a fraction of them."""

    rounds: int
    rows: int

    @property
    def fresh_stores(self) -> int:
        """How many new stores are filled."""
        return max(1, self.rounds // 5)

    @property
    def openings(self) -> int:
        """How often a store is opened by a new process."""
        return max(1, self.rounds // 4)

    @property
    def batch_size(self) -> int:
        """Rows that are written at once: a thousand, fewer where there are not ten thousand."""
        return max(1, min(_BATCH, self.rows // 10))


class Stage:
    """The store under test and the raw library, with their data; `close` it.

    `tell` is called with what is being done.
    """

    def __init__(self, job: Job, subject: Subject, data: Dataset, tell: Callable[[str], None]) -> None:
        self.job, self.subject, self.data, self.tell = job, subject, data, tell
        self.folder = folder = Path(job.folder)
        self.effort = Effort(job.repeat, len(data))
        own, options = subject.harness_class(), subject.all_options()
        make = harness_for if own is None else own
        self.harness = make(subject.config_class, options)
        self.config = self.harness.fresh(folder / "store")
        self.spec = CollectionSpec(name=COLLECTION, dimension=data.dimension, metric=self._metric(), fields=FIELDS)
        self.baseline_target = baselines.target_of(subject.component.name, job.baseline)
        self._raw = self.new_raw(folder / "raw")
        self._loaded = False
        self._store: VectorStore | None = None
        self._threads: set[threading.Thread] = set()
        self._filled = self._finished = False

    @property
    def declared(self) -> Capabilities:
        """What the store can do as it is configured."""
        found = self.config.capabilities()
        own = found if isinstance(found, Capabilities) else self.subject.spec.capabilities
        assert isinstance(own, Capabilities), (
            f"{self.subject.component.name} declares no capabilities of a vector store"
        )
        return own

    def _metric(self) -> Metric:
        """Return a metric that the store has: vectors of length 1 are in the same order under each."""
        return next(metric for metric in _METRICS if metric in self.declared.metrics)

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The store's options, defaults included."""
        return self.config.model_dump(mode="json")

    @property
    def raw(self) -> Baseline:
        """The raw library, with all rows."""
        if not self._loaded:
            self.tell(f"filling {self._raw.label}")
            self._raw.load(self.data)
            self._loaded = True
        return self._raw

    @property
    def store(self) -> VectorStore:
        """The store, with all rows and its index made."""
        if not self._finished:
            self.fill()
            self.tell("finishing the index")
            self._opened.optimize()
            self._finished = True
        return self._opened

    def both(self) -> tuple[Baseline, VectorStore]:
        """Return the raw library and the store, both with all rows."""
        return self.raw, self.store

    def fill(self) -> VectorStore:
        """Open the store and write all rows, once; its index may still be in the making."""
        if self._filled:
            return self._opened
        if self._store is not None:
            raise RuntimeError("the store could not be filled before.")
        self._store = store = self.open(self.config)
        self._threads = set(threading.enumerate())
        size = self.allowed(_BATCH)
        for start in range(0, len(self.data), size):
            self.tell(f"writing rows {start} of {len(self.data)}")
            store.upsert(self.data.batch(start, min(start + size, len(self.data))))
        deadline = time.monotonic() + _SEEN_AFTER
        while store.count() != len(self.data):
            if time.monotonic() > deadline:
                raise AssertionError(f"{store.count()} rows of {len(self.data)} are there after they were written.")
            time.sleep(0.1)
        self._filled = True
        return store

    @property
    def bare_writes(self) -> bool:
        """Whether the baseline's writes are those of plain SQLite, and not a whole store's own."""
        return type(self._raw).writer is Baseline.writer

    @property
    def label(self) -> str:
        """What the store is compared with."""
        return self._raw.label

    @property
    def building(self) -> bool:
        """Whether the store has a thread at work that it had not when it was empty."""
        return bool(set(threading.enumerate()) - self._threads)

    def open(self, config: BackendConfig) -> VectorStore:
        """Open the collection under a configuration."""
        store: VectorStore = self.subject.factory.open(self.spec, config)
        return store

    def new_raw(self, folder: Path) -> Baseline:
        """Return a baseline that holds nothing yet."""
        return baselines.make(self.baseline_target, folder, self.data.dimension, self.parameters)

    def allowed(self, size: int) -> int:
        """Return how many rows the store takes at once, at most `size`."""
        most = self.declared.max_batch
        return size if most is None else min(size, most)

    @contextmanager
    def closed(self) -> Iterator[None]:
        """Close the store for as long as another process has it."""
        self.store.close()
        try:
            yield
        finally:
            self._store = self.open(self.config)

    def ask(self, queries: FloatVectors, **more: Any) -> list[list[Row]]:
        """Query the store, and have text and metadata of what was found in hand."""
        return [in_hand(hits) for hits in self._opened.query(queries, K, **more)]

    def query(self, number: int) -> FloatVectors:
        """Return one query, float32[d]; numbers begin anew where there are no more."""
        row: FloatVectors = self.data.queries[number % len(self.data.queries)]
        return row

    def close(self) -> None:
        """Release both; the files are whoever made the folder's."""
        for each in (self._store, self._raw, self.harness):
            if each is not None:
                with suppress(Exception):
                    each.close()

    @property
    def _opened(self) -> VectorStore:
        assert self._store is not None, "the store was not filled"
        return self._store


def in_hand(hits: Hits) -> list[Row]:
    """Return what a caller reads of each hit, so that a store that puts reading off has to do it."""
    return [(hit.id, hit.score, hit.text, hit.metadata) for hit in hits]


def numbered_batches(data: Dataset, size: int, most: int) -> Sequence[tuple[int, int]]:
    """Return the limits of up to `most` batches."""
    return [(start, start + size) for start in range(0, min(len(data) - size + 1, most * size), size)]
