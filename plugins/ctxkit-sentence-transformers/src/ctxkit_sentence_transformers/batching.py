"""Dynamic micro-batching: what several callers ask for at once goes through the model together."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from ctxkit.errors import EmbedderError
from ctxkit.records import FloatVectors

Run: TypeAlias = Callable[[str, list[str]], FloatVectors]
_LINGER = 0.0005  # seconds between two looks whether more callers come
_LOOKS = 4


class MicroBatcher:
    """Runs the texts of concurrent callers in batches of up to `batch_size`, in the threads of the callers themselves.

    One caller leads: it runs a batch made of what everybody waits for, hands out the rows, and goes on until its own
    texts are done; then the next one leads. So there is no thread to start, to stop or to lose in a fork, a caller that
    is alone waits for nothing, and the model is never used by two threads. A long list takes turns with short ones.
    Texts with different routes are never in one batch. Batches of one list go by falling length, so little is padding.
    """

    def __init__(self, run: Run, batch_size: int) -> None:
        self._run = run
        self._batch_size = batch_size
        self.renew()

    def renew(self) -> None:
        """Forget whoever waits: in a forked child nobody does."""
        self._lock = threading.Lock()
        self._queue: deque[_Job] = deque()
        self._led = False
        self._together = 1  # callers in the last batch

    def submit(self, route: str, texts: Sequence[str]) -> FloatVectors:
        """Return one row per text, in order; raises what `run` raises for them."""
        job = _Job(route, texts)
        with self._lock:
            self._queue.append(job)
            if not self._led:
                self._led = job.leads = True
        try:
            if not job.leads:
                job.wake.wait()
            while job.leads and not job.done:
                self._step()
        finally:
            self._leave(job)
        return job.result()

    def _step(self) -> None:
        """Run one batch, for whomever it is."""
        self._linger()
        with self._lock:
            shares = self._take()
        try:
            rows = self._run(shares[0].job.route, [text for share in shares for text in share.texts])
        except Exception as exc:  # noqa: BLE001 - it belongs to the callers, not to the one who leads
            self._blame(shares, exc)
            return
        except BaseException:
            with self._lock:
                for share in shares:
                    share.job.give_back(share)
                    if share.job not in self._queue:
                        self._queue.append(share.job)
            raise
        first = 0
        for share in shares:
            share.job.receive(share, rows[first : first + len(share.places)])
            first += len(share.places)

    def _blame(self, shares: list[_Share], exc: Exception) -> None:
        """Let each caller's texts fail by themselves, or not at all."""
        if len(shares) == 1:
            shares[0].job.fail(exc)
            with self._lock:
                self._forget(shares[0].job)
            return
        for share in shares:
            try:
                share.job.receive(share, self._run(share.job.route, share.texts))
            except Exception as own:  # noqa: BLE001 - as above
                self._blame([share], own)

    def _linger(self) -> None:
        """Wait a moment for callers who came together the last time, as long as they keep coming."""
        for _ in range(_LOOKS):
            waiting = len(self._queue)
            if waiting >= self._together:
                return
            time.sleep(_LINGER)
            if len(self._queue) == waiting:
                return

    def _take(self) -> list[_Share]:
        """Take the next batch out of the queue; whoever is not done then goes to its end."""
        route = self._queue[0].route
        room = self._batch_size
        shares: list[_Share] = []
        for job in list(self._queue):
            whole = job.remaining <= room
            if job.route != route or (shares and not whole):
                continue
            shares.append(job.take(room))
            room -= len(shares[-1].places)
            self._queue.remove(job)
            if not whole:
                self._queue.append(job)
            if not room:
                break
        self._together = len(shares)
        return shares

    def _leave(self, job: _Job) -> None:
        with self._lock:
            self._forget(job)
            if job.leads:
                job.leads = False
                self._led = bool(self._queue)
                if self._queue:
                    self._queue[0].leads = True
                    self._queue[0].wake.set()

    def _forget(self, job: _Job) -> None:
        if job in self._queue:
            self._queue.remove(job)


class _Share:
    """Some texts of one job, with their places in it."""

    def __init__(self, job: _Job, places: list[int]) -> None:
        self.job = job
        self.places = places
        self.texts = [job.texts[place] for place in places]


class _Job:
    """What one caller asks for."""

    def __init__(self, route: str, texts: Sequence[str]) -> None:
        self.route = route
        self.texts = texts
        self.wake = threading.Event()
        self.leads = False
        self._order = sorted(range(len(texts)), key=lambda place: -len(texts[place]))
        self._taken = 0
        self._received = 0
        self._rows: FloatVectors | None = None
        self._error: Exception | None = None

    @property
    def remaining(self) -> int:
        """How many texts nobody has taken."""
        return len(self._order) - self._taken

    @property
    def done(self) -> bool:
        """Whether every row is there, or none will come."""
        return self._error is not None or self._received == len(self.texts)

    def take(self, most: int) -> _Share:
        """Take the next texts, the longest first."""
        places = self._order[self._taken : self._taken + most]
        self._taken += len(places)
        return _Share(self, places)

    def give_back(self, share: _Share) -> None:
        """Undo the last `take`."""
        self._taken -= len(share.places)

    def receive(self, share: _Share, rows: FloatVectors) -> None:
        """Put rows in their places, and wake the caller after the last one."""
        if self._rows is None:
            self._rows = np.empty((len(self.texts), rows.shape[1]), np.float32)
        self._rows[share.places] = rows
        self._received += len(share.places)
        if self.done:
            self.wake.set()

    def fail(self, exc: Exception) -> None:
        """Answer the caller with an error."""
        self._error = exc
        self.wake.set()

    def result(self) -> FloatVectors:
        """Return the rows; raises what was blamed on these texts."""
        if self._error is not None:
            raise self._error
        if self._rows is None:
            raise EmbedderError("nothing was embedded.", fix="report it.", backend="sentence-transformers")
        return self._rows
