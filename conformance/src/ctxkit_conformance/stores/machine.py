"""A machine that does the same to a store and to a dict with brute force, and compares every answer."""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from ctxkit.errors import CtxkitError, InvalidRecordError
from ctxkit.interfaces import BackendConfig, Capabilities, VectorStore
from ctxkit.records import Metric, Record, RecordBatch
from ctxkit_conformance import strategies
from ctxkit_conformance.oracle import Oracle
from ctxkit_conformance.stores.base import DIMENSION
from ctxkit_conformance.strategies import Pool, Where

_IDS = strategies.IDS[:7]
# Every type, equal numbers of two types, neighbours that float64 cannot tell apart.
_ANY = (1, 1.0, True, "1", "", [1, 2], ["a"], 2**53, 2**53 + 1, 0.5, False)
_SORTED = (1, 2, 1.0, "a", "b", "", -1.5, 2**53 + 1, 2.0**53)  # what order_by has a place for
_FIELDS = {"x": _ANY, "n": _SORTED}

Records: TypeAlias = list[Record]


@dataclass(frozen=True)
class Bench:
    """How a machine comes by its stores, and what may be done with them.

    `fresh` returns a configuration under which nothing is stored; `start` opens the collection, in this process or in
    another; `discard` clears away what a sequence has left. `kill` kills the process of the store, `interrupt` does so
    while it is writing a batch.
    """

    declared: Capabilities
    metric: Metric
    oracle: Callable[[], Oracle]
    fresh: Callable[[], BackendConfig]
    start: Callable[[BackendConfig], VectorStore]
    discard: Callable[[BackendConfig], None]
    kill: Callable[[VectorStore], None] | None = None
    interrupt: Callable[[VectorStore, Records], None] | None = None


def _of(name: str) -> st.SearchStrategy[Any]:
    """Return the strategy of that name which fits the machine's store."""
    return st.runner().flatmap(lambda machine: machine.given[name])


# A filter that a record passes, as it is now.
_PRESENT: st.SearchStrategy[Where] = st.runner().flatmap(lambda machine: st.sampled_from(machine.present_filters))


def _bad_records(metric: Metric, declared: Capabilities) -> list[Record]:
    """Return records that are refused, each for a reason of its own."""
    fine: Any = [1, 0, 0]
    found = [
        Record("", "", fine),
        Record("bad", "", [1, 0]),
        Record("bad", "", [math.nan, 0, 0]),
        Record("bad", "", fine, {"x": None}),
        Record("bad", "", fine, {"x": [1, "a"]}),
        Record("bad", "\ud800", fine),
    ]
    if metric == "cosine":
        found.append(Record("bad", "", [0, 0, 0]))
    if not declared.optional_vectors:
        found.append(Record("bad", ""))
    return found


@functools.cache
def _strategies(metric: Metric, declared: Capabilities) -> dict[str, st.SearchStrategy[Any]]:
    """Return what the rules draw from; what is not declared is left out."""
    vectors: st.SearchStrategy[Any] = strategies.lattice(DIMENSION, metric)
    queries = vectors
    if declared.optional_vectors:
        vectors = st.one_of(vectors, vectors, vectors, st.none())
    record = strategies.records(_IDS, vectors, _FIELDS)
    filters = strategies.filters(declared.filter_operators, {name: Pool.of(pool) for name, pool in _FIELDS.items()})
    return {
        "records": st.lists(record, min_size=1, max_size=4, unique_by=lambda record: record.id),
        "many": st.lists(record, min_size=1, max_size=len(_IDS), unique_by=lambda record: record.id),
        "bad": st.sampled_from(_bad_records(metric, declared)),
        "filter": filters,
        "filters": st.lists(filters, min_size=2, max_size=4),
        "where": st.none() | filters,
        "ids": st.lists(st.sampled_from((*_IDS, "unknown")), max_size=4),
        "queries": st.lists(queries, min_size=1, max_size=3),
        "k": st.integers(1, len(_IDS) + 1),
        "min_score": st.sampled_from((None, None, 0.4, -0.3, 0.8, 1.7)),
        "word": st.sampled_from(strategies.WORDS),
        "limit": st.none() | st.integers(0, len(_IDS)),
    }


def _filled(machine: Any) -> bool:
    """Whether there is a record to do something with."""
    return bool(machine.oracle.records)


def _columns(records: Records, dimension: int) -> RecordBatch:
    vectors = [[0] * dimension if record.vector is None else record.vector for record in records]
    return RecordBatch(
        [record.id for record in records],
        np.array(vectors, dtype=np.float32),
        [record.text for record in records],
        [record.metadata for record in records],
        np.array([record.vector is not None for record in records]),
    )


