"""An embedder that may fail or hang without taking anybody with it."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import TypeVar

import numpy as np

from ctxkit.errors import EmbedderError, EmbedderTimeoutError
from ctxkit.interfaces import Embedder
from ctxkit.records import FloatVector, FloatVectors

_log = logging.getLogger(__name__)
ResultT = TypeVar("ResultT")
_Job = tuple[Callable[[], object], "Future[object]"]


class PatientEmbedder:
    """Calls an embedder in a thread of its own and waits for at most `timeout` seconds.

    While a call that overran is still going on, further calls fail at once instead of waiting behind it. Every
    failure is an EmbedderError (EmbedderTimeoutError when late); `last_error` keeps the newest one and is None
    again after a success. The thread is a daemon: an embedder that never returns cannot keep a process alive.
    """

    def __init__(self, embedder: Embedder, *, timeout: float) -> None:
        self._embedder = embedder
        self._timeout = timeout
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._overdue = threading.Event()
        self._start = threading.Lock()
        self._worker: threading.Thread | None = None
        self._closed = False
        self.last_error: EmbedderError | None = None

    @property
    def dimension(self) -> int:
        """The length of each vector."""
        return self._embedder.dimension

    @property
    def fingerprint(self) -> str:
        """The name of the model that made the vectors."""
        return self._embedder.fingerprint

    def documents(self, texts: Sequence[str], *, timeout: float | None = None) -> FloatVectors:
        """Embed texts to store: float32[len(texts), d]; raises EmbedderError."""

        def embed() -> FloatVectors:
            return self._checked(self._embedder.embed_documents(list(texts)), (len(texts), self.dimension))

        return self._call(embed, timeout)

    def query(self, text: str) -> FloatVector:
        """Embed one text to search with: float32[d]; raises EmbedderError."""

        def embed() -> FloatVector:
            return self._checked(self._embedder.embed_query(text), (self.dimension,))

        return self._call(embed, None)

    def close(self) -> None:
        """Let the thread end and release the model, unless it is still at work."""
        if self._closed:
            return
        self._closed = True
        self._jobs.put(None)
        if not self._overdue.is_set():
            self._embedder.close()

    def _call(self, embed: Callable[[], ResultT], timeout: float | None) -> ResultT:
        if self._closed:
            raise EmbedderError("the embedder was closed.", fix="make a new manager.")
        if self._overdue.is_set():
            raise self._failed(EmbedderTimeoutError("an earlier call to the embedder has not come back yet."))
        patience = timeout or self._timeout
        future: Future[object] = Future()
        self._ensure_worker()
        self._jobs.put((embed, future))
        deadline = time.monotonic() + patience
        try:
            result = future.result(timeout=max(deadline - time.monotonic(), 0))
        except FutureTimeoutError:
            if not future.cancel():  # running, or done in this very moment
                self._overdue.set()
                future.add_done_callback(lambda _: self._overdue.clear())
            raise self._failed(
                EmbedderTimeoutError(
                    f"the embedder did not answer within {patience:g} s.",
                    fix="raise memory.embed_timeout, or choose a faster embedder.",
                )
            ) from None
        except EmbedderError as exc:
            raise self._failed(exc) from exc.__cause__
        except Exception as exc:
            # The cause is named by its type alone in the log: its text may quote a prompt or a key.
            raise self._failed(
                EmbedderError(f"the embedder failed: {type(exc).__name__}: {exc}.", fix="see the cause above.")
            ) from exc
        self.last_error = None
        return result  # type: ignore[return-value]  # the job's own result

    def _ensure_worker(self) -> None:
        with self._start:
            if self._worker is None or not self._worker.is_alive():
                self._worker = threading.Thread(target=self._work, name="ctxkit-embedder", daemon=True)
                self._worker.start()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            embed, future = job
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(embed())
            except BaseException as exc:  # noqa: BLE001 - whatever it is, the caller must learn of it
                future.set_exception(exc)

    def _failed(self, error: EmbedderError) -> EmbedderError:
        if self.last_error is None:
            _log.warning("embedding failed (%s); text is stored and will be embedded later", type(error).__name__)
        self.last_error = error
        return error

    @staticmethod
    def _checked(vectors: FloatVectors, shape: tuple[int, ...]) -> FloatVectors:
        array: FloatVectors = np.asarray(vectors, dtype=np.float32)
        if array.shape != shape or not np.isfinite(array).all():
            raise EmbedderError(
                f"the embedder returned shape {array.shape} or non-finite numbers; {shape} was due.",
                fix="report it to the embedder's author: `ctxkit conformance` checks this.",
            )
        return array
