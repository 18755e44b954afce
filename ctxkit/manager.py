"""ContextManager: what an application talks to."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from typing_extensions import Self

from ctxkit.config import Config, conflicts
from ctxkit.context import ContextResult, Purse, build, check_question
from ctxkit.errors import ConfigError, InvalidRecordError, StoreError
from ctxkit.ingest import IngestReport
from ctxkit.memory import LongTermMemory, Scope, ShortTermMemory
from ctxkit.memory.documents import Documents, Progress
from ctxkit.memory.entries import FRONTIER, KIND, LEVEL, SUMMARY, THREAD, check_user_metadata, clean
from ctxkit.memory.forks import renew_after_fork
from ctxkit.memory.opening import open_vault
from ctxkit.memory.summaries import summarize
from ctxkit.memory.turns import store_turn
from ctxkit.plugins import PluginRegistry, get_registry
from ctxkit.records import Record, check_k
from ctxkit.retrieval import Candidate
from ctxkit.tokens import RememberingTokenizer

_log = logging.getLogger(__name__)
_SUMMARIES = 4
_LATEST = 1e15  # seconds, about thirty million years: what is beyond is no moment but a mistake
ManagerT = TypeVar("ManagerT", bound="ContextManager")


@dataclass(frozen=True, slots=True)
class _View:
    """Everything that follows from one scope. A call reads it once, so that it never mixes two scopes."""

    scope: Scope
    short_term: ShortTermMemory
    long_term: LongTermMemory
    documents: Documents


class _Once:
    """Says something the first time only."""

    def __init__(self, message: str) -> None:
        self._message: str | None = message
        self._lock = threading.Lock()

    def say(self) -> None:
        with self._lock:
            message, self._message = self._message, None
        if message is not None:
            _log.warning("%s", message)


_in_memory = _Once("memory is kept in this process only and ends with it; pass path= to keep it.")


class ContextManager:
    """Remembers what was said and builds prompts from it.

    `path` is the directory of a durable store; without one everything is in memory. `user_id`, `agent_id`,
    `session_id` and `task_id` set whose memories these are (see `Scope`). Raises ConfigError for a configuration
    that cannot work, PluginNotFoundError for a provider that is not installed, and StoreError when the store cannot
    be opened. Safe to use from several threads; several processes may use one path.
    """

    _view: _View

    def __init__(  # noqa: PLR0913 - one argument for each part of a scope
        self,
        config: Config | None = None,
        *,
        path: str | Path | None = None,
        session_id: str | None = None,
        task_id: str | None = None,
        user_id: str | None = None,
        agent_id: str | None = None,
        allow_cross_session: bool = False,
        allow_cross_task: bool = False,
        registry: PluginRegistry | None = None,
    ) -> None:
        if config is not None and not isinstance(config, Config):
            raise ConfigError(f"config is {type(config).__name__}, not Config.", fix="pass Config(...).")
        self.config = config or Config()
        scope = Scope(user_id, agent_id, session_id, task_id, allow_cross_session, allow_cross_task)
        registry = registry or get_registry()
        if self.config.debug:
            logging.getLogger("ctxkit").setLevel(self.config.log_level)
        for problem in conflicts(self.config):
            _log.warning("%s", problem)
        self.path = _folder(path, self.config)
        if self.path is None:
            _in_memory.say()
        chosen = self.config.tokenizer
        self._tokenizer = RememberingTokenizer(registry.create_tokenizer(chosen.provider, chosen.options()))
        self._summarizer = registry.create_llm("extractive")
        self._opened = open_vault(self.config, self.path, registry)
        self._vault = self._opened.vault
        self._closed = False
        self.renew()
        renew_after_fork(self)
        try:
            self._show(scope)
        except BaseException:
            self._vault.close()
            raise

    def renew(self) -> None:
        """Make the lock anew, in a forked child."""
        self._lock = threading.RLock()

    @property
    def short_term_memory(self) -> ShortTermMemory:
        """The newest turns of the session, up to `stm_capacity`."""
        return self._view.short_term

    @short_term_memory.setter
    def short_term_memory(self, memory: ShortTermMemory) -> None:
        self._view = replace(self._view, short_term=memory)

    @property
    def long_term_memory(self) -> LongTermMemory:
        """Everything in the scope."""
        return self._view.long_term

    @long_term_memory.setter
    def long_term_memory(self, memory: LongTermMemory) -> None:
        self._view = replace(self._view, long_term=memory)

    # -- writing ---------------------------------------------------------------------------------------------

    def observe(
        self,
        user_input: str,
        assistant_response: str,
        *,
        turn_id: str | None = None,
        timestamp: float | datetime | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> str:
        """Store one turn and return its id; it is durable when this returns, whatever the embedder does.

        `turn_id` makes the call repeatable: the same turn is stored once. `timestamp` is seconds since the epoch or
        an aware datetime, now by default. Raises InvalidRecordError when both sides are blank, when a known
        `turn_id` comes with other words, and for metadata that no record can hold.
        """
        view = self._view
        given = check_user_metadata(metadata)
        if timestamp is not None or "timestamp" not in given:
            given["timestamp"] = _seconds(timestamp)
        turn = store_turn(
            self._vault,
            view.scope,
            self._tokenizer,
            (clean(user_input), clean(assistant_response)),
            turn_id=turn_id,
            metadata=given,
            part_size=self.config.memory.ingestion_chunk_size,
            after=view.short_term.newest_order,
        )
        # A turn whose metadata names a session of its own belongs to that conversation, not to the one in view.
        if view.scope.thread(turn.metadata, conversation=True) == view.short_term.thread:
            self._make_room(view)
        return turn.id

    def add_memory(self, text: str, metadata: Mapping[str, Any] | None = None) -> str:
        """Store one memory and return its id; see `LongTermMemory.add_memory`."""
        return self.long_term_memory.add_memory(text, metadata)

    def ingest_text(
        self, text: str, source_id: str | None = None, metadata: Mapping[str, Any] | None = None
    ) -> IngestReport:
        """Store a document in chunks of `ingestion_chunk_size` tokens; the same `source_id` again replaces it."""
        return self._view.documents.ingest_text(text, source_id, metadata)

    def ingest_file(self, path: str | Path, metadata: Mapping[str, Any] | None = None) -> IngestReport:
        """Store a text file as a document; a file that cannot be read as text is named in the report.

        Raises IngestError when there is no such file.
        """
        return self._view.documents.ingest_path(_path(path), metadata)

    def ingest_directory(
        self, path: str | Path, metadata: Mapping[str, Any] | None = None, *, progress: Progress | None = None
    ) -> IngestReport:
        """Store every text file below a folder; what cannot be read is named in the report, nothing else stops.

        `progress(done, total, path)` is called after each file. Files that have not changed are left as they are,
        so an ingestion that was interrupted goes on where it stopped. Raises IngestError when there is no such
        folder.
        """
        return self._view.documents.ingest_path(_path(path), metadata, progress=progress)

    def clear_memory(self) -> int:
        """Delete everything in this scope, the turns in view too; return how many records went.

        Other sessions and tasks keep theirs, also where this manager may read them.
        """
        view = self._view
        with self._lock:
            count = self._vault.delete(where=view.scope.own_where())
            view.short_term.refresh()
            return count

    def backfill_embeddings(self) -> int:
        """Embed now whatever was stored without a vector; return how many records were.

        Raises EmbedderError when the embedder still fails.
        """
        return self._vault.backfill()

    # -- reading ---------------------------------------------------------------------------------------------

    def build(self, user_input: str, *, now: float | None = None, budget: int | None = None) -> ContextResult:
        """Build the context for a question, with its account.

        The text never has more than `budget` tokens (default: `prompt_token_budget`) by the configured tokenizer
        and always holds the whole question. Raises BudgetTooSmallError when the question alone does not fit.
        """
        question = clean(user_input)
        memory = self.config.memory
        limit = memory.prompt_token_budget if budget is None else check_budget(budget)
        now = None if now is None else _seconds(now)
        # A question that cannot fit is refused before anything is searched for it.
        check_question(question, Purse(self._tokenizer, limit))
        view = self._view
        view.short_term.refresh()
        candidates: list[Candidate] = []
        if question.strip():
            candidates = view.long_term.candidates(question, now=now, at_least=memory.ltm_hits_k)
        return build(
            question,
            recent=view.short_term.get_recent_turns(memory.recent_k),
            candidates=candidates,
            summaries=self._newest_summaries(view),
            tokenizer=self._tokenizer,
            budget=limit,
            hits=memory.ltm_hits_k,
        )

    def build_context(self, user_input: str) -> str:
        """Return the text of `build`: a context for a question within the token budget."""
        return self.build(user_input).text

    def query_memory(self, query: str, k: int = 5) -> list[tuple[str, float]]:
        """Return the k best texts for a query with their scores (higher is better), best first.

        Raises InvalidQueryError for k < 1 and for a blank query.
        """
        return [(entry.text, score) for entry, score in self.long_term_memory.search(query, check_k(k))]

    def debug_context_building(self, user_input: str) -> dict[str, Any]:
        """Build a context once and return how it came about, the ledger included."""
        result = self.build(user_input)
        recent, memories = result.kept("recent"), result.kept("memory")
        return {
            "user_input": result.question,
            "recent_turns_count": len(recent),
            "ltm_results_count": len(memories),
            "final_context_length": len(result.text),
            "final_context_tokens": result.tokens,
            "context_budget": result.budget,
            "recent_texts": [row.text for row in recent],
            "ltm_results": [(row.text, row.final) for row in memories],
            "parts": result.parts,
            "ledger": [row.as_dict() for row in result.ledger],
            "context": result.text,
        }

    def get_stats(self) -> dict[str, Any]:
        """Return figures about both views, the store and the components in use."""
        view = self._view
        stm = view.short_term
        stm.refresh()
        current = stm.current_tokens
        store = self._vault.store.stats()
        embedder = self._vault.embedder
        return {
            "short_term_memory": {
                "num_turns": len(stm.turns),
                "current_tokens": current,
                "max_tokens": stm.max_tokens,
                "utilization": current / stm.max_tokens,
            },
            "long_term_memory": view.long_term.get_stats(),
            "store": {
                "path": None if self.path is None else str(self.path),
                "records": store.rows,
                "vectors": store.vectors,
                "bytes_on_disk": store.bytes_on_disk,
                "bytes_in_memory": store.bytes_in_memory,
            },
            "pending_embeddings": self._vault.pending(),
            "last_embedding_error": None
            if embedder is None or embedder.last_error is None
            else str(embedder.last_error),
            "vector_store": self._opened.vector_store,
            "embedder": self._opened.embedder,
            "tokenizer": self._tokenizer.name,
            "fallbacks": list(self._opened.fallbacks),
            "session_id": view.scope.session_id,
        }

    # -- scope and life --------------------------------------------------------------------------------------

    def set_session(self, session_id: str | None) -> None:
        """Go on in another session (None: turns without a session)."""
        self._show(replace(self._view.scope, session_id=session_id))

    def set_task(self, task_id: str | None) -> None:
        """Go on in another task (None: no task)."""
        self._show(replace(self._view.scope, task_id=task_id))

    def close(self) -> None:
        """Release the store and the embedder; closing twice is fine."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._vault.close()
                self._summarizer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        where = "in memory" if self.path is None else f"path={str(self.path)!r}"
        return f"{type(self).__name__}({where}, session_id={self._view.scope.session_id!r})"

    # -- inside ----------------------------------------------------------------------------------------------

    def _show(self, scope: Scope) -> None:
        thread = str(scope.thread(scope.stamp({}), conversation=True))
        memory = self.config.memory
        short_term = ShortTermMemory(self._vault, self._tokenizer, thread=thread, max_tokens=memory.stm_capacity)

        def in_view() -> set[str]:
            short_term.refresh()
            return {turn.id for turn in short_term.turns}

        long_term = LongTermMemory(
            self.config, scope=scope, vault=self._vault, hidden=in_view, tokenizer=self._tokenizer
        )
        view = _View(scope, short_term, long_term, Documents(self._vault, scope, self._tokenizer, memory))
        # Turns may have come in by another process, or by metadata that named this session.
        self._make_room(view)
        self._view = view

    def _make_room(self, view: _View) -> None:
        """Let turns leave a view that overflows; a failure leaves it as it is until the next turn."""
        try:
            with self._lock:
                view.short_term.refresh()
                while view.short_term.over_capacity:
                    self._offload(view)
        except StoreError as exc:
            _log.warning("short-term memory stays over its capacity for now (%s)", type(exc).__name__)

    def _summarize_and_offload(self) -> None:
        """Let the oldest chunk of turns leave the view, and store a summary that links to them."""
        view = self._view
        with self._lock:
            view.short_term.refresh()
            self._offload(view)

    def _offload(self, view: _View) -> None:
        leaving = view.short_term.oldest(self.config.memory.chunk_size)
        if leaving:
            summary = summarize(
                leaving,
                self._summarizer,
                scope=view.scope,
                thread=view.short_term.thread,
                ratio=self.config.memory.summary_compression_ratio,
            )
            self._vault.write([summary])
            view.short_term.drop(leaving)

    def _newest_summaries(self, view: _View) -> list[Record]:
        where = {THREAD: view.short_term.thread, KIND: SUMMARY, LEVEL: "chunk"}
        return list(self._vault.store.scan(where, order_by=FRONTIER, descending=True, limit=_SUMMARIES))


