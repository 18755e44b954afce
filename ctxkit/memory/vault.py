"""The durable store with its embedder: everything is written here first, whatever the embedder does."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ctxkit.errors import EmbedderError, InvalidQueryError
from ctxkit.interfaces import VectorStore
from ctxkit.memory.entries import PENDING, SEQ, SPLIT, THREAD
from ctxkit.memory.patience import PatientEmbedder
from ctxkit.records import FloatVector, FloatVectors, Hits, Record
from ctxkit.retrieval import Candidate

_log = logging.getLogger(__name__)
_BACKFILL_BATCH = 64
_FIRST_RETRY, _LONGEST_RETRY = 1.0, 60.0


class Vault:
    """Writes records with their vectors, or without when there is no embedder or it fails, and searches them.

    Records without a vector are marked; `backfill` embeds them, and a background thread does so by itself after
    a failure, waiting longer after each further one. All writes of one process go through one lock, so a
    backfill never brings back what was deleted meanwhile.
    """

    def __init__(self, store: VectorStore, embedder: PatientEmbedder | None) -> None:
        self.store = store
        self.embedder = embedder
        self._writing = threading.RLock()
        self._stop = threading.Event()
        self._retry: threading.Thread | None = None
        self._positions: dict[str, int] = {}

    def write(self, records: Sequence[Record], *, patience: float | None = None) -> int:
        """Store records (their vectors are made here) in one batch; return how many wait for their vector.

        A split text gets no vector of its own. `patience` is how many seconds the embedder may take instead of its
        own timeout. Raises StoreError when the store refuses; never because of the embedder.
        """
        wanted = [SPLIT not in record.metadata for record in records]
        texts = [embedding_text(record) for record, want in zip(records, wanted, strict=True) if want]
        made = self._try_to_embed(texts, patience)
        rows = iter(()) if made is None else iter(made)
        batch = [
            self._with_vector(record, next(rows, None)) if want else record
            for record, want in zip(records, wanted, strict=True)
        ]
        with self._writing:
            self._upsert(batch)
        if made is not None or not texts or self.embedder is None:
            return 0
        self.resume()
        return len(texts)

    def next_position(self, thread: str) -> int:
        """Return the next free position of a thread, never the same one twice in this process."""
        with self._writing:
            last = self._positions.get(thread)
            if last is None:
                newest = self.store.scan({THREAD: thread}, order_by=SEQ, descending=True, limit=1)
                last = max((int(record.metadata[SEQ]) for record in newest), default=-1)
            self._positions[thread] = last + 1
            return last + 1

    def saw_position(self, thread: str, position: int) -> None:
        """Take note of a position that another process has used."""
        with self._writing:
            self._positions[thread] = max(self._positions.get(thread, -1), position)

    def delete(self, ids: Sequence[str] | None = None, *, where: Mapping[str, Any] | None = None) -> int:
        """Delete by id or filter; return how many records existed."""
        with self._writing:
            return self.store.delete(ids, where=where)

    def pending(self, where: Mapping[str, Any] | None = None) -> int:
        """Return how many records wait for a vector; none does where there is no embedder."""
        if self.embedder is None:
            return 0
        waiting: dict[str, Any] = {PENDING: True}
        return self.store.count({"$and": [waiting, where]} if where else waiting)

    def backfill(self) -> int:
        """Embed every record that waits for its vector; return how many were.

        Raises EmbedderError when the embedder fails; what was embedded until then is stored.
        """
        if self.embedder is None:
            return 0
        done = 0
        while not self._stop.is_set():
            waiting = list(self.store.scan({PENDING: True}, limit=_BACKFILL_BATCH))
            if not waiting:
                break
            # Far more patience than a caller of `observe` has: nobody waits for this.
            vectors = self.embedder.documents([embedding_text(record) for record in waiting], timeout=600.0)
            done += self._attach(waiting, vectors)
        return done

    def resume(self) -> None:
        """Start the background backfill if there is an embedder and it is not running."""
        if self.embedder is None:
            return
        with self._writing:
            if not self._stop.is_set() and (self._retry is None or not self._retry.is_alive()):
                self._retry = threading.Thread(target=self._retry_until_done, name="ctxkit-backfill", daemon=True)
                self._retry.start()

    def search(self, text: str, where: Mapping[str, Any], *, limit: int) -> list[Candidate]:
        """Return the best `limit` of the vector search and of the text search, as candidates, unordered."""
        if not text.strip():
            raise InvalidQueryError("the query is blank.", fix="search for at least one word.")
        found: dict[str, Candidate] = {}
        for hit in self._dense_hits(text, limit, where):
            found.setdefault(hit.id, as_candidate(hit.id, hit.text, hit.metadata)).dense = hit.score
        if self.store.capabilities.text_search:
            for hit in self.store.text_query(text, limit, where=where):
                found.setdefault(hit.id, as_candidate(hit.id, hit.text, hit.metadata)).lexical = hit.score
        return list(found.values())

    def at_positions(self, places: Mapping[str, Sequence[int]], where: Mapping[str, Any]) -> Iterator[Candidate]:
        """Yield the records that stand at these positions of these threads."""
        if not places:
            return
        spots = [{THREAD: thread, SEQ: {"$in": list(positions)}} for thread, positions in places.items()]
        for record in self.store.scan({"$and": [where, {"$or": spots}]}):
            yield as_candidate(record.id, record.text, dict(record.metadata))

    def close(self) -> None:
        """Stop the backfill and close the embedder and the store."""
        self._stop.set()
        retry = self._retry
        if retry is not None and retry is not threading.current_thread():
            retry.join(timeout=5.0)
        if self.embedder is not None:
            self.embedder.close()
        with self._writing:
            self.store.close()

    def _dense_hits(self, text: str, limit: int, where: Mapping[str, Any]) -> Hits:
        if self.embedder is None:
            return Hits()
        try:
            vector = self.embedder.query(text)
        except EmbedderError as exc:
            _log.info("searching by text alone: %s", type(exc).__name__)
            return Hits()
        if not vector.any():
            return Hits()
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
            self.store.upsert(records[start : start + step])

    @staticmethod
    def _with_vector(record: Record, vector: FloatVector | None) -> Record:
        if vector is None:
            return Record(record.id, record.text, None, {**record.metadata, PENDING: True})
        metadata = {key: value for key, value in record.metadata.items() if key != PENDING}
        # All zeros has no direction: such a text is found by its words alone.
        return Record(record.id, record.text, vector if vector.any() else None, metadata)

    def _attach(self, waiting: Sequence[Record], vectors: FloatVectors) -> int:
        with self._writing:
            # Only what still stands there unchanged: it may have been deleted or replaced while it was embedded.
            current = self.store.get([record.id for record in waiting])
            ready = [
                self._with_vector(now, vector)
                for before, now, vector in zip(waiting, current, vectors, strict=True)
                if now is not None and now.text == before.text and now.metadata.get(PENDING)
            ]
            if ready:
                self.store.upsert(ready)
            return len(ready)

    def _retry_until_done(self) -> None:
        delay = _FIRST_RETRY
        while not self._stop.wait(delay):
            try:
                done = self.backfill()
            except EmbedderError:
                delay = min(delay * 2, _LONGEST_RETRY)
                continue
            except Exception:  # noqa: BLE001 - nobody stands above this thread
                # The store was closed or failed: its own caller learns of that; nothing is lost by stopping here.
                if not self._stop.is_set():
                    _log.exception("the backfill of embeddings stopped")
                return
            if done:
                _log.info("embedded %d records that were waiting", done)
            return


def embedding_text(record: Record) -> str:
    """Return what is embedded of a record: its text, naming the speaker once."""
    speaker = record.metadata.get("speaker")
    if isinstance(speaker, str) and speaker and not record.text.startswith(speaker):
        return f"{speaker}: {record.text}"
    return record.text


def as_candidate(record_id: str, text: str, metadata: Mapping[str, Any]) -> Candidate:
    """Return a stored record as a candidate without scores."""
    timestamp = metadata.get("timestamp")
    return Candidate(
        id=record_id,
        text=text,
        metadata=dict(metadata),
        thread=metadata.get(THREAD),
        position=int(metadata.get(SEQ, 0)),
        timestamp=None if timestamp is None else float(timestamp),
    )
