"""From a question to its context: search, choose, and remember what was built."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Hashable
from dataclasses import replace
from itertools import takewhile

from ctxkit.cache.recent import Recent
from ctxkit.config import Config
from ctxkit.context.budget import Purse
from ctxkit.context.builder import build, check_question
from ctxkit.context.result import ContextResult
from ctxkit.context.standing import Standing, standing_of
from ctxkit.interfaces import Tokenizer
from ctxkit.memory.forks import renew_after_fork
from ctxkit.memory.validity import Version
from ctxkit.memory.vault import Vault
from ctxkit.memory.views import View
from ctxkit.retrieval import Candidate

_log = logging.getLogger(__name__)
_REMEMBERED = 32  # each holds its candidates until its ledger is read
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
        self._standing: tuple[tuple[Version, View, int], Standing] | None = None
        self._version: Version | None = None
        self._previous = ""
        self.renew()
        renew_after_fork(self)

    def renew(self) -> None:
        """Make the lock anew, in a forked child."""
        self._lock = threading.Lock()

    def forget(self) -> None:
        """Keep nothing of what was built: it may quote what was deleted."""
        with self._lock:
            self._built.clear()
            self._standing = None
            self._version = None
            self._previous = ""

    def build(
        self, view: View, question: str, *, now: float | None, budget: int, as_of: float | None = None
    ) -> ContextResult:
        """Return the context of a question in a view; raises BudgetTooSmallError when the question does not fit."""
        # A question that cannot fit is refused before anything is searched for it.
        check_question(question, Purse(self._tokenizer, budget))
        version = self._version_now()
        key = None if version is None else self._key(version, view, question, (now, as_of), budget)
        result = None if key is None else self._built.get(key)
        again = result is not None
        if result is None:
            result = self._build(version, view, question, now=now, budget=budget, as_of=as_of)
            with self._lock:
                # Whoever deletes something makes the version anew: what was built before may quote it.
                if key is not None and version == self._version and not self._degraded():
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
        self,
        version: Version | None,
        view: View,
        question: str,
        *,
        now: float | None,
        budget: int,
        as_of: float | None,
    ) -> ContextResult:
        memory = self._config.memory
        standing = self._standing_in(view, version)
        candidates: list[Candidate] = []
        if question.strip():
            candidates = view.long_term.candidates(
                question,
                now=now,
                at_least=memory.ltm_hits_k,
                as_of=as_of,
                valid_since=None if version is None else version.since,
            )
        return build(
            question,
            recent=standing.recent,
            candidates=candidates,
            summaries=standing.summaries,
            tokenizer=self._tokenizer,
            budget=budget,
            hits=memory.ltm_hits_k,
            chats=standing.chats,
        )

    def _version_now(self) -> Version | None:
        """Return which state of the store this is, None where it cannot say; forget what was built of another."""
        version = self._vault.version()
        with self._lock:
            if version != self._version:
                self._built.clear()
                self._standing = None
                self._version = version
        return version

    def _standing_in(self, view: View, version: Version | None) -> Standing:
        """Return what stands in every context of a view, kept until the store changes."""
        count = self._config.memory.recent_k
        kept = self._standing
        if version is not None and kept is not None and kept[0] == (version, view, count):
            return kept[1]
        found = standing_of(self._vault, view, count)
        with self._lock:
            if version is not None and version == self._version:
                self._standing = (version, view, count), found
        return found

    def _key(
        self, version: Version, view: View, question: str, moments: tuple[float | None, float | None], budget: int
    ) -> Hashable | None:
        """Return what a context depends on; None where that is another each time."""
        memory, retrieval = self._config.memory, self._config.retrieval
        if moments[0] is None and memory.recency_weight > 0:
            return None
        # "Yesterday" is another day after midnight, wherever that is.
        today = time.time() // _HOUR if moments[0] is None else None
        settings = memory.model_dump_json(), retrieval.model_dump_json()
        return version, view.scope, question, moments, today, budget, settings

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
