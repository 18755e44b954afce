"""Erasing: records with everything that was made of them, and their bytes on disk.

A summary that stands for erased turns among others is made anew of what is left; one that stands for nothing any more
goes. A summary that is itself erased while its turns stay keeps its links without a text: it is what says that those
turns have left the short-term view.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ctxkit.errors import ConfigError
from ctxkit.filters import Where, matches, parse
from ctxkit.interfaces.purging import Purgeable
from ctxkit.memory.entries import FILLER, FRONTIER, HEAD, KIND, LEVEL, LINEAGE, PART, SUMMARY, THREAD
from ctxkit.memory.scope import Scope
from ctxkit.memory.summaries import LEVELS, Member, emptied
from ctxkit.memory.summarizing import Summarizing
from ctxkit.memory.vault import Vault, embedded_texts
from ctxkit.records import Record

_AT_ONCE = 200  # ids in one filter


@dataclass(frozen=True, slots=True)
class ErasureReport:
    """What was erased, by kind, and what became of the bytes on disk.

    `parts` are pieces of long turns and memories, and the messages of turns; `summaries_remade` were made anew without
    what they stood for. `cache_entries` counts cached embeddings. `bytes_erased`: no byte of it is left in the store's
    files; where that is False, the store cannot do that, and `remark` says what may be left.
    """

    turns: int = 0
    memories: int = 0
    chunks: int = 0
    parts: int = 0
    summaries: int = 0
    summaries_remade: int = 0
    vectors: int = 0
    cache_entries: int = 0
    bytes_erased: bool = False
    remark: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON values."""
        return asdict(self)


@dataclass(slots=True)
class _Doomed:
    """What will go: the kind of each record, which have a vector, and where summaries may stand for them."""

    kinds: dict[str, str] = field(default_factory=dict)
    threads: set[str] = field(default_factory=set)
    texts: list[str] = field(default_factory=list)
    vectors: int = 0

    def add(self, records: Iterable[Record], *, with_texts: bool) -> None:
        """Add records that are not in yet."""
        for record in records:
            if record.id in self.kinds:
                continue
            self.kinds[record.id] = kind = str(record.metadata[KIND])
            self.vectors += record.vector is not None and FILLER not in record.metadata
            if kind != PART and THREAD in record.metadata:
                self.threads.add(str(record.metadata[THREAD]))
            if with_texts:
                self.texts += embedded_texts(record)


def erasable(
    scope: Scope, ids: str | Sequence[str] | None, session_id: str | None, user_id: str | None, where: Where | None
) -> tuple[list[str] | None, dict[str, Any]]:
    """Return what to erase as ids and a filter; raises ConfigError for nothing, and for what is not the scope's own."""
    if ids is None and session_id is None and user_id is None and not where:
        raise ConfigError("nothing says what to erase.", fix="pass ids, a session_id, the user_id or a filter.")
    for name, asked, own, free in (
        ("user_id", user_id, scope.user_id, False),
        ("session_id", session_id, scope.session_id, True),
    ):
        if asked is not None and asked != own and not (free and own is None):
            raise ConfigError(
                f"{name} is {asked!r}, but this manager's is {own!r}.", fix=f"use a manager of {asked!r}."
            )
    # Whoever erases a user means all of it: the agents' records too, of every session and task.
    within: list[Where] = [scope.own_where() if user_id is None else {"user_id": {"$eq": user_id}}]
    if session_id is not None:
        within.append({"session_id": {"$eq": session_id}})
    if where:
        within.append(where)
    return [ids] if isinstance(ids, str) else None if ids is None else list(ids), {"$and": within}