class StoreMachine(RuleBasedStateMachine):
    """Does the same to a store and to the oracle, and compares every answer."""

    def __init__(self, bench: Bench) -> None:
        super().__init__()
        self.bench = bench
        self.given = _strategies(bench.metric, bench.declared)
        self.oracle = bench.oracle()
        self.filters: list[Where] = []
        self.config = bench.fresh()
        self.store = bench.start(self.config)

    @initialize(records=_of("many"))
    def fill(self, records: Records) -> None:
        """Begin with some records."""
        self.upsert(records)

    @initialize(filters=_of("filters"))
    def remember(self, filters: list[Where]) -> None:
        """Choose the filters that are asked again and again."""
        self.filters = filters

    @rule(records=_of("records"))
    def upsert(self, records: Records) -> None:
        """Write new records and replace old ones."""
        self.store.upsert(records)
        self.oracle.upsert(records)

    @rule(records=_of("many"))
    def upsert_columns(self, records: Records) -> None:
        """Write many records as columns."""
        self.store.upsert(_columns(records, self.oracle.dimension))
        self.oracle.upsert(records)

    @precondition(_filled)
    @rule(records=_of("records"))
    def replace(self, records: Records) -> None:
        """Write a record in the place of each of the first ones."""
        ids = sorted(self.oracle.records)
        new = [Record(i, r.text, r.vector, r.metadata) for i, r in zip(ids, records, strict=False)]
        self.store.upsert(new)
        self.oracle.upsert(new)

    @rule(records=_of("records"), bad=_of("bad"), place=st.integers(0, 4))
    def upsert_with_a_bad_record(self, records: Records, bad: Record, place: int) -> None:
        """Have a batch refused; nothing of it is written."""
        with pytest.raises(InvalidRecordError):
            self.store.upsert([*records[:place], bad, *records[place:]])
        self.compare()

    @rule(records=_of("records"))
    def upsert_one_id_twice(self, records: Records) -> None:
        """Have a batch refused; nothing of it is written."""
        with pytest.raises(InvalidRecordError):
            self.store.upsert([*records, records[0]])
        self.compare()

    @precondition(_filled)
    @rule(ids=_of("ids"))
    def delete(self, ids: list[str]) -> None:
        """Delete by id."""
        self._same("delete returns another number", self.store.delete(ids), self.oracle.delete(ids))

    @precondition(_filled)
    @rule(where=_of("filter") | _PRESENT)
    def delete_where(self, where: Where) -> None:
        """Delete by filter."""
        deleted = self.store.delete(where=where)
        self._same("delete returns another number", deleted, self.oracle.delete(where=where))

    @precondition(_filled)
    @rule(ids=_of("ids"), where=_of("filter"))
    def delete_both(self, ids: list[str], where: Where) -> None:
        """Delete those of the ids that pass a filter."""
        deleted = self.store.delete(ids, where=where)
        self._same("delete returns another number", deleted, self.oracle.delete(ids, where=where))

    @precondition(_filled)
    @rule(ids=_of("ids"))
    def get(self, ids: list[str]) -> None:
        """Read by id."""
        found, expected = self.store.get(ids, include_vectors=True), self.oracle.get(ids, include_vectors=True)
        self._same("get returns other records", found, expected)

    @precondition(_filled)
    @rule(where=_of("where") | _PRESENT)
    def count(self, where: Where | None) -> None:
        """Count."""
        self._same("count is another number", self.store.count(where), self.oracle.count(where))

    @precondition(_filled)
    @rule(
        queries=_of("queries"),
        k=_of("k"),
        where=_of("where") | _PRESENT,
        min_score=_of("min_score"),
        vectors=st.booleans(),
    )
    def query(
        self, queries: list[list[int]], k: int, where: Where | None, min_score: float | None, *, vectors: bool
    ) -> None:
        """Search by vector."""
        options: dict[str, Any] = {"where": where, "min_score": min_score, "include_vectors": vectors}
        self.oracle.check_query(self.store, queries, k, **options)

    @precondition(lambda self: _filled(self) and self.bench.declared.text_search is not None)
    @rule(word=_of("word"), k=_of("k"), where=_of("where") | _PRESENT)
    def text_query(self, word: str, k: int, where: Where | None) -> None:
        """Search by a word."""
        expected = self.oracle.text_query(word, where)
        found = self.store.text_query(word, k, where=where).ids
        assert len(found) == min(k, len(expected)), f"{found} were found by the word, which {expected} have"
        assert set(found) <= set(expected), f"{found} were found by the word, which {expected} have"

    @precondition(_filled)
    @rule(where=_of("where") | _PRESENT, limit=_of("limit"))
    def scan(self, where: Where | None, limit: int | None) -> None:
        """Read everything that passes, in any order."""
        found = [record.id for record in self.store.scan(where, limit=limit)]
        expected = self.oracle.passing(where)
        wanted = len(expected) if limit is None else min(limit, len(expected))
        self._same("scan yields another number of records", len(set(found)), wanted)
        assert len(found) == wanted, f"scan yields a record twice: {found}"
        assert set(found) <= set(expected), f"scan yields {found}, and {expected} pass"

    @precondition(lambda self: _filled(self) and self.bench.declared.ordered_scan)
    @rule(where=_of("where") | _PRESENT, limit=_of("limit"), descending=st.booleans())
    def scan_in_order(self, where: Where | None, limit: int | None, *, descending: bool) -> None:
        """Read by the order of a field."""
        options: dict[str, Any] = {"order_by": "n", "descending": descending, "limit": limit}
        found = [record.id for record in self.store.scan(where, **options)]
        expected = [record.id for record in self.oracle.scan(where, **options)]
        self._same("scan yields others, or in another order", found, expected)

    @rule()
    def flush(self) -> None:
        """Make durable what was written."""
        self.store.flush()
        self.compare()

    @rule()
    def optimize(self) -> None:
        """Do the housekeeping; it changes no answer."""
        self.store.optimize()
        self.compare()

    @rule()
    def compare(self) -> None:
        """Compare everything, and ask the questions that were asked before."""
        self.oracle.agrees(self.store)
        for where in self.filters:
            self.count(where)
        for where in self.filters[:2]:
            self.oracle.check_query(self.store, [1] * self.oracle.dimension, len(_IDS) + 1, where=where)
        if self.bench.declared.text_search is not None:
            for word in strategies.WORDS:
                self.text_query(word, len(_IDS) + 1, None)
        if self.bench.declared.ordered_scan:
            self.scan_in_order(None, None, descending=False)

    @precondition(lambda self: self.bench.declared.persistent)
    @rule()
    def reopen(self) -> None:
        """Close the store and open it again; everything is still there."""
        self._reopened()
        self.compare()

    @precondition(lambda self: self.bench.kill is not None)
    @rule()
    def kill(self) -> None:
        """Kill the process that holds the store; what was acknowledged is still there."""
        self._killed()
        self.compare()

    @precondition(lambda self: self.bench.kill is not None)
    @rule(records=_of("records"))
    def kill_while_writing(self, records: Records) -> None:
        """Kill the process that is writing a batch; the batch is there as a whole, or nothing of it."""
        if self.bench.interrupt is not None:
            self.bench.interrupt(self.store, records)
        self.store = self.bench.start(self.config)
        written = self.oracle.copy()
        written.upsert(records)
        found = {record.id: record for record in self.store.scan(include_vectors=True)}
        if found == written.records:
            self.oracle = written
        self.compare()

    @property
    def present_filters(self) -> list[Where]:
        """A filter for each value that a record has."""
        pairs = (item for name in sorted(self.oracle.records) for item in self.oracle.records[name].metadata.items())
        return [dict([item]) for item in pairs] or [{"x": 1}]

    def teardown(self) -> None:
        """Where nothing has failed, end with what goes wrong most often; leave nothing behind."""
        try:
            if sys.exc_info()[0] is None:
                self._at_the_end("everything is compared", lambda: None)
                self._at_the_end("optimize()", self.store.optimize)
                self._at_the_end("a record is replaced by one without metadata", self._strip)
                if self.bench.kill is not None:
                    self._at_the_end("the process is killed and the collection opened again", self._killed)
                elif self.bench.declared.persistent:
                    self._at_the_end("the store is closed and opened again", self._reopened)
        finally:
            with suppress(CtxkitError):
                self.store.close()
            self.bench.discard(self.config)

    def _at_the_end(self, what: str, step: Callable[[], object]) -> None:
        try:
            step()
            self.compare()
        except AssertionError as error:
            raise AssertionError(f"at the end, when {what}: {error}") from error

    def _strip(self) -> None:
        """Ask for what one record has, and take it away without changing the number of records."""
        operators = self.bench.declared.filter_operators
        for name in sorted(self.oracle.records)[:1]:
            for item in self.oracle.records[name].metadata.items():
                plain = dict([item])
                forms: list[tuple[str, Where]] = [("$eq", plain), ("$or", {"$or": [plain]}), ("$not", {"$not": plain})]
                self.filters += [where for operator, where in forms if operator in operators]
            self.compare()
            self.upsert([Record(name, strategies.WORDS[-1], [1, 1, 1])])

    def _reopened(self) -> None:
        self.store.close()
        self.store = self.bench.start(self.config)

    def _killed(self) -> None:
        if self.bench.kill is not None:
            self.bench.kill(self.store)
        self.store = self.bench.start(self.config)

    def _same(self, what: str, found: object, expected: object) -> None:
        assert found == expected, f"{what}: {found}, not {expected}"
