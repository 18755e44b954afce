"""Long-term memory: a search over everything that was ever stored."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from typing_extensions import Self

from ctxkit.config import Config
from ctxkit.errors import InvalidRecordError
from ctxkit.filters import Where, matches, parse
from ctxkit.interfaces import Tokenizer
from ctxkit.memory.arguments import check_moment
from ctxkit.memory.entries import (
    DUE,
    HEAD,
    KIND,
    MEMORY,
    PART,
    SEQ,
    SUMMARY,
    SUPERSEDES,
    THREAD,
    UNDERSTOOD,
    VALID_FROM,
    Entry,
    check_user_metadata,
    clean,
    entry_from_record,
    new_id,
)
from ctxkit.memory.opening import open_tokenizer, open_vault
from ctxkit.memory.recall import recall
from ctxkit.memory.scope import Scope
from ctxkit.memory.summaries import emptied
from ctxkit.memory.turns import with_parts
from ctxkit.memory.validity import ended, unexpired, whole_of, with_moments
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
        self._tokenizer = tokenizer or open_tokenizer(self._config, registry or get_registry())
        if vault is None:
            place = None if path is None else Path(path)
            vault = open_vault(self._config, place, registry or get_registry())
        self._vault = vault

    def search(self, query: str, k: int = 5, *, as_of: float | datetime | None = None) -> list[tuple[Entry, float]]:
        """Return the k best entries with their scores (higher is better, 0 and up), best first.

        `as_of` asks what was valid at another moment than now. Raises InvalidQueryError for k < 1 and for a blank
        query.
        """
        k = check_k(k)
        moment = None if as_of is None else check_moment(as_of)
        found = self.candidates(query, at_least=k, as_of=moment)
        return [(_entry(candidate), candidate.final) for candidate in found[:k]]

    def candidates(
        self,
        query: str,
        *,
        now: float | None = None,
        at_least: int = 0,
        as_of: float | None = None,
        valid_since: float | None = None,
    ) -> list[Candidate]:
        """Return everything the searches found for a query, with all scores, best first; see `recall`."""
        return recall(
            self._vault,
            self._scope,
            clean(query),
            config=self._config,
            now=now,
            at_least=at_least,
            as_of=as_of,
            valid_since=valid_since,
        )

    @property
    def entries(self) -> list[Entry]:
        """Every entry of the scope but the turns that short-term memory shows, oldest first."""
        hidden = set(self._hidden())
        return [entry for entry in self.listed() if entry.id not in hidden]

    def listed(self, where: Where | None = None, *, limit: int | None = None) -> list[Entry]:
        """Return every entry of the scope whose metadata passes a filter, oldest first; the newest `limit` of them."""
        found = self._vault.store.scan(self._scope.within({KIND: {"$ne": PART}}, unexpired(), where or {}))
        entries = sorted(
            map(entry_from_record, filter(_is_entry, found)), key=lambda entry: (entry.timestamp or 0.0, entry.id)
        )
        return entries if limit is None else entries[max(len(entries) - check_k(limit), 0) :]

    def get(self, memory_id: str) -> Entry | None:
        """Return the entry of that id, None where the scope has none."""
        (record,) = self._vault.store.get([memory_id])
        visible = parse(self._scope.within({KIND: {"$ne": PART}}, unexpired()))
        if record is None or not _is_entry(record) or not matches(visible, record.metadata):
            return None
        return entry_from_record(record)

    def delete(self, memory_id: str) -> bool:
        """Delete the entry of that id with its parts, if it is the scope's own; return whether there was one.

        Of a summary the text goes; what it stands for stays out of the short-term view.
        """
        (record,) = self._vault.store.get([memory_id])
        if record is not None and record.metadata.get(KIND) == SUMMARY:
            return self._empty(memory_id)
        parts = [record.id for record in self._vault.store.scan({HEAD: memory_id})]
        return self._vault.delete([memory_id, *parts], where=self._scope.own_where()) > 0

    def add_memory(self, text: str, metadata: Mapping[str, Any] | None = None, *, supersedes: str | None = None) -> str:
        """Store one memory and return its id.

        `session_id`, `speaker`, `timestamp` (seconds since the epoch), `importance`, `source_id`, `valid_from`,
        `valid_until`, `expires_at` and `ttl` (seconds) in the metadata are understood; other keys are kept and can be
        filtered on. `supersedes` names the memory whose place this one takes, from `valid_from` on or from now: the
        old one stays and is found `as_of` a moment before. Raises InvalidRecordError for blank text, for metadata that
        no record can hold, and when there is no such memory here or another one has taken its place.
        """
        text = clean(text)
        if not text.strip():
            raise InvalidRecordError("a memory is blank.", fix="pass text with at least one visible character.")
        given = self._scope.stamp(with_moments(check_user_metadata(metadata)))
        stamped = dict(check_metadata(given, record_id="the memory", fields=UNDERSTOOD))
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
        if supersedes is None:
            self._vault.write(list(parts))
        else:
            self._supersede(supersedes, list(parts))
        return head.id

    def _empty(self, summary_id: str) -> bool:
        """Delete the text of a summary, if it is the scope's own; return whether there was one."""
        own = parse(self._scope.own_where())
        with self._vault.in_turn(), self._vault.writing:
            (record,) = self._vault.store.get([summary_id])
            if record is None or not matches(own, record.metadata):
                return False
            self._vault.keep([emptied(record)])
            return _is_entry(record) or DUE in record.metadata

    def _supersede(self, old: str, records: list[Record]) -> None:
        """Store a new memory and end the validity of an old one, both or neither."""
        old = whole_of(self._vault.store, old)
        moment = float(records[-1].metadata.get(VALID_FROM, time.time()))
        for place, record in enumerate(records):
            link = {SUPERSEDES: old} if record is records[-1] else {}
            records[place] = replace(record, metadata={**record.metadata, VALID_FROM: moment, **link})
        self._vault.write(records, finish=lambda batch: [*ended(self._vault.store, self._scope, old, moment), *batch])

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
        """Return `num_entries` (in this scope), `index_size` (vectors in the store) and `index_type`.

        The type of a store that names none is its own name.
        """
        stats = self._vault.store.stats()
        return {
            "num_entries": self._vault.store.count(self._scope.within({KIND: {"$ne": PART}})) - len(self._hidden()),
            "index_size": stats.vectors - self._vault.fillers(),
            "index_type": str(stats.details.get("index_type", self._vault.source.vector_store)),
            "pending_embeddings": self._vault.pending(),
        }

    @property
    def vault(self) -> Vault:
        """Where the entries are."""
        return self._vault

    @property
    def scope(self) -> Scope:
        """Whose entries these are."""
        return self._scope

    def __getstate__(self) -> dict[str, Any]:
        return {"vault": self._vault, "scope": self._scope, "hidden": self._hidden}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        vault: Vault = state["vault"]
        source = vault.source
        self.__init__(  # type: ignore[misc]  # as it was made, in the process that reads the pickle
            source.config, scope=state["scope"], vault=vault, hidden=state["hidden"], registry=source.registry
        )
        self._owned = True

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


def _is_entry(record: Record) -> bool:
    """Whether a record says something: a summary without a text only links to what it stands for."""
    return bool(record.text) or record.metadata.get(KIND) != SUMMARY


def _entry(candidate: Candidate) -> Entry:
    return entry_from_record(Record(candidate.id, candidate.text, None, candidate.metadata))
