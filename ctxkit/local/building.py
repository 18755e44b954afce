"""Making segments: when one is due, in the background or at once, by one process at a time."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from ctxkit.errors import CtxkitError
from ctxkit.local import rows, schema, segment
from ctxkit.local.exact import ExactRows
from ctxkit.local.index import AnnIndex, prepared
from ctxkit.local.layers import Layers
from ctxkit.local.segment import Segment, Wanted
from ctxkit.local.session import Session, connect

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
        self.problem = ""

    def first(self, wanted: Wanted) -> Segment | None:
        """Return the segment to begin with, None where none is usable."""
        folder = self._folder
        return None if folder is None else segment.read(folder, wanted, self._make_index)

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
            view = self._view()
            self._refused = -1 if view is None else len(view.index)
            self.problem = f"no segment could be made: {error}"
            _log.warning("%s: %s; searches go on without.", self._session.place.collection, self.problem)

    def close(self) -> None:
        """Stop what is being made and wait until it has stopped; not to be called inside the gate."""
        self._stop.set()
        self._wait()

    def _work(self) -> None:
        """Make segments as long as one is due: more may have been written meanwhile."""
        while not self._stop.is_set():
            before = self._view()
            if before is None or not self._policy.due(before.index, has_index=self._has_index):
                return
            self.run()
            after = self._view()
            found = None if after is None else after.index.segment
            if self.problem or found is None or found is before.index.segment:
                return
            if self._has_index and found.index is None:
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
        with self._session.gate.alone:
            view = self._view()
            if view is not None and not self._session.closed:
                view.adopt(found)

    def _on_disk(self, *, anyway: bool) -> Segment | None:
        folder, session = self._folder, self._session
        assert folder is not None and session.database is not None  # noqa: PT018, S101 - the caller looked
        with segment.building(folder) as mine:
            if not mine:
                return None
            connection = connect(session.database, session.place, "full", make=False)
            with closing(connection):
                connection.execute("BEGIN")
                state = schema.read_state(connection, session.place)
                spec, _ = schema.read_meta(connection, session.place)
                wanted = Wanted(session.incarnation, spec.dimension, spec.metric, state.seq)
                made = self._made_elsewhere(folder, wanted)
                if made is not None and not anyway:
                    return made
                writer = segment.Writer(folder, wanted)
                try:
                    for labels, sums, vectors in rows.vectors(connection, spec.dimension):
                        self._check()
                        writer.add(labels, sums, vectors)
                    connection.execute("COMMIT")
                    index = self._indexed(writer.mapped())
                    writer.finish(index)
                except BaseException:
                    writer.abandon()
                    raise
            segment.tidy(folder)
            return segment.read(folder, wanted, self._make_index)

    def _made_elsewhere(self, folder: Path, wanted: Wanted) -> Segment | None:
        """Return a newer segment that another process has made, if it is new enough."""
        view = self._view()
        current = None if view is None or view.index.segment is None else view.index.segment.name
        if segment.newest(folder) in {None, current}:
            return None
        return segment.read(folder, wanted, self._make_index)

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
