"""Taking what was deleted out of the files: the database, its log, the index of words, and older segments.

SQLite leaves deleted rows in free pages and in the write-ahead log, and FTS5 the words of deleted texts in its older
parts. So the index of words is made anew, the database is written anew (VACUUM), the log is cut to nothing, and
segments of an earlier moment, which hold deleted vectors, are thrown away.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Final

from ctxkit.local import schema, segment, writing
from ctxkit.local.faults import guarded
from ctxkit.local.handle import Handle
from ctxkit.local.session import Session

_POLL_SECONDS: Final = 0.02


def purge(handle: Handle) -> None:
    """Leave no byte of a deleted record in a collection's files; raises StoreLockedError and StoreFullError."""
    session = handle.session
    with session.gate.alone:
        with session.write() as (connection, state):
            writing.rebuild_words(connection)
            state.text_seq = -1
            schema.write_state(connection, state)
            seq = state.seq
        if session.database is not None:
            _write_anew(session)
    if session.database is not None:
        handle.builder.finish()
        _discard_segments(session, session.database.parent / segment.FOLDER, seq)


def _write_anew(session: Session) -> None:
    deadline = time.monotonic() + session.place.busy_timeout
    with session.outside() as connection:
        connection.execute("VACUUM")
        while connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
            _wait(session, deadline)  # another process still reads what the log holds


def _discard_segments(session: Session, folder: Path, seq: int) -> None:
    """Delete the segments from before `seq`, and what is half made, once nobody makes one."""
    if not folder.exists():
        return
    deadline = time.monotonic() + session.place.busy_timeout
    while True:
        with guarded(session.place), segment.building(folder) as mine:
            if mine:
                segment.clear(folder)
                for name in segment.names(folder):
                    if name < f"{seq:020d}":  # names sort by age
                        shutil.rmtree(folder / name)
                return
        _wait(session, deadline)


def _wait(session: Session, deadline: float) -> None:
    if time.monotonic() >= deadline:
        raise session.place.locked()
    time.sleep(_POLL_SECONDS)