def check_budget(budget: object) -> int:
    """Return a token budget, or raise ConfigError when it is no positive int."""
    if isinstance(budget, bool) or not isinstance(budget, int) or budget < 1:
        raise ConfigError(f"the token budget is {budget!r}.", fix="pass an int of at least 1.")
    return budget


def _seconds(timestamp: object) -> float:
    """Return seconds since the epoch, now for None; raises InvalidRecordError for what is no moment."""
    if timestamp is None:
        return time.time()
    if isinstance(timestamp, datetime):
        if timestamp.tzinfo is None:
            raise InvalidRecordError("the timestamp has no time zone.", fix="pass an aware datetime, or seconds.")
        return timestamp.timestamp()
    if isinstance(timestamp, (int, float)) and not isinstance(timestamp, bool) and abs(timestamp) < _LATEST:
        return float(timestamp)
    raise InvalidRecordError(
        f"the timestamp is {timestamp!r:.60}.", fix="pass seconds since the epoch or an aware datetime."
    )


def _path(path: object) -> Path:
    if not isinstance(path, (str, os.PathLike)) or not str(path):
        raise ConfigError(f"the path is {path!r}.", fix="pass the path of a folder or file as str or Path.")
    return Path(path)


def _folder(path: object, config: Config) -> Path | None:
    """Return where the store lives; a path among the store's own options counts too."""
    option = config.vector_store.options().get("path")
    if path is not None and option is not None:
        raise ConfigError("there is a path= and a vector_store.path.", fix="keep one of them.")
    chosen = option if path is None else path
    return None if chosen is None else _path(chosen)
