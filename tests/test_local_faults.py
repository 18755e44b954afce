"""From SQLite's words to typed errors, and the small parts of the engine that only a fault reaches."""

from __future__ import annotations

import errno
import resource
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from ctxkit.errors import StoreCorruptError, StoreError, StoreFullError, StoreLockedError, StoreUnavailableError
from ctxkit.local.arrays import Growing
from ctxkit.local.faults import Place, guarded, translated
from ctxkit.local.layout import collection_directory
from ctxkit.local.text import match_expression, prepared
from ctxkit.local.writing import runs

PLACE = Place("exact", "c", Path("data"), 2.5)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("database is locked", StoreLockedError),
        ("database table is locked", StoreLockedError),
        ("locking protocol", StoreLockedError),
        ("database or disk is full", StoreFullError),
        ("disk I/O error", StoreUnavailableError),
        ("unable to open database file", StoreUnavailableError),
        ("attempt to write a readonly database", StoreUnavailableError),
        ("database disk image is malformed", StoreCorruptError),
        ("file is not a database", StoreCorruptError),
        ("no such table: state", StoreCorruptError),
        ("UNIQUE constraint failed: records.id", StoreCorruptError),
        ("vtable constructor failed: words", StoreCorruptError),
    ],
)
def test_sqlite_errors(message: str, expected: type[StoreError]) -> None:
    """Each of SQLite's complaints becomes the error that says what to do, with backend, collection and path."""
    error = translated(sqlite3.OperationalError(message), PLACE)
    assert type(error) is expected
    assert error.fix
    assert (error.backend, error.collection) == ("exact", "c")


def test_a_file_size_limit_is_a_full_disk() -> None:
    """SQLite reports a file-size limit as an I/O error; under such a limit it means: full."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**40, old[1]))
    try:
        assert type(translated(sqlite3.OperationalError("disk I/O error"), PLACE)) is StoreFullError
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.ENOSPC, StoreFullError),
        (errno.EDQUOT, StoreFullError),
        (errno.EACCES, StoreUnavailableError),
        (errno.EIO, StoreUnavailableError),
    ],
)
def test_system_errors(number: int, expected: type[StoreError]) -> None:
    """The system's errors are typed by their number and keep it as their cause."""
    with pytest.raises(expected, match="data") as caught, guarded(PLACE):
        raise OSError(number, "as the system says")
    assert isinstance(caught.value.__cause__, OSError)


def test_growing_keeps_what_it_holds() -> None:
    """An array grows by pieces of any size, also while somebody looks at a part of it."""
    array = Growing(np.int64)
    held = []
    for size in (0, 1, 100, 3, 5000):
        before = array.values.copy()
        held.append((array.values, before))
        array.extend(range(size))
        assert array.values[: len(before)].tolist() == before.tolist()
        assert array.values[len(before) :].tolist() == list(range(size))
    assert all(view.tolist() == copy.tolist() for view, copy in held)
    assert len(array) == 5104
    assert array.nbytes >= 8 * 5104


def test_runs() -> None:
    """Neighbouring labels become ranges."""
    assert runs([]) == []
    assert runs([1, 2, 3, 7, 9, 10]) == [(1, 3), (7, 7), (9, 10)]


def test_directories_are_distinct_and_harmless() -> None:
    """Any two names get two directories below the root, on a file system that ignores case too."""
    names = ["a", "A", "a ", "..", "../a", "a/b", "a\\b", "", "con", "é", "\ud800", "x" * 512]
    found = [collection_directory(Path("root"), name) for name in names]
    assert len({str(path).lower() for path in found}) == len(names)
    assert all(path.parent == Path("root") and path.name.isascii() and len(path.name) < 80 for path in found)


def test_text_is_prepared_the_same_way_twice() -> None:
    """CJK runs become pairs and their last character; everything else stays; queries quote every word once."""
    assert prepared("plain text") == "plain text"
    assert prepared("a\0b") == "a b"
    assert prepared("天气好x").split() == ["天气", "气好", "好", "x"]
    assert prepared("好").split() == ["好"]
    assert match_expression('say "hi" OR NOT*') == '"say" OR "hi" OR "or" OR "not"'
    assert match_expression("The tea, the TEA") == '"the" OR "tea"'
    assert match_expression("天气 好") == '"天气" OR "好" *'
    assert match_expression("_ - .") is None
