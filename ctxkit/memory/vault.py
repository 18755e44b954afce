"""The durable store with its embedder: everything is written here first, whatever the embedder does."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from ctxkit.cache.recent import Recent
from ctxkit.errors import (
    CollectionNotFoundError,
    EmbedderError,
    InvalidQueryError,
    StoreClosedError,
    StoreCorruptError,
    StoreError,
)
from ctxkit.interfaces import VectorStore
from ctxkit.memory.entries import FILLER, KIND, PENDING, SEQ, SPLIT, THREAD, TURN, as_candidate, turn_from_record
from ctxkit.memory.forks import renew_after_fork
from ctxkit.memory.lease import Lease
from ctxkit.memory.patience import PatientEmbedder
from ctxkit.memory.places import Places
from ctxkit.memory.source import Source
from ctxkit.memory.validity import Version, next_change
from ctxkit.records import FloatVector, FloatVectors, Hits, Record
from ctxkit.retrieval import Candidate

_log = logging.getLogger(__name__)
_BACKFILL_BATCH = 64
_FIRST_RETRY, _LONGEST_RETRY = 1.0, 60.0
_CLOSING = 2.0
LEASE_PATIENCE = 10.0  # seconds
_REFUSALS = 3
_REMEMBERED = 256  # questions whose vectors are kept, so that one that is asked again costs no embedding


class Vault:
    """Writes records with their vectors, or without when there is no embedder or it fails, and searches them.

    Records without a vector are marked; `backfill` embeds them, and a background thread does so by itself after
    a failure, waiting longer after each further one. All writes of one vault go through one lock, so a backfill does
    not bring back what the same vault deleted meanwhile.
    """

    def __init__(self, store: VectorStore, embedder: PatientEmbedder | None, source: Source) -> None:
        self.store = store
        self.embedder = embedder
        self.source = source
        self._questions: Recent[str, FloatVector] = Recent(_REMEMBERED)
        self.lease = Lease("writing", source.path, store)
        self._places = Places(store)
        self._version = Version(-1, 0.0, 0.0)
        self._refused: set[str] = set()
        self.renew()
        renew_after_fork(self)

    def renew(self) -> None:
        """Make the lock anew and forget the backfill thread: in a forked child there is none."""
        self.writing = threading.RLock()
        self._stop = threading.Event()
        self._retry: threading.Thread | None = None

    def write(
        self,
        records: Sequence[Record],
        *,
        patience: float | None = None,
        finish: Callable[[Sequence[Record]], Sequence[Record]] | None = None,
    ) -> int:
        """Store records (their vectors are made here) in one batch; return how many wait for their vector.

        A split text gets no vector of its own. `patience` is how many seconds the embedder may take instead of its
        own timeout. `finish` makes of the batch what is really written, while nobody else writes what depends on the
        order: no turn, and no summary that turns leave the view by. Raises StoreError when the store refuses; never
        because of the embedder.
        """
        wanted = [SPLIT not in record.metadata for record in records]
        texts = [embedding_text(record) for record, want in zip(records, wanted, strict=True) if want]
        made = self._try_to_embed(texts, patience)
        rows = iter(()) if made is None else iter(made)
        batch = [
            with_vector(record, next(rows, None)) if want else record
            for record, want in zip(records, wanted, strict=True)
        ]
        if finish is None:
            self.keep(batch)
        else:
            # Whoever holds the lease for too long has it to answer for: what was said is worth more than its order.
            with self.in_turn(), self.writing:
                self._upsert(finish(batch))
        if made is not None or not texts or self.embedder is None:
            return 0
        self.resume()
        return len(texts)

    def in_turn(self) -> AbstractContextManager[bool]:
        """Hold the right to write what depends on the order; gives False where its holder does not get on."""
        return self.lease.in_turn(LEASE_PATIENCE, self.store.version)

    def keep(self, records: Sequence[Record]) -> None:
        """Store records as they are, with the vectors that they have."""
        with self.writing:
            self._upsert(records)

    def version(self) -> Version | None:
        """Return which state of the store this is, None where the store has no number of its writes."""
        found = self.store.version()
        if found is None:
            return None
        known, now = self._version, time.time()
        if known.writes != found or not known.since <= now < known.until:
            self._version = known = Version(found, now, next_change(self.store, now))
        return known

    def next_position(self, thread: str) -> int:
        """Return the next free position of a thread, after everything that any process has written in it so far."""
        with self.writing:
            return self._places.next_position(thread)

    def next_order(self, after: int = 0) -> int:
        """Return a number above `after` and all that were given before: microseconds since the epoch, or one more."""
        with self.writing:
            return self._places.next_order(after)

    def delete(self, ids: Sequence[str] | None = None, *, where: Mapping[str, Any] | None = None) -> int:
        """Delete by id or filter, from the caches of embeddings too; return how many records existed.

        Raises StoreError, and then has deleted nothing, when a cache cannot be changed.
        """
        with self.writing:
            self._questions.clear()  # they may quote what is deleted
            if self.embedder is not None and self.embedder.remembers:
                found = self.store.get(ids) if ids is not None else self.store.scan(where)
                self.forget(text for record in found if record is not None for text in embedded_texts(record))
            return self.store.delete(ids, where=where)

    def forget(self, texts: Iterable[str]) -> int:
        """Remove what the cache of embeddings has of these texts; return how many vectors. Raises StoreError.

        Another record may hold the same text: it keeps its own vector, and the cache has served its turn.
        """
        return 0 if self.embedder is None else self.embedder.forget(texts)

    def pending(self) -> int:
        """Return how many records wait for a vector; none does where there is no embedder."""
        if self.embedder is None:
            return 0
        return self.store.count({PENDING: True})

    def fillers(self) -> int:
        """Return how many records have a vector only because the store wants one."""
        return 0 if self.store.capabilities.optional_vectors else self.store.count({FILLER: True})

    def backfill(self) -> int:
        """Embed every record that waits for its vector, however long it takes; return how many were.

        Raises EmbedderError when the embedder fails; what was embedded until then is stored. A text that fails while
        others beside it succeed is passed over, and goes on waiting.
        """
        done = 0
        while self.embedder is not None and not self._stop.is_set():
            found = self.store.scan({PENDING: True}, limit=_BACKFILL_BATCH + len(self._refused))
            waiting = [record for record in found if record.id not in self._refused][:_BACKFILL_BATCH]
            if not waiting:
                break
            try:
                done += self._attach(waiting, self._embed_now(waiting))
            except EmbedderError as exc:
                done += self._one_by_one(waiting, exc)
        return done

    def resume(self) -> None:
        """Start the background backfill if there is an embedder and it is not running."""
        if self.embedder is None:
            return
        with self.writing:
            if not self._stop.is_set() and (self._retry is None or not self._retry.is_alive()):
                self._retry = threading.Thread(target=self._retry_until_done, name="ctxkit-backfill", daemon=True)
                self._retry.start()

    def search(self, text: str, where: Mapping[str, Any], *, limit: int, words: str) -> list[Candidate]:
        """Return the best `limit` of the vector search and of the text search for `words`, as candidates, unordered."""
        if not text.strip():
            raise InvalidQueryError("the query is blank.", fix="search for at least one word.")
        found: dict[str, Candidate] = {}
        for hit in self._dense_hits(text, limit, where):
            found[hit.id] = candidate = as_candidate(hit)
            candidate.dense = hit.score
        for hit in self.store.text_query(words, limit, where=where) if self.store.capabilities.text_search else ():
            if hit.id not in found:
                found[hit.id] = as_candidate(hit)
            found[hit.id].lexical = hit.score
        return list(found.values())

    def at_positions(self, places: Mapping[str, Sequence[int]], where: Mapping[str, Any]) -> Iterator[Candidate]:
        """Yield the records that stand at these positions of these threads."""
        if not places:
            return
        spots = [{THREAD: thread, SEQ: {"$in": list(positions)}} for thread, positions in places.items()]
        for record in self.store.scan({"$and": [where, {"$or": spots}]}):
            yield as_candidate(record)

    def close(self) -> None:
        """Stop the backfill and close the store and the embedder, whatever the embedder does."""
        self._stop.set()
        retry = self._retry
        if retry is not None and retry is not threading.current_thread():
            retry.join(timeout=_CLOSING)
        try:
            with self.writing:
                self.store.close()
        finally:
            if self.embedder is not None:
                self.embedder.close()

    def _dense_hits(self, text: str, limit: int, where: Mapping[str, Any]) -> Hits:
        if self.embedder is None:
            return Hits()
        vector = self._questions.get(text)
        if vector is None:
            try:
                vector = self.embedder.query(text)
            except EmbedderError as exc:
                _log.info("searching by text alone: %s", type(exc).__name__)
                return Hits()
            self._questions.put(text, vector)
        if not vector.any():
            return Hits()
        if not self.store.capabilities.optional_vectors:
            where = {"$and": [where, {FILLER: {"$exists": False}}]}
        return self.store.query(vector, limit, where=where)[0]

    def _try_to_embed(self, texts: Sequence[str], patience: float | None) -> FloatVectors | None:
        if self.embedder is None or not texts:
            return None
        try:
            return self.embedder.documents(texts, timeout=patience)
        except EmbedderError:
            return None

    def _upsert(self, records: Sequence[Record]) -> None:
        step = self.store.capabilities.max_batch or len(records)
        for start in range(0, len(records), max(step, 1)):
            self.store.upsert([fitted(without_filler(record), self.store) for record in records[start : start + step]])
            self._places.wrote()

    def _embed_now(self, records: Sequence[Record]) -> FloatVectors:
        if self.embedder is None:
            raise EmbedderError("there is no embedder.", fix="configure one.")
        return self.embedder.documents_unhurried([embedding_text(record) for record in records])

    def _one_by_one(self, waiting: Sequence[Record], failure: EmbedderError) -> int:
        """Find out which text it was that failed; if none of them can be embedded, the embedder is down."""
        refused, done = [], 0
        for record in waiting if len(waiting) > 1 else ():
            try:
                done += self._attach([record], self._embed_now([record]))
            except EmbedderError:
                refused.append(record.id)
                if not done and len(refused) >= _REFUSALS:
                    break
        if not done:
            raise failure
        self._refused.update(refused)
        return done

    def _attach(self, waiting: Sequence[Record], vectors: FloatVectors) -> int:
        with self.writing:
            # Only what still stands there unchanged: it may have been deleted or replaced while it was embedded.
            current = self.store.get([record.id for record in waiting])
            ready = [
                with_vector(now, vector)
                for before, now, vector in zip(waiting, current, vectors, strict=True)
                if now is not None and now.text == before.text and now.metadata.get(PENDING)
            ]
            if ready:
                self._upsert(ready)
            return len(ready)

    def _retry_until_done(self) -> None:
        delay = _FIRST_RETRY
        while not self._stop.wait(delay):
            try:
                done = self.backfill()
            except (StoreClosedError, CollectionNotFoundError, StoreCorruptError) as exc:
                _log.warning("the backfill of embeddings stopped (%s)", type(exc).__name__)
                return
            except (EmbedderError, StoreError):
                delay = min(delay * 2, _LONGEST_RETRY)
                continue
            if done:
                _log.info("embedded %d records that were waiting", done)
            return


def fitted(record: Record, store: VectorStore) -> Record:
    """Return a record as a store can hold it: one that wants a vector for each gets one that means nothing."""
    if record.vector is not None or store.capabilities.optional_vectors:
        return record
    filler = np.zeros(store.spec.dimension, dtype=np.float32)
    filler[0] = 1.0
    return Record(record.id, record.text, filler, {**record.metadata, FILLER: True})


def with_vector(record: Record, vector: FloatVector | None) -> Record:
    """Return the record with its new vector; without one it waits for it."""
    if vector is None:
        return Record(record.id, record.text, None, {**record.metadata, PENDING: True})
    metadata = {key: value for key, value in record.metadata.items() if key not in (PENDING, FILLER)}
    # All zeros has no direction: such a text is found by its words alone.
    return Record(record.id, record.text, vector if vector.any() else None, metadata)


def without_filler(record: Record) -> Record:
    """Return the record without a vector that means nothing."""
    if FILLER not in record.metadata:
        return record
    return Record(record.id, record.text, None, {key: record.metadata[key] for key in record.metadata if key != FILLER})


def embedding_text(record: Record) -> str:
    """Return what is embedded of a record: its text, naming the speaker once."""
    speaker = record.metadata.get("speaker")
    if isinstance(speaker, str) and speaker and not record.text.startswith(f"{speaker}:"):
        return f"{speaker}: {record.text}"
    return record.text


def embedded_texts(record: Record) -> list[str]:
    """Return every text of a record whose vector a cache may hold: a user's words may have been a question as well."""
    texts = [embedding_text(record)]
    if record.metadata.get(KIND) == TURN:
        texts.append(turn_from_record(record, 0).user_input)
    return texts
