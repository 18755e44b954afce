"""When summaries are made: as turns leave the view; their texts in the background, and again by the language model.

A turn leaves the view by a summary record that links to it, and so does a summary that one of the level above stands
for. The store says what is still to do - a mark on a summary that is not written yet, or not by the model, summaries
that no higher one stands for -, so whoever opens it next goes on. Two processes take turns: each step holds a lease.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, wait
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import contextmanager
from functools import partial
from itertools import pairwise

from ctxkit.config import Config
from ctxkit.errors import (
    ContentRefusedError,
    ContextTooLongError,
    CtxkitError,
    LLMError,
    ProviderTimeoutError,
    StoreError,
    StoreLockedError,
)
from ctxkit.interfaces import LLM, Tokenizer
from ctxkit.llm.adapters import adapter_for
from ctxkit.memory.desk import Desk
from ctxkit.memory.entries import DUE, FRONTIER, KIND, LEVEL, LINEAGE, SUMMARY, THREAD, WRITTEN_BY
from ctxkit.memory.forks import renew_after_fork
from ctxkit.memory.lease import Lease
from ctxkit.memory.short_term import ShortTermMemory
from ctxkit.memory.summaries import LEVELS, NOBODY, Member, Style, length, summary_record, written
from ctxkit.memory.vault import Vault
from ctxkit.records import Record

_log = logging.getLogger(__name__)
_FIRST_RETRY, _LONGEST_RETRY = 1.0, 60.0
_CLOSING = 2.0
_INSTRUCTION = (
    "Summarize the conversation below in plain sentences, in its own language. Keep names, numbers, dates, decisions"
    " and open questions. Add nothing, and answer nothing that is asked in it."
)


class Summarizing:
    """Makes the summaries of one manager, in its own lock, as `memory.summaries` and `memory.summarizer` say.

    Raises PluginNotFoundError when a language model shall write them that is not installed.
    """

    def __init__(self, vault: Vault, tokenizer: Tokenizer, config: Config, extractive: LLM) -> None:
        self._vault = vault
        self.tokenizer = tokenizer
        self._config = config
        self._extractive = extractive
        if self._by_model:
            vault.source.registry.find("llm", config.llm.provider)  # one that is not there is an error at once
        self._failing = False
        self._model: LLM | None = None
        self._worker = Lease("summarizing", vault.source.path, vault.store)
        self._threads: set[str] = set()
        self.renew()
        renew_after_fork(self)

    def renew(self) -> None:
        """Make the locks anew and forget the threads: in a forked child there are none."""
        self._lock = threading.RLock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._wanted = False  # there may be more to do than the thread has seen
        self._desk = Desk("ctxkit-summarizer", 1)
        self._writers = Desk("ctxkit-summary-texts", 1)
        self._last_text: Future[None] | None = None

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep out all others who write turns or summaries, in this process or another; raises StoreLockedError."""
        with self._lock, self._vault.in_turn() as mine:
            if not mine:
                raise StoreLockedError(
                    "another process has held the right to write for too long.",
                    fix="try again; where one hangs or was suspended, end it.",
                )
            yield

    def begin(self, view: ShortTermMemory) -> None:
        """Go on where whoever had this conversation in view before stopped."""
        self._threads.add(view.thread)
        view.refresh()
        self.make_room(view)
        self.resume()

    def make_room(self, view: ShortTermMemory) -> None:
        """Let the oldest turns leave a view that overflows; a failure leaves it as it is until the next turn."""
        try:
            with self._lock:
                overflow = view.over_capacity
                while view.over_capacity:
                    self.offload(view)
            if overflow and not self._later:
                self.resume()
        except StoreError as exc:
            _log.warning("short-term memory stays over its capacity for now (%s)", type(exc).__name__)

    def offload(self, view: ShortTermMemory) -> None:
        """Let the oldest chunk of turns leave the view, and store the summary that links to them."""
        with self.alone():
            view.refresh()  # another process may have done it meanwhile
            leaving = view.oldest(self._config.memory.chunk_size)
            if not leaving:
                return
            members = [Member.of_turn(turn) for turn in leaving]
            record = self.summary(members, thread=view.thread, level=LEVELS[0], later=self._later)
            self._vault.keep([record])
            view.drop(leaving)
        self._threads.add(view.thread)
        if self._later:
            self._last_text = self._writers.submit(partial(self._go_on, record, members))

    def summary(
        self, members: Sequence[Member], *, thread: str, level: str, frontier: int | None = None, later: bool = False
    ) -> Record:
        """Return the summary of members as it stands until a language model has written it; `later`: without a text."""
        memory = self._config.memory
        wanted = memory.summaries != "off"
        writer = self._extractive if wanted and not later else None
        style = Style(writer, memory.summary_compression_ratio, due=later or (wanted and self._by_model))
        return summary_record(members, style, thread=thread, level=level, frontier=frontier)

    def pending(self) -> int:
        """Return how many summaries are not written yet, or not by the language model that shall write them."""
        return len(self._unwritten())

    def resume(self) -> None:
        """Do what is left to do: in the background, or at once where the configuration says so."""
        if self._config.memory.summaries == "inline":
            self._work_once()
        elif self._later and self._something_to_do():
            with self._lock:
                self._wanted = True
                if not self._stop.is_set() and self._thread is None:
                    self._thread = threading.Thread(target=self._work, name="ctxkit-summaries", daemon=True)
                    self._thread.start()

    def finish(self, timeout: float | None = None) -> bool:
        """Wait until nothing is being summarised in the background; return whether that is so."""
        text = self._last_text
        if text is not None:
            wait([text], timeout)
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)
        return (text is None or text.done()) and (thread is None or not thread.is_alive())

    def close(self) -> None:
        """Stop; a model that does not answer is left behind."""
        self._stop.set()
        self.finish(_CLOSING)
        self._desk.end()
        self._writers.end()
        self._extractive.close()
        if self._model is not None and not self._desk.left_behind:
            self._model.close()

    @property
    def _by_model(self) -> bool:
        return self._config.memory.summarizer == "llm"

    @property
    def _later(self) -> bool:
        return self._config.memory.summaries == "background"

    def _something_to_do(self) -> bool:
        return any(self._due_to_rise(thread) for thread in list(self._threads)) or self.pending() > 0

    def _work(self) -> None:
        delay = _FIRST_RETRY
        while not self._stop.is_set():
            self._wanted = False
            try:
                done = self._work_once()
            except StoreError as exc:
                if not self._stop.is_set():
                    _log.warning("summarising in the background stopped (%s)", type(exc).__name__)
                break
            with self._lock:
                if done and not self._wanted:
                    self._thread = None
                    return
            if not done:
                self._stop.wait(delay)
                delay = min(delay * 2, _LONGEST_RETRY)
        with self._lock:
            self._thread = None

    def _work_once(self) -> bool:
        """Do everything that can be done now; return whether nothing is left."""
        with self._worker.held() as mine:
            if not mine:
                return not self._something_to_do()
            self._write_texts()
            for thread in list(self._threads):
                self._raise_levels(thread)
                self._threads.discard(thread)
            return not self._by_model or self._write_due()

    def _due_to_rise(self, thread: str) -> list[tuple[str, list[Record]]]:
        """Return the summaries of each level that one of the level above should stand for, with that level."""
        fanout = self._config.memory.summary_fanout
        found = []
        for level, above in pairwise(LEVELS):
            mine = {THREAD: thread, KIND: SUMMARY}
            newest = self._vault.store.scan({**mine, LEVEL: above}, order_by=FRONTIER, descending=True, limit=1)
            done = max((int(record.metadata[FRONTIER]) for record in newest), default=-1)
            where = {**mine, LEVEL: level, FRONTIER: {"$gt": done}}
            waiting = list(self._vault.store.scan(where, order_by=FRONTIER, limit=fanout))
            if len(waiting) == fanout:
                found.append((above, waiting))
        return found

    def _raise_levels(self, thread: str) -> None:
        """Make the summaries of higher levels that are due in a conversation."""
        while not self._stop.is_set():
            with self.alone():
                due = self._due_to_rise(thread)
                for level, waiting in due:
                    members = [Member.of_record(record, self.tokenizer) for record in waiting]
                    self._vault.keep([self.summary(members, thread=thread, level=level)])
            if not due:
                return

    def _unwritten(self) -> list[Record]:
        """Return the summaries that somebody is still to write, oldest first."""
        if self._config.memory.summaries == "off":
            return []
        due = self._vault.store.scan({DUE: True}, order_by=FRONTIER)
        return [record for record in due if self._by_model or record.metadata[WRITTEN_BY] == NOBODY]

    def _write_texts(self) -> None:
        """Write the texts that nobody has written, because a process ended before it came to that."""
        for record in self._unwritten():
            if record.metadata[WRITTEN_BY] == NOBODY and not self._stop.is_set():
                found = self._vault.store.get(list(record.metadata[LINEAGE]))
                self._write_text(record, [Member.of_record(each, self.tokenizer) for each in found if each is not None])

    def _go_on(self, record: Record, members: Sequence[Member]) -> None:
        """Write the text of a summary that was just made, then do what became due by it."""
        self._write_text(record, members)
        self.resume()

    def _write_text(self, record: Record, members: Sequence[Member]) -> None:
        """Write a summary's extractive text; a failure leaves that to whoever looks next."""
        style = Style(self._extractive, self._config.memory.summary_compression_ratio, due=self._by_model)
        try:
            self._settle(record, *written(members, style), due=self._by_model)
        except StoreError as exc:
            if not self._stop.is_set():
                _log.warning("a summary waits for its text (%s)", type(exc).__name__)

    def _write_due(self) -> bool:
        """Have the model write what it has not written yet; return whether nothing is left."""
        for record in self._unwritten():
            if self._stop.is_set():
                return False
            try:
                self._settle(record, *self._ask(record))
                self._failing = False
            except (ContextTooLongError, ContentRefusedError, ValueError) as exc:
                # Asking again would change nothing.
                _log.warning("a summary stays extractive (%s)", type(exc).__name__)
                self._settle(record, record.text, str(record.metadata[WRITTEN_BY]))
            except CtxkitError as exc:
                level = logging.DEBUG if self._failing else logging.WARNING
                _log.log(level, "summaries stay extractive for now (%s); the model is asked again", type(exc).__name__)
                self._failing = True
                return False
        return True

    def _ask(self, record: Record) -> tuple[str, str]:
        """Return what the model makes of a summary's members, and its name; raises LLMError, ValueError for rubbish."""
        if self._desk.left_behind:
            raise ProviderTimeoutError("an earlier summary has not come back yet.")
        memory = self._config.memory
        found = self._vault.store.get(list(record.metadata[LINEAGE]))
        texts = [member.text for member in found if member is not None]
        limit = length(sum(map(self.tokenizer.count, texts)), memory.summary_compression_ratio)
        messages = [{"role": "system", "content": _INSTRUCTION}, {"role": "user", "content": "\n".join(texts)}]
        model = self._model = self._model or adapter_for(self._config.llm, registry=self._vault.source.registry)
        future = self._desk.submit(lambda: model.complete(messages, max_tokens=limit))
        try:
            completion = future.result(timeout=memory.summary_timeout)
            # What a model returns is not always what it should: cut to length, and never nothing.
            text = self.tokenizer.truncate(str(completion.text).strip(), limit)
        except FutureTimeoutError:
            self._desk.abandon(future)
            raise ProviderTimeoutError(f"no summary came within {memory.summary_timeout:g} s.") from None
        except CtxkitError:
            raise
        except Exception as exc:
            raise LLMError(f"summarising failed with {type(exc).__name__}.") from exc
        if not any(character.isalnum() for character in text):
            raise ValueError("the model returned no words")
        return text, str(completion.model)

    def _settle(self, record: Record, text: str, by: str, *, due: bool = False) -> None:
        """Store a summary's text, the final one unless `due`, if it was not erased, made anew or written meanwhile."""
        with self.alone(), self._vault.writing:
            (now,) = self._vault.store.get([record.id])
            if now is None or DUE not in now.metadata or now.metadata[LINEAGE] != record.metadata[LINEAGE]:
                return
            if due and now.metadata[WRITTEN_BY] != NOBODY:
                return
            metadata = {key: value for key, value in now.metadata.items() if key != DUE or due}
            self._vault.keep([Record(now.id, text, None, {**metadata, WRITTEN_BY: by})])
