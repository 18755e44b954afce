"""From a question to its context: search, choose, and remember what was built."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Hashable
from dataclasses import replace
from functools import partial
from itertools import takewhile

from ctxkit.cache.recent import Recent
from ctxkit.config import Config
from ctxkit.context.budget import Purse
from ctxkit.context.builder import build, check_question
from ctxkit.context.chat import as_chat
from ctxkit.context.result import ContextResult
from ctxkit.interfaces import Tokenizer
from ctxkit.memory.chats import stored_chats
from ctxkit.memory.entries import FRONTIER, KIND, LEVEL, SUMMARY, THREAD
from ctxkit.memory.forks import renew_after_fork
from ctxkit.memory.summaries import LEVELS
from ctxkit.memory.vault import Vault
from ctxkit.memory.views import View
from ctxkit.records import Record
from ctxkit.retrieval import Candidate

_log = logging.getLogger(__name__)
_SUMMARIES = 8
_REMEMBERED = 128
_HOUR = 3600.0


class Assembler:
    """Builds the contexts of one manager.

    A context that was built before is returned again for as long as nothing was written to the store, by whatever
    process, and nothing else that it depends on has changed: the scope, the configuration, the budget, the moment.
    """

    def __init__(self, vault: Vault, tokenizer: Tokenizer, config: Config) -> None:
        self._vault = vault
        self._tokenizer = tokenizer
        self._config = config
        self._built: Recent[Hashable, ContextResult] = Recent(_REMEMBERED)
        self._version: Hashable | None = None
        self._previous = ""
        self.renew()
        renew_after_fork(self)

    def renew(self) -> None:
        """Make the lock anew, in a forked child."""
        self._lock = threading.Lock()

    def forget(self) -> None:
        """Keep nothing of what was built: it may quote what was deleted."""
        self._built.clear()
        with self._lock:
            self._previous = ""

    def build(
        self, view: View, question: str, *, now: float | None, budget: int, as_of: float | None = None
    ) -> ContextResult:
        """Return the context of a question in a view; raises BudgetTooSmallError when the question does not fit."""
        # A question that cannot fit is refused before anything is searched for it.
        check_question(question, Purse(self._tokenizer, budget))
        version = self._vault.version()
        if version != self._version:
            self._built.clear()
            self._version = version
        key = None if version is None else self._key(view, question, (now, as_of), budget)
        result = None if key is None else self._built.get(key)
        again = result is not None
        if result is None:
            result = self._build(view, question, now=now, budget=budget, as_of=as_of)
            if key is not None and version == self._vault.version() and not self._degraded():
                self._built.put(key, result)
        result = replace(
            result,
            stable_prefix_tokens=self._unchanged(result),
            parts=dict(result.parts),
            sections=dict(result.sections),
        )
        _log.debug(
            "a context of %d tokens, %d of them unchanged, budget %d, %d candidates%s",
            result.tokens,
            result.stable_prefix_tokens,
            budget,
            len(result.ledger),
            ", built before" if again else "",
        )
        return result

    def _build(
        self, view: View, question: str, *, now: float | None, budget: int, as_of: float | None
    ) -> ContextResult:
        memory = self._config.memory
        view.short_term.refresh()
        candidates: list[Candidate] = []
        if question.strip():
            candidates = view.long_term.candidates(question, now=now, at_least=memory.ltm_hits_k, as_of=as_of)
        recent = view.short_term.get_recent_turns(memory.recent_k)
        result = build(
            question,
            recent=recent,
            candidates=candidates,
            summaries=self._standing_summaries(view),
            tokenizer=self._tokenizer,
            budget=budget,
            hits=memory.ltm_hits_k,
        )
        chats = stored_chats(self._vault, [turn.id for turn in recent])
        return replace(result, chat=partial(as_chat, result, recent, chats, self._tokenizer))

    def _standing_summaries(self, view: View) -> list[Record]:
        """Return the summaries that no higher one stands for, newest first, at most so many of each level."""
        standing: list[Record] = []
        frontier = -1
        for level in reversed(LEVELS):
            where = {THREAD: view.short_term.thread, KIND: SUMMARY, LEVEL: level, FRONTIER: {"$gt": frontier}}
            found = list(self._vault.store.scan(where, order_by=FRONTIER, descending=True, limit=_SUMMARIES))
            # A level stands for all that is below it, up to its newest summary's last turn.
            frontier = max([frontier, *(int(record.metadata[FRONTIER]) for record in found)])
            standing = [*found, *standing]
        return standing

    def _key(
        self, view: View, question: str, moments: tuple[float | None, float | None], budget: int
    ) -> Hashable | None:
        """Return what a context depends on beside the store; None where that is another each time."""
        memory, retrieval = self._config.memory, self._config.retrieval
        if moments[0] is None and memory.recency_weight > 0:
            return None
        # "Yesterday" is another day after midnight, wherever that is.
        today = time.time() // _HOUR if moments[0] is None else None
        return view.scope, question, moments, today, budget, memory.model_dump_json(), retrieval.model_dump_json()

    def _degraded(self) -> bool:
        """Whether the embedder failed, so that the next search may find more without any write."""
        embedder = self._vault.embedder
        return embedder is not None and embedder.last_error is not None

    def _unchanged(self, result: ContextResult) -> int:
        """Return how many leading tokens stand, at least, as they did in the context built before; remember this one.

        Whole lines are compared, and the tokens that may change where texts are joined are taken off.
        """
        with self._lock:
            previous, self._previous = self._previous, result.text
        if previous == result.text:
            return result.tokens
        lines = zip(previous.splitlines(keepends=True), result.text.splitlines(keepends=True), strict=False)
        same = "".join(now for before, now in takewhile(lambda pair: pair[0] == pair[1], lines))
        return max(self._tokenizer.count(same) - self._tokenizer.concatenation_bound, 0)
