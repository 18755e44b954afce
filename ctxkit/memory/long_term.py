"""Long-term memory: a search over everything that was ever stored."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from typing_extensions import Self

from ctxkit.config import Config
from ctxkit.errors import InvalidRecordError
from ctxkit.interfaces import Tokenizer
from ctxkit.memory.entries import (
    FIELDS,
    HEAD,
    KIND,
    MEMORY,
    PART,
    SEQ,
    THREAD,
    Entry,
    check_user_metadata,
    clean,
    entry_from_record,
    new_id,
)
from ctxkit.memory.opening import open_vault
from ctxkit.memory.recall import recall
from ctxkit.memory.scope import Scope
from ctxkit.memory.turns import with_parts
from ctxkit.memory.vault import Vault
from ctxkit.plugins import PluginRegistry, get_registry
from ctxkit.records import Record, check_k, check_metadata
from ctxkit.retrieval import Candidate


def _nothing_hidden() -> Collection[str]:
    return ()


class LongTermMemory:
    """Everything in one scope, found by meaning and by words.

    Stands alone (`LongTermMemory()` keeps its records in memory, `path=` makes them durable) or is the long-term
    side of a context manager, which passes its own vault. `hidden` names the turns that short-term memory shows.
    """

    def __init__(
        self,
        config: Config | None = None,
        *,
        path: str | Path | None = None,
        scope: Scope | None = None,
        vault: Vault | None = None,
        hidden: Callable[[], Collection[str]] = _nothing_hidden,
        tokenizer: Tokenizer | None = None,
        registry: PluginRegistry | None = None,
    ) -> None:
        self._config = config or Config()
        self._scope = scope or Scope()
        self._hidden = hidden
        self._owned = vault is None
        # The shared registry is asked for only where nothing was passed: it loads every installed plugin.
        if tokenizer is None:
            chosen = self._config.tokenizer
            tokenizer = (registry or get_registry()).create_tokenizer(chosen.provider, chosen.options())
        self._tokenizer = tokenizer
        if vault is None:
            place = None if path is None else Path(path)
            vault = open_vault(self._config, place, registry or get_registry()).vault
        self._vault = vault

    def search(self, query: str, k: int = 5) -> list[tuple[Entry, float]]:
        """Return the k best entries with their scores (higher is better, 0 and up), best first.

        Raises InvalidQueryError for k < 1 and for a blank query.
        """
        k = check_k(k)
        return [(_entry(candidate), candidate.final) for candidate in self.candidates(query, at_least=k)[:k]]

    def candidates(self, query: str, *, now: float | None = None, at_least: int = 0) -> list[Candidate]:
        """Return everything the searches found for a query, with all scores, best first."""
        return recall(
            self._vault,
            self._scope,
            clean(query),
            memory=self._config.memory,
            retrieval=self._config.retrieval,
            now=now,
            at_least=at_least,
        )

    @property
    def entries(self) -> list[Entry]:
        """Every entry of the scope but the turns that short-term memory shows, oldest first."""
        hidden = set(self._hidden())
        where = self._scope.within({KIND: {"$ne": PART}})
        found = [entry_from_record(record) for record in self._vault.store.scan(where) if record.id not in hidden]
        return sorted(found, key=lambda entry: (entry.timestamp or 0.0, entry.id))

    def add_memory(self, text: str, metadata: Mapping[str, Any] | None = None) -> str:
        """Store one memory and return its id.

        `session_id`, `speaker`, `timestamp` (seconds since the epoch), `importance` and `source_id` in the
        metadata are understood; other keys are kept and can be filtered on. Raises InvalidRecordError for blank
        text and for metadata that no record can hold.
        """
        text = clean(text)
        if not text.strip():
            raise InvalidRecordError("a memory is blank.", fix="pass text with at least one visible character.")
        stamped = dict(check_metadata(self._scope.stamp(check_user_metadata(metadata)), fields=FIELDS))
        stamped.setdefault("timestamp", time.time())
        stamped[KIND] = MEMORY
        thread = self._scope.thread(stamped, conversation=False)
        if thread is not None:
            stamped[THREAD], stamped[SEQ] = thread, self._vault.next_position(thread)
        head = Record(new_id("memory"), text, None, stamped)
        parts = with_parts(
            head,
            self._tokenizer,
            tokens=self._tokenizer.count(text),
            part_size=self._config.memory.ingestion_chunk_size,
        )
        self._vault.write(list(parts))
        return head.id

    def clear(self) -> int:
        """Delete every entry of the scope but the turns that short-term memory shows; return how many went.

        Other sessions and tasks keep theirs, also where this scope may read them.
        """
        hidden = set(self._hidden())
        where = self._scope.own_where()
        if not hidden:
            return self._vault.delete(where=where)
        ids = [
            record.id
            for record in self._vault.store.scan(where)
            if record.id not in hidden and str(record.metadata.get(HEAD, "")) not in hidden
        ]
        return self._vault.delete(ids)

    def get_stats(self) -> dict[str, Any]:
        """Return `num_entries` (in this scope), `index_size` (vectors in the store) and `index_type`."""
        stats = self._vault.store.stats()
        return {
            "num_entries": self._vault.store.count(self._scope.within({KIND: {"$ne": PART}})) - len(self._hidden()),
            "index_size": stats.vectors,
            "index_type": str(stats.details.get("index_type", "unknown")),
            "pending_embeddings": self._vault.pending(),
        }

    def close(self) -> None:
        """Close the store if this memory opened it."""
        if self._owned:
            self._vault.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _rebuild_index(self) -> None:
        """Bring the index in order; the store keeps the truth, so nothing depends on it."""
        self._vault.store.optimize()


def _entry(candidate: Candidate) -> Entry:
    return entry_from_record(Record(candidate.id, candidate.text, None, candidate.metadata))
