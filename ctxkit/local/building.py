"""Making segments: when one is due, in the background or at once, by one process at a time."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from ctxkit.errors import CtxkitError
from ctxkit.local import rows, schema, segment
from ctxkit.local.exact import ExactRows
from ctxkit.local.index import AnnIndex, prepared
from ctxkit.local.layers import Layers
from ctxkit.local.segment import Segment, Wanted
from ctxkit.local.session import Session, connected, fork_waits

if TYPE_CHECKING:
    from ctxkit.local.view import View

_log = logging.getLogger("ctxkit.local")
_LEAST_FRESH: Final = 2_000
_FRESH_SHARE: Final = 0.25
_DEAD_SHARE: Final = 0.3
_SAMPLE: Final = 16_384  # vectors, about, that an index may learn from
_BLOCK: Final = 1_024  # vectors between two looks at whether to stop

BuildMode = Literal["background", "inline"]


class _StoppedError(Exception):
    """The handle is being closed."""


@dataclass(frozen=True)
class Policy:
    """When a segment is due: never below `exact_below` vectors, then whenever enough has changed since the last one."""

    exact_below: int
    mode: BuildMode

    def due(self, layers: Layers, *, has_index: bool) -> bool:
        """Whether the segment is missing, of another kind, or too old."""
        if not len(layers) or len(layers) < self.exact_below:
            return False
        found = layers.segment
        if found is None or (has_index and found.index is None):
            return True
        fixed = len(layers) - layers.delta_live
        least = min(_LEAST_FRESH, max(1, self.exact_below))
        return layers.delta_live >= max(least, _FRESH_SHARE * fixed) or layers.dead_share > _DEAD_SHARE


class Builder:
    """Makes or fetches the segments of one handle; the view adopts each while nobody else looks at it."""

    def __init__(
        self,
        session: Session,
        policy: Policy,
        make_index: Callable[[], AnnIndex | None],
        view: Callable[[], View | None],
    ) -> None:
        self._session = session
        self._policy = policy
        self._make_index = make_index
        index = make_index()
        self._has_index = index is not None
        self.index_name = "Exact" if index is None else index.name
        self._view = view
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._refused = -1  # as many vectors as there were when making a segment failed
        self._put_off = False  # the last attempt gave way to a fork
        self.problem = ""

    def names(self) -> list[str]:
        """Return the names of the segments that there are."""
        return [] if self._folder is None else segment.names(self._folder)

    def first(self, wanted: Wanted, earlier: Collection[str]) -> Segment | None:
        """Return the segment to begin with, None where none is usable; `earlier` as in `segment.read`."""
        folder = self._folder
        return None if folder is None else segment.read(folder, wanted, self._make_index, earlier)

    def worthwhile(self, layers: Layers) -> bool:
        """Whether a segment made now would differ from the one there is, and serve a purpose."""
        if not len(layers) or len(layers) < self._policy.exact_below:
            return False
        found = layers.segment
        return found is None or bool(layers.delta_live or layers.dead_share) or (self._has_index and not found.index)

    def look(self, layers: Layers) -> None:
        """Begin to make a segment where one is due; returns at once unless the policy says otherwise."""
        if len(layers) == self._refused or not self._policy.due(layers, has_index=self._has_index):
            return
        if self._policy.mode == "inline":
            self.run()
        elif self._thread is None or not self._thread.is_alive():
            self._stop.clear()
            self._thread = threading.Thread(target=self._work, name="ctxkit-segment", daemon=True)
            self._thread.start()

    def finish(self) -> None:
        """Make the segment that would change something, after what is being made; not to be called inside the gate."""
        self._wait()
        view = self._view()
        if view is not None and self.worthwhile(view.index):
            self.run(anyway=True)

    def run(self, *, anyway: bool = False) -> None:
        """Make a segment now, or fetch the one that another process made; a failure costs a warning, nothing else."""
        try:
            found = self._in_memory() if self._folder is None else self._on_disk(anyway=anyway)
            if found is not None:
                self._adopt(found)
            self.problem = ""
        except _StoppedError:
            pass
        except (CtxkitError, OSError, ValueError, RuntimeError, MemoryError) as error:
            if self._session.dropped:
                return
            view = self._view()
            self._refused = -1 if view is None else len(view.index)
            self.problem = f"no segment could be made: {error}"
            _log.warning("%s: %s; searches go on without.", self._session.place.collection, self.problem)

    def close(self) -> None:
        """Stop what is being made and wait until it has stopped; not to be called inside the gate."""
        self._stop.set()
        self._wait()

    def _work(self) -> None:
        """Make segments as long as one is due: more may have been written meanwhile, or a fork have come between."""
        while not self._stop.is_set():
            view = self._view()
            if view is None or not self._policy.due(view.index, has_index=self._has_index):
                return
            before = view.index.segment
            self.run()
            found = view.index.segment
            if self.problem or (found is before and not self._put_off):
                return
            if self._has_index and found is not None and found.index is None:
                return  # an index that cannot be had is not asked for again and again

    def _wait(self) -> None:
        thread = self._thread
        if thread is not None and thread.is_alive() and thread is not threading.current_thread():
            thread.join()

    @property
    def _folder(self) -> Path | None:
        database = self._session.database
        return None if database is None else database.parent / segment.FOLDER

    def _adopt(self, found: Segment) -> None:
        """Have the view search a segment; what takes long is done beside the searches of other threads."""
        gate = self._session.gate
        with gate.shared:
            view = self._view()
            adoption = None if view is None else view.adoption(found)
        if adoption is not None:
            adoption.copy()
        with gate.alone:
            view = self._view()
            if view is None or self._session.closed:
                return
            if adoption is None or adoption.before is not view.index:
                # It was loaded anew meanwhile, or has adopted another one.
                adoption = view.adoption(found)
                adoption.copy()
            view.adopt(adoption)

    def _on_disk(self, *, anyway: bool) -> Segment | None:
        folder, session = self._folder, self._session
        assert folder is not None and session.database is not None  # noqa: PT018, S101 - the caller looked
        self._put_off = False
        with segment.building(folder) as mine:
            if not mine:
                return None
            segment.clear(folder)
            with connected(session.database, session.place, "full") as connection:
                connection.execute("BEGIN")
                state = schema.read_state(connection, session.place)
                if state.incarnation != session.incarnation:
                    return None  # another collection has taken the place of one that was dropped
                spec, _ = schema.read_meta(connection, session.place)
                wanted = Wanted(session.incarnation, spec.dimension, spec.metric, state.seq)
                made = None if anyway else self._made_elsewhere(folder, wanted)
                if made is not None:
                    return made
                writer = segment.Writer(folder, wanted)
                try:
                    self._copy(connection, spec.dimension, writer)
                    copied = writer.mapped()  # closes files, which no fork may inherit half written
                except BaseException:
                    writer.abandon()
                    raise
            try:
                found = writer.finish(self._indexed(copied), self._make_index)
            except BaseException:
                writer.abandon()
                raise
            segment.tidy(folder)
            return found

    def _copy(self, connection: sqlite3.Connection, dimension: int, writer: segment.Writer) -> None:
        """Copy all vectors; given up when a fork waits, because the connection must be closed first."""
        for labels, sums, vectors in rows.vectors(connection, dimension):
            self._check()
            if fork_waits():
                self._put_off = True
                raise _StoppedError
            writer.add(labels, sums, vectors)

    def _made_elsewhere(self, folder: Path, wanted: Wanted) -> Segment | None:
        """Return a newer segment that another process has made, if it serves as well as one made now."""
        view = self._view()
        current = "" if view is None or view.index.segment is None else view.index.segment.name
        # All of them were there before `wanted` was read: this process holds the lock.
        there = segment.names(folder)
        if not there or there[-1] <= current:
            return None
        found = segment.read(folder, wanted, self._make_index, there)
        if found is None or found.name <= current or (self._has_index and found.index is None):
            return None
        return found

    def _in_memory(self) -> Segment | None:
        """Make a segment of a store without files: its rows are copied, once."""
        with self._session.gate.alone:
            view = self._view()
            if view is None:
                return None
            labels, sums, vectors, longest, seq = view.snapshot()
            kept = ExactRows(view.index.dimension, view.index.metric)
        kept.add(vectors)
        return Segment("", seq, 0.0, longest, labels, sums, kept, self._indexed(kept))

    def _indexed(self, kept: ExactRows) -> AnnIndex | None:
        index = self._make_index()
        if index is None:
            return None
        index.reserve(len(kept))
        index.train(prepared(kept.rows[:: max(1, len(kept) // _SAMPLE)], kept.metric))
        for start in range(0, len(kept), _BLOCK):
            self._check()
            index.add(prepared(kept.rows[start : start + _BLOCK], kept.metric))
        return index

    def _check(self) -> None:
        if self._stop.is_set():
            raise _StoppedError
