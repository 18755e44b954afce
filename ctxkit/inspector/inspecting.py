"""Building one context and gathering what explains it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from ctxkit import __version__
from ctxkit.context import ContextResult
from ctxkit.context.ledger import LedgerRow
from ctxkit.errors import ConfigError
from ctxkit.inspector.comparing import compare
from ctxkit.inspector.document import FORMAT, VERSION, CandidateRow, Components, Inspection
from ctxkit.inspector.timeline import timeline
from ctxkit.manager import ContextManager
from ctxkit.memory.entries import KIND, MEMORY
from ctxkit.records import Record

_LONGEST: Final = 20_000  # characters of one candidate; the prompt is always whole


class Inspector:
    """Builds the contexts of one manager and explains them, each compared with the one before.

    Nothing else should build contexts with the manager meanwhile: what is stable is
    counted against the context that it built before. Safe to use from several threads.
    """

    def __init__(self, manager: ContextManager, *, budget: int | None = None) -> None:
        self._manager = manager
        self._budget = budget
        self._previous: ContextResult | None = None
        self._lock = threading.Lock()

    def prepare(self, question: str) -> None:
        """Build the context of a question only to compare the next one with it; raises what `inspect` raises."""
        with self._lock:
            self._previous = self._manager.build(question, budget=self._budget)

    def inspect(self, question: str) -> Inspection:
        """Build the context of a question and return it with its account.

        Raises BudgetTooSmallError when the question does not fit, ConfigError when it is blank, and StoreError.
        """
        if not question.strip():
            raise ConfigError("the question is blank.", fix="ask with at least one visible character.")
        with self._lock:
            began = time.perf_counter()
            result = self._manager.build(question, budget=self._budget)
            seconds = time.perf_counter() - began
            before, self._previous = self._previous, result
        memory = self._manager.long_term_memory
        store = memory.vault.store
        records = {record.id: record for record in store.get([row.id for row in result.ledger]) if record is not None}
        stages = self._manager.config.retrieval.stages
        rows = list(_rows(result, records, stages))
        return {
            "format": FORMAT,
            "version": VERSION,
            "ctxkit": __version__,
            "made_at": time.time(),
            "question": result.question,
            "session": memory.scope.session_id,
            "budget": result.budget,
            "tokens": result.tokens,
            "seconds": seconds,
            "components": self._components(),
            "parts": [
                {"name": name, "tokens": result.parts[name], "text": text}
                for name, text in result.sections.items()
                if text
            ],
            "stages": list(stages),
            "candidates": rows,
            "timeline": timeline(store, memory.scope, rows),
            "previous": None if before is None else compare(before, result),
        }

    def _components(self) -> Components:
        stats = self._manager.get_stats()
        return {
            "path": stats["store"]["path"],
            "vector_store": stats["vector_store"],
            "index_type": stats["long_term_memory"]["index_type"],
            "records": stats["store"]["records"],
            "embedder": stats["embedder"],
            "tokenizer": stats["tokenizer"],
            "fallbacks": stats["fallbacks"],
        }


def newest_question(manager: ContextManager) -> str:
    """Return what the user said last in the manager's session; raises ConfigError when nothing was said there."""
    for turn in reversed(manager.short_term_memory.turns):
        if turn.user_input.strip():
            return turn.user_input
    raise ConfigError("the session has no turn of a user to take the question from.", fix="give a QUESTION.")


def _rows(result: ContextResult, records: Mapping[str, Record], stages: Sequence[str]) -> Iterator[CandidateRow]:
    rank = 0
    for row in result.ledger:
        ranked = row.part == "memory"
        rank += ranked
        # What was not ranked has no scores of stages, not scores of 0.
        scores = {name: row.others[name] if name in row.others else getattr(row, name) for name in stages if ranked}
        yield _row(row, records.get(row.id), rank if ranked else None, scores)


def _row(row: LedgerRow, record: Record | None, rank: int | None, scores: dict[str, float]) -> CandidateRow:
    """Return a row of the ledger with what its record tells; it may have been deleted since the context was built."""
    told = {} if record is None else record.metadata
    speaker, session = told.get("speaker"), told.get("session_id")
    return {
        "id": row.id,
        "part": row.part,
        "kind": str(told.get(KIND, MEMORY)),
        "rank": rank,
        "kept": row.kept,
        "reason": row.reason,
        "tokens": row.tokens,
        "text": row.text[:_LONGEST],
        "characters": len(row.text),
        "dense": row.dense,
        "lexical": row.lexical,
        "stages": scores,
        "final": row.final,
        "session": session if isinstance(session, str) else None,
        "speaker": speaker if isinstance(speaker, str) else None,
        "timestamp": row.timestamp,
        "source": row.source,
    }