def erase(vault: Vault, summarizing: Summarizing, ids: Sequence[str] | None, where: Mapping[str, Any]) -> ErasureReport:
    """Erase the records that pass the filter, of these ids where there are any, and what was made of them.

    May be called again after any failure: what was deleted stays deleted, and the rest follows. Raises StoreError.
    """
    with summarizing.alone(), vault.writing:
        doomed = _collected(vault, ids, where)
        remade, gone = _summaries(vault, summarizing, doomed)
        cached = vault.forget(doomed.texts)
        if remade:
            vault.keep(remade)
        if going := sorted({*doomed.kinds, *gone} - {record.id for record in remade}):
            vault.delete(going)
    erased, remark = _purged(vault)
    count = Counter(doomed.kinds.values())
    return ErasureReport(
        turns=count["turn"],
        memories=count["memory"],
        chunks=count["document"],
        parts=count[PART],
        summaries=len(gone) - len(remade),
        summaries_remade=len(remade),
        vectors=doomed.vectors,
        cache_entries=cached,
        bytes_erased=erased,
        remark=remark,
    )


def _collected(vault: Vault, ids: Sequence[str] | None, where: Mapping[str, Any]) -> _Doomed:
    """Return the records that are meant, with all their parts; the id of a part means the whole."""
    doomed = _Doomed()
    with_texts = vault.embedder is not None and vault.embedder.remembers
    store = vault.store
    if ids is None:
        doomed.add(store.scan(where, include_vectors=True), with_texts=with_texts)
    else:
        own = parse(where)
        named = [record for record in store.get(ids) if record is not None]
        heads = sorted({str(record.metadata.get(HEAD, record.id)) for record in named})
        found = (record for record in store.get(heads, include_vectors=True) if record is not None)
        doomed.add((record for record in found if matches(own, record.metadata)), with_texts=with_texts)
    for some in _groups(list(doomed.kinds)):
        doomed.add(store.scan({HEAD: {"$in": some}}, include_vectors=True), with_texts=with_texts)
    return doomed


def _summaries(vault: Vault, summarizing: Summarizing, doomed: _Doomed) -> tuple[list[Record], set[str]]:
    """Return the summaries that have to be written, and the ids of those that they replace or that go.

    From the lowest level up, because what a higher one stands for may be made anew below it.
    """
    made: dict[str, Record] = {}
    gone: set[str] = set()
    for record in _of_threads(vault, sorted(doomed.threads)):
        lineage = list(record.metadata[LINEAGE])
        left = [name for name in lineage if name in made or (name not in gone and name not in doomed.kinds)]
        asked = record.id in doomed.kinds
        if left == lineage and not asked and not made.keys() & lineage:
            continue
        gone.add(record.id)
        found = (made.get(name, old) for name, old in zip(left, vault.store.get(left), strict=True))
        # Two may have become one, where an erasure was cut short between writing the one anew and deleting the other.
        once = {each.id: each for each in found if each is not None}
        members = [Member.of_record(each, summarizing.tokenizer) for each in once.values()]
        if members:
            anew = summarizing.summary(
                members,
                thread=str(record.metadata[THREAD]),
                level=str(record.metadata[LEVEL]),
                frontier=int(record.metadata[FRONTIER]),
            )
            made[record.id] = emptied(anew) if asked else anew
    return list(made.values()), gone


def _of_threads(vault: Vault, threads: Sequence[str]) -> Iterator[Record]:
    """Yield the summaries of some conversations, those of the lowest level first."""
    for level in LEVELS:
        for some in _groups(threads):
            yield from list(vault.store.scan({THREAD: {"$in": some}, KIND: SUMMARY, LEVEL: level}))


def _purged(vault: Vault) -> tuple[bool, str]:
    store = vault.store
    if isinstance(store, Purgeable):
        store.purge()
        return True, ""
    store.optimize()
    return False, (
        f"the store {vault.source.vector_store} cannot rewrite its files: what was erased is no longer found, but its"
        " bytes may stand in them until the store overwrites them."
    )


def _groups(names: Sequence[str]) -> Iterable[list[str]]:
    return (list(names[start : start + _AT_ONCE]) for start in range(0, len(names), _AT_ONCE))
