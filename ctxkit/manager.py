"""ContextManager: what an application talks to."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, overload

from typing_extensions import Self

from ctxkit.config import Config, conflicts, without_secrets
from ctxkit.context import ContextResult
from ctxkit.context.account import account
from ctxkit.context.assembling import Assembler
from ctxkit.context.chat import check_form
from ctxkit.filters import Where
from ctxkit.ingest import IngestReport
from ctxkit.interfaces import Message
from ctxkit.memory import Entry, LongTermMemory, Scope, ShortTermMemory
from ctxkit.memory.arguments import check_budget, check_moment, check_path, not_config, store_folder
from ctxkit.memory.chats import check_chat
from ctxkit.memory.copies import load, save, take_over
from ctxkit.memory.documents import Progress
from ctxkit.memory.entries import check_user_metadata, clean
from ctxkit.memory.erasing import ErasureReport, erasable, erase
from ctxkit.memory.figures import figures
from ctxkit.memory.forks import renew_after_fork
from ctxkit.memory.notices import Once
from ctxkit.memory.opening import open_tokenizer, open_vault
from ctxkit.memory.summarizing import Summarizing
from ctxkit.memory.turns import Exchange, store_turn
from ctxkit.memory.validity import expired, with_moments
from ctxkit.memory.vault import Vault
from ctxkit.memory.views import View, open_view
from ctxkit.plugins import PluginRegistry, get_registry
from ctxkit.records import check_k

_log = logging.getLogger(__name__)
_MADE_ANEW = {"config", "_assembler", "_closed", "_lock", "_summarizing", "_tokenizer", "_vault", "_view"}
_in_memory = Once(_log, "memory is kept in this process only and ends with it; pass path= to keep it.")


class ContextManager:
    """Remembers what was said and builds prompts from it.

    `path` is the directory of a durable store; without one it is the store that `Config.load()` found named, and
    where there is none everything is in memory. `user_id`, `agent_id`, `session_id` and `task_id` set whose memories
    these are (see `Scope`). Raises ConfigError for a configuration that cannot work, PluginNotFoundError for a provider
    that is not installed, and StoreError when the store cannot be opened. Safe to use from several threads; several
    processes may use one path.
    """

    _view: View

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
            raise not_config(config)
        self.config = config or Config()
        scope = Scope(user_id, agent_id, session_id, task_id, allow_cross_session, allow_cross_task)
        registry = registry or get_registry()
        if self.config.debug:
            level = self.config.log_level if "log_level" in self.config.model_fields_set else logging.DEBUG
            logging.getLogger("ctxkit").setLevel(level)
        for problem in conflicts(self.config):
            _log.warning("%s", problem)
        self.path = store_folder(path, self.config)
        vault = open_vault(self.config, self.path, registry)
        if not vault.store.capabilities.persistent:
            _in_memory.say()
        self._begin(scope, vault)

    def _begin(self, scope: Scope, vault: Vault) -> None:
        """Make everything that follows from an open vault; closes it when that fails."""
        self._vault = vault
        self._closed = False
        self.renew()
        renew_after_fork(self)
        try:
            registry = vault.source.registry
            self._tokenizer = open_tokenizer(self.config, registry)
            extractive = registry.create_llm("extractive")
            self._summarizing = Summarizing(vault, self._tokenizer, self.config, extractive)
            self._assembler = Assembler(vault, self._tokenizer, self.config)
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
        self._take_over(memory.vault)

    @property
    def long_term_memory(self) -> LongTermMemory:
        """Everything in the scope."""
        return self._view.long_term

    @long_term_memory.setter
    def long_term_memory(self, memory: LongTermMemory) -> None:
        self._take_over(memory.vault)

    # -- writing ---------------------------------------------------------------------------------------------

    def observe(
        self,
        user_input: str,
        assistant_response: str,
        *,
        turn_id: str | None = None,
        timestamp: float | datetime | None = None,
        metadata: Mapping[str, Any] | None = None,
        messages: Sequence[Message] | None = None,
    ) -> str:
        """Store one turn and return its id; it is durable when this returns, whatever the embedder does.

        `turn_id` makes the call repeatable: the same turn is stored once. `timestamp` is seconds since the epoch or
        an aware datetime, now by default. `messages` are the turn as it was exchanged, with tool calls and their
        results, in OpenAI's form or Anthropic's; `build_messages` gives them back. Raises InvalidRecordError when both
        sides are blank, when a known `turn_id` comes with other words, for messages that no provider would take back,
        and for metadata that no record can hold.
        """
        view = self._view
        given = with_moments(check_user_metadata(metadata))
        if timestamp is not None or "timestamp" not in given:
            given["timestamp"] = check_moment(timestamp)
        turn = store_turn(
            self._vault,
            view.scope,
            self._tokenizer,
            Exchange(clean(user_input), clean(assistant_response), check_chat(messages)),
            turn_id=turn_id,
            metadata=given,
            part_size=self.config.memory.ingestion_chunk_size,
            after=view.short_term.newest_order,
        )
        # A turn whose metadata names a session of its own belongs to that conversation, not to the one in view.
        if view.scope.thread(turn.metadata, conversation=True) == view.short_term.thread:
            view.short_term.add(turn)
            self._summarizing.make_room(view.short_term)
        return turn.id

    def add_memory(self, text: str, metadata: Mapping[str, Any] | None = None, *, supersedes: str | None = None) -> str:
        """Store one memory and return its id; see `LongTermMemory.add_memory`."""
        return self.long_term_memory.add_memory(text, metadata, supersedes=supersedes)

    def ingest_text(
        self, text: str, source_id: str | None = None, metadata: Mapping[str, Any] | None = None
    ) -> IngestReport:
        """Store a document in chunks of `ingestion_chunk_size` tokens; the same `source_id` again replaces it."""
        return self._view.documents.ingest_text(text, source_id, metadata)

    def ingest_file(self, path: str | Path, metadata: Mapping[str, Any] | None = None) -> IngestReport:
        """Store a text file as a document; a file that cannot be read as text is named in the report.

        Raises IngestError when there is no such file.
        """
        return self._view.documents.ingest_path(check_path(path), metadata)

    def ingest_directory(
        self, path: str | Path, metadata: Mapping[str, Any] | None = None, *, progress: Progress | None = None
    ) -> IngestReport:
        """Store every text file below a folder; what cannot be read is named in the report, nothing else stops.

        `progress(done, total, path)` is called after each file. Files that have not changed are left as they are,
        so an ingestion that was interrupted goes on where it stopped. Raises IngestError when there is no such
        folder.
        """
        return self._view.documents.ingest_path(check_path(path), metadata, progress=progress)

    def clear_memory(self) -> int:
        """Delete everything in this scope, the turns in view too; return how many records went.

        Other sessions and tasks keep theirs, also where this manager may read them.
        """
        view = self._view
        with self._lock:
            count = self._vault.delete(where=view.scope.own_where())
            view.short_term.refresh()
            self._assembler.forget()
            return count

    def erase(
        self,
        ids: str | Sequence[str] | None = None,
        *,
        session_id: str | None = None,
        user_id: str | None = None,
        where: Where | None = None,
    ) -> ErasureReport:
        """Erase memories for good, by id, session, user or a filter on the metadata; all that is given has to apply.

        With a turn, memory or document's piece go its parts, its vectors, its cached embeddings and what was
        summarised of it: a summary is made anew of what is left. Then the store's files are written anew, so that no
        byte is left in them; the report says where a store cannot. Only this scope's own is erased, but `user_id`,
        which must be this manager's, means all of that user's sessions, tasks and agents. Raises ConfigError when
        nothing says what to erase, or it is another's, and StoreError when it could not be completed: the same call
        completes it.
        """
        view = self._view
        report = erase(self._vault, self._summarizing, *erasable(view.scope, ids, session_id, user_id, where))
        view.short_term.refresh()
        self._assembler.forget()
        return report

    def sweep(self) -> ErasureReport:
        """Erase what has expired, as `erase` does; nothing finds it even before."""
        where = expired()
        if not self._vault.store.count({"$and": [self._view.scope.own_where(), where]}):
            return ErasureReport()
        return self.erase(where=where)

    def backfill_embeddings(self) -> int:
        """Embed now whatever was stored without a vector; return how many records were.

        Raises EmbedderError when the embedder still fails.
        """
        return self._vault.backfill()

    # -- reading ---------------------------------------------------------------------------------------------

    def build(
        self,
        user_input: str,
        *,
        now: float | None = None,
        budget: int | None = None,
        as_of: float | datetime | None = None,
    ) -> ContextResult:
        """Build the context for a question, with its account.

        The text never has more than `budget` tokens (default: `prompt_token_budget`) by the configured tokenizer
        and always holds the whole question. `as_of` asks for the memories that were valid at another moment than now;
        the recent turns are those of now. Raises BudgetTooSmallError when the question alone does not fit.
        """
        limit = self.config.memory.prompt_token_budget if budget is None else check_budget(budget)
        moment = None if now is None else check_moment(now)
        valid_at = None if as_of is None else check_moment(as_of)
        return self._assembler.build(self._view, clean(user_input), now=moment, budget=limit, as_of=valid_at)

    def build_context(
        self,
        user_input: str,
        *,
        now: float | None = None,
        budget: int | None = None,
        as_of: float | datetime | None = None,
    ) -> str:
        """Return the text of `build`, whose arguments it takes: a context for a question within the token budget."""
        return self.build(user_input, now=now, budget=budget, as_of=as_of).text

    @overload
    def build_messages(self, user_input: str, provider: Literal["openai"] = "openai") -> list[dict[str, Any]]: ...
    @overload
    def build_messages(self, user_input: str, provider: Literal["anthropic"]) -> dict[str, Any]: ...
    def build_messages(self, user_input: str, provider: str = "openai") -> list[dict[str, Any]] | dict[str, Any]:
        """Return the context of a question as the messages that a provider takes, within the token budget.

        What is known comes first, as the system's, then the recent turns, tool calls with their results, then the
        question. For "openai" that is a list; for "anthropic" a dict with `system`, where there is one, and `messages`,
        the arguments of its call. Raises ConfigError for another provider, and otherwise as `build`.
        """
        form = check_form(provider)
        messages: list[dict[str, Any]] | dict[str, Any] = form(self.build(user_input).messages)
        return messages

    def query_memory(self, query: str, k: int = 5, *, as_of: float | datetime | None = None) -> list[tuple[str, float]]:
        """Return the k best texts for a query with their scores (higher is better), best first.

        `as_of` asks what was valid at another moment than now. Raises InvalidQueryError for k < 1 and for a blank
        query.
        """
        return [(entry.text, score) for entry, score in self.long_term_memory.search(query, check_k(k), as_of=as_of)]

    def get_memory(self, memory_id: str) -> Entry | None:
        """Return the memory, turn, document's piece or summary of that id, None where this scope has none."""
        return self.long_term_memory.get(memory_id)

    def list_memories(self, where: Where | None = None, *, limit: int | None = None) -> list[Entry]:
        """Return everything in the scope, the turns in view too, oldest first; with a limit, the newest so many.

        `where` is a filter on the metadata. Raises InvalidFilterError.
        """
        return self.long_term_memory.listed(where, limit=limit)

    def delete_memory(self, memory_id: str) -> bool:
        """Delete one memory, turn, piece or summary with all its parts; return whether there was one.

        Only what is this scope's own is deleted.
        """
        view = self._view
        with self._lock:
            deleted = view.long_term.delete(memory_id)
            view.short_term.refresh()
            self._assembler.forget()
            return deleted

    def debug_context_building(self, user_input: str) -> dict[str, Any]:
        """Build a context once and return how it came about, the ledger included."""
        return account(self.build(user_input))

    def get_stats(self) -> dict[str, Any]:
        """Return figures about both views, the store and the components in use."""
        return figures(self._view, self._vault, self._summarizing)

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
                self._summarizing.close()
                self._vault.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        """Keep the path of a durable store, the records of one in memory, and what a subclass added; never a key."""
        added = {name: value for name, value in vars(self).items() if name not in _MADE_ANEW}
        return {**added, "config": without_secrets(self.config), "_vault": self._vault, "_scope": self._view.scope}

    def __setstate__(self, state: dict[str, Any]) -> None:
        scope, vault = state.pop("_scope"), state.pop("_vault")
        vars(self).update(state)
        self._begin(scope, vault)

    def __repr__(self) -> str:
        where = "in memory" if self.path is None else f"path={str(self.path)!r}"
        return f"{type(self).__name__}({where}, session_id={self._view.scope.session_id!r})"

    def save_memory(self, directory: str | Path) -> int:
        """Copy this scope's own memory to a folder, which must not exist or be empty; return how many records.

        The copy is of one moment, whole or not there at all, and a store of its own: `ContextManager(path=directory)`
        opens it too. Raises ConfigError when the folder is in use, StoreError when it cannot be written.
        """
        view = self._view
        return save(self._vault, view.scope.own_where(), check_path(directory), self._vault.source.registry)

    def load_memory(self, directory: str | Path) -> int:
        """Add what `save_memory` kept of this scope and is not here; return how many records came.

        What is here stays. Vectors of another model are made anew. Raises StoreUnavailableError when the folder holds
        no memory, StoreCorruptError when it is damaged.
        """
        view = self._view
        with self._lock:
            came = load(self._vault, view.scope.own_where(), check_path(directory), self._vault.source.registry)
        self._summarizing.begin(view.short_term)
        return came

    # -- inside ----------------------------------------------------------------------------------------------

    def _show(self, scope: Scope) -> None:
        view = open_view(scope, self._vault, self._tokenizer, self.config)
        # Turns may have come in by another process, or by metadata that named this session.
        self._summarizing.begin(view.short_term)
        self._view = view

    def _take_over(self, other: Vault) -> None:
        """Add what another memory holds of this scope: an application restores its memory by assigning it."""
        source, view = other.source, self._view
        if other is self._vault or (source.path is not None and source.path == self.path):
            return
        found = other.store.scan(view.scope.own_where(), include_vectors=True)
        take_over(self._vault, found, other.store.spec.fingerprint)
        self._summarizing.begin(view.short_term)

    def _summarize_and_offload(self) -> None:
        """Let the oldest chunk of turns leave the view, and store a summary that links to them."""
        self._summarizing.offload(self._view.short_term)
        self._summarizing.resume()
