"""An embedder that may fail or hang without taking anybody with it."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import TimeoutError as FutureTimeoutError

import numpy as np

from ctxkit.cache import CachedEmbedder
from ctxkit.errors import EmbedderError, EmbedderTimeoutError
from ctxkit.interfaces import Embedder
from ctxkit.memory.desk import Desk
from ctxkit.memory.forks import renew_after_fork
from ctxkit.records import FloatVector, FloatVectors

_log = logging.getLogger(__name__)
_CLOSING = 2.0
_LARGEST = float(np.finfo(np.float32).max)
_THREADS = 16
_LATER = "text is stored and will be embedded later"
_BY_WORDS = "what was asked is searched for by its words alone"
_MORE_TIME = "raise memory.embed_timeout, or choose a faster embedder."


class PatientEmbedder:
    """Calls an embedder in threads of its own and waits for at most `timeout` seconds.

    Callers do not wait for one another, so an embedder that gathers what comes at once can do so. While a call that
    overran is still going on, further calls fail at once instead of joining it. Every failure is an EmbedderError
    (EmbedderTimeoutError when late); `last_error` keeps the newest one and is None again after a success. The
    threads are daemons: an embedder that never returns cannot keep a process alive.
    """

    def __init__(self, embedder: Embedder, *, timeout: float) -> None:
        self._embedder = embedder
        self._timeout = timeout
        self._closed = False
        self.last_error: EmbedderError | None = None
        self.renew()
        renew_after_fork(self)

    def renew(self) -> None:
        """Start with new threads at the next call: in a forked child there are none."""
        self._desk = Desk("ctxkit-embedder", _THREADS)
        weakref.finalize(self, self._desk.end)

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
        return self._patiently(lambda: self._embedder.embed_documents(list(texts)), len(texts), timeout, _LATER)

    def query(self, text: str) -> FloatVector:
        """Embed one text to search with: float32[d]; raises EmbedderError."""
        found = self._patiently(lambda: self._embedder.embed_query(text)[np.newaxis], 1, None, _BY_WORDS)
        vector: FloatVector = found[0]
        return vector

    def documents_unhurried(self, texts: Sequence[str]) -> FloatVectors:
        """Embed texts in the calling thread, however long it takes; raises EmbedderError."""
        self._refuse_closed()
        try:
            return self._succeeded(self._checked(self._embedder.embed_documents(list(texts)), len(texts)))
        except Exception as exc:
            raise self._failed(exc, _LATER) from exc

    @property
    def remembers(self) -> bool:
        """Whether vectors are kept in a cache, from which `forget` takes them."""
        return isinstance(self._embedder, CachedEmbedder)

    def forget(self, texts: Iterable[str]) -> int:
        """Remove what the cache has of these texts; return how many vectors. Raises StoreError when it cannot."""
        return self._embedder.cache.forget(texts) if isinstance(self._embedder, CachedEmbedder) else 0

    def close(self) -> None:
        """Release the model once no call is running in it; waits a moment for that, and no longer."""
        if self._closed:
            return
        self._closed = True
        try:
            self._desk.after_all(self._embedder.close).result(timeout=0 if self._desk.left_behind else _CLOSING)
        except FutureTimeoutError:
            _log.warning("the embedder is still at work; it is left to end by itself")
        except Exception as exc:  # noqa: BLE001 - a model that cannot be released must not keep the store open
            _log.warning("closing the embedder failed (%s)", type(exc).__name__)
        self._desk.end()

    def _patiently(
        self, call: Callable[[], FloatVectors], rows: int, timeout: float | None, otherwise: str
    ) -> FloatVectors:
        self._refuse_closed()
        patience = timeout or self._timeout
        if self._desk.stuck(patience):
            busy = EmbedderTimeoutError("an earlier call to the embedder has not come back yet.", fix=_MORE_TIME)
            raise self._failed(busy, otherwise)
        future = self._desk.submit(lambda: self._checked(call(), rows))
        try:
            return self._succeeded(future.result(timeout=patience))
        except FutureTimeoutError:
            self._desk.abandon(future)
            late = EmbedderTimeoutError(f"the embedder did not answer within {patience:g} s.", fix=_MORE_TIME)
            raise self._failed(late, otherwise) from None
        except Exception as exc:
            raise self._failed(exc, otherwise) from exc

    def _refuse_closed(self) -> None:
        if self._closed:
            raise EmbedderError("the embedder was closed.", fix="make a new manager.")

    def _succeeded(self, vectors: FloatVectors) -> FloatVectors:
        self.last_error = None
        return vectors

    def _failed(self, cause: Exception, otherwise: str) -> EmbedderError:
        """Return the failure as an EmbedderError, and say what is done instead.

        Another library's words stay in its cause, they may quote a key.
        """
        error = cause
        if not isinstance(error, EmbedderError):
            error = EmbedderError(
                f"the embedder failed with {type(cause).__name__}.", fix="see the cause of this error."
            )
        if self.last_error is None:
            fix = f". Fix: {_MORE_TIME}" if isinstance(cause, EmbedderTimeoutError) else ""
            _log.warning("embedding failed (%s); %s%s", type(cause).__name__, otherwise, fix)
        self.last_error = error
        return error

    def _checked(self, vectors: object, rows: int) -> FloatVectors:
        with np.errstate(over="ignore"):
            array: FloatVectors = np.asarray(vectors, dtype=np.float32)
        shape = (rows, self.dimension)
        norms = np.sqrt(np.einsum("ij,ij->i", array, array, dtype=np.float64)) if array.shape == shape else None
        # Not "any above": a comparison with NaN is false.
        if norms is None or not (norms <= _LARGEST).all():
            raise EmbedderError(
                f"the embedder returned shape {array.shape} or numbers that no vector can hold; {shape} was due.",
                fix="report it to the embedder's author.",
            )
        return array
