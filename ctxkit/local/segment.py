"""Segments: the vectors of one moment in files beside the database, with the index that was made of them.

<collection>/segments/<seq>-<time>-<random>/
    labels.i64    the label of each slot, ascending
    sums.u32      the checksum of each vector, as the database has it
    rows.f32      the vectors as they are kept for brute force, read through the page cache
    extras.f32    one number for each, under cosine and l2
    index.bin     what the index's library wrote; not there for a store that searches by brute force
    segment.json  what all of this is, with the SHA-256 of every file; checked before a library sees its file

A folder is written under another name and renamed when it is whole, so one that is there is complete. A label is never
used for another vector, so a segment stays true for ever: rows written later are missing in it, removed ones are too
many. Everything here can be made anew from the database.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import shutil
import time
import uuid
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ctxkit.local.exact import ExactRows, kept
from ctxkit.local.index import AnnIndex, longest_of
from ctxkit.local.layout import sync
from ctxkit.records import FloatVectors, Metric

FOLDER: Final = "segments"
_FORMAT: Final = 1
_MANIFEST: Final = "segment.json"
_LABELS, _SUMS, _ROWS, _EXTRAS, _INDEX = "labels.i64", "sums.u32", "rows.f32", "extras.f32", "index.bin"
_LOCK: Final = ".lock"
_BUILDING: Final = ".building-"
_KEPT: Final = 2
_BLOCK: Final = 2**22
_HELD: Final[set[int]] = set()  # descriptors that hold a lock
_log = logging.getLogger("ctxkit.local")

Labels = npt.NDArray[np.int64]
Sums = npt.NDArray[np.uint32]


@dataclass(frozen=True)
class Wanted:
    """What a segment has to be of use to a handle: of this collection, of these vectors, and not of its future.

    A segment is newer than the database when the database was put back to an earlier state: by a backup, or by a power
    cut under durability "normal".
    """

    incarnation: str
    dimension: int
    metric: Metric
    seq: int


@dataclass(frozen=True)
class Segment:
    """One segment as it is searched; `index` is None where brute force has to do."""

    name: str
    seq: int
    made_at: float
    longest: float
    labels: Labels
    sums: Sums
    rows: ExactRows
    index: AnnIndex | None
    bytes_on_disk: int = 0


def names(folder: Path) -> list[str]:
    """Return the names of the segments in a folder of segments, by age."""
    with suppress(FileNotFoundError, NotADirectoryError):
        return sorted(path.name for path in folder.iterdir() if not path.name.startswith(".") and path.is_dir())
    return []


def read(
    folder: Path, wanted: Wanted, make_index: Callable[[], AnnIndex | None], earlier: Collection[str] = ()
) -> Segment | None:
    """Return the newest usable segment that has the kind of index that `make_index` makes, or else the newest at all.

    What is damaged or does not fit is passed over with a warning: it can be made anew, and is never searched. What
    claims to be newer than `wanted.seq` may be true; what was there `earlier` than that was read is thrown away.
    """
    newest_first = names(folder)[::-1]
    for name in sorted(newest_first, key=lambda each: not _has_index(folder / each, make_index())):
        try:
            return _read(folder / name, wanted, make_index())
        except FileNotFoundError:
            continue  # another process has just thrown it away
        except _FromTheFutureError as error:
            if name in earlier:
                _log.warning("the segment %s is thrown away: %s.", folder / name, error)
                shutil.rmtree(folder / name, ignore_errors=True)
        except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
            _log.warning("the segment %s is not used (%s); it is made anew from the records.", folder / name, error)
    return None


class Writer:
    """Collects the vectors of a segment in a folder that becomes one when it is whole."""

    def __init__(self, folder: Path, wanted: Wanted) -> None:
        self._target = folder
        self._wanted = wanted
        self._folder = folder / f"{_BUILDING}{uuid.uuid4().hex}"
        self._folder.mkdir()
        self._labels: list[int] = []
        self._sums: list[int] = []
        self._longest = 0.0
        self._files = {name: (self._folder / name).open("wb") for name in (_ROWS, _EXTRAS)}

    def add(self, labels: list[int], sums: list[int], vectors: FloatVectors) -> None:
        """Append vectors with their checksums, in the order of their labels."""
        self._labels += labels
        self._sums += sums
        self._longest = max(self._longest, longest_of(vectors))
        for name, array in zip((_ROWS, _EXTRAS), kept(vectors, self._wanted.metric), strict=True):
            self._files[name].write(array.astype("<f4", copy=False).tobytes())

    def mapped(self) -> ExactRows:
        """Return what was added, ready to be searched; nothing is added after this."""
        for file in self._files.values():
            file.close()
        labels = np.array(self._labels, dtype="<i8")
        (self._folder / _LABELS).write_bytes(labels.tobytes())
        (self._folder / _SUMS).write_bytes(np.array(self._sums, dtype="<u4").tobytes())
        return _rows(self._folder, len(labels), self._wanted)

    def finish(self, index: AnnIndex | None, make_index: Callable[[], AnnIndex | None]) -> Segment:
        """Write the index and the manifest, read all of it back, and make the folder a segment.

        A library may have written less than it should and said nothing: what it cannot read never becomes a segment.
        """
        if index is not None:
            index.save(self._folder / _INDEX)
        files = sorted(path.name for path in self._folder.iterdir())
        manifest = {
            "format": _FORMAT,
            "incarnation": self._wanted.incarnation,
            "dimension": self._wanted.dimension,
            "metric": self._wanted.metric,
            "seq": self._wanted.seq,
            "count": len(self._labels),
            "made_at": time.time(),
            "longest": self._longest,
            "index": None if index is None else {"key": index.key, "version": index.version},
            "sha256": {name: _digest(self._folder / name) for name in files},
        }
        (self._folder / _MANIFEST).write_text(json.dumps(manifest, indent=2), encoding="utf-8")
        for path in self._folder.iterdir():
            sync(path)
        sync(self._folder)
        found = _read(self._folder, self._wanted, make_index())
        # Names sort by age: of two segments of one moment, the one with the other index is the newer.
        name = f"{self._wanted.seq:020d}-{time.time_ns():020d}-{uuid.uuid4().hex[:8]}"
        self._folder.rename(self._target / name)
        sync(self._target)
        return replace(found, name=name)

    def abandon(self) -> None:
        """Throw away what was written."""
        for file in self._files.values():
            with suppress(OSError):  # what is not yet written may find no room
                file.close()
        shutil.rmtree(self._folder, ignore_errors=True)


def tidy(folder: Path) -> None:
    """Keep the last two segments. For who holds the lock of those who make them."""
    for name in names(folder)[:-_KEPT]:
        shutil.rmtree(folder / name, ignore_errors=True)


def clear(folder: Path) -> None:
    """Throw away what killed processes left half made. For who holds the lock of those who make segments."""
    for path in folder.glob(f"{_BUILDING}*"):
        shutil.rmtree(path, ignore_errors=True)


class _FromTheFutureError(Exception):
    """The database was put back to before this segment."""


@contextmanager
def building(folder: Path) -> Iterator[bool]:
    """Hold the lock of those who make segments; False where another process holds it."""
    folder.mkdir(exist_ok=True)
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    _HELD.add(descriptor)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        _HELD.discard(descriptor)
        os.close(descriptor)


def _let_go() -> None:
    """In a forked child: its copy of a descriptor would keep the lock when the process that holds it is killed."""
    while _HELD:
        os.close(_HELD.pop())


os.register_at_fork(after_in_child=_let_go)


def size_of(folder: Path) -> int:
    """Return the bytes of a folder's files; what comes or goes meanwhile may be counted or not."""
    total = 0
    for place, _, files in os.walk(folder):  # unlike a glob it passes over a folder that has just gone
        for name in files:
            with suppress(FileNotFoundError):
                total += (Path(place) / name).stat().st_size
    return total


def _has_index(folder: Path, index: AnnIndex | None) -> bool:
    """Whether a segment says that its index is of the kind of `index`."""
    if index is None:
        return True
    try:
        said = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))["index"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return bool(said == {"key": index.key, "version": index.version})


def _read(folder: Path, wanted: Wanted, index: AnnIndex | None) -> Segment:
    manifest = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
    found = (manifest["format"], manifest["incarnation"], manifest["dimension"], manifest["metric"])
    if found != (_FORMAT, wanted.incarnation, wanted.dimension, wanted.metric):
        raise ValueError("it belongs to another collection or another format")
    if manifest["seq"] > wanted.seq:
        raise _FromTheFutureError(f"the database is at {wanted.seq}, the segment at {manifest['seq']}")
    usable = index is not None and manifest["index"] == {"key": index.key, "version": index.version}
    for name, digest in manifest["sha256"].items():
        if name == _INDEX and not usable:
            continue
        if _digest(folder / name) != digest:
            raise ValueError(f"{name} does not match its checksum")
    count = manifest["count"]
    labels = np.fromfile(folder / _LABELS, dtype="<i8").astype(np.int64, copy=False)
    if len(labels) != count:
        raise ValueError(f"{_LABELS} has {len(labels)} labels, not {count}")
    sums = np.fromfile(folder / _SUMS, dtype="<u4").astype(np.uint32, copy=False)
    rows = _rows(folder, count, wanted)
    if index is not None and usable:
        index.load(folder / _INDEX)
    own = index if usable else None
    return Segment(
        folder.name, manifest["seq"], manifest["made_at"], manifest["longest"], labels, sums, rows, own, size_of(folder)
    )


def _rows(folder: Path, count: int, wanted: Wanted) -> ExactRows:
    shape = (count, wanted.dimension)
    empty = np.zeros(0, dtype=np.float32)
    if not count:
        return ExactRows(wanted.dimension, wanted.metric, (np.zeros(shape, dtype=np.float32), empty))
    rows: Any = np.memmap(folder / _ROWS, dtype="<f4", mode="r", shape=shape)
    extras = np.fromfile(folder / _EXTRAS, dtype="<f4") if wanted.metric != "dot" else empty
    # A plain view: numpy's memmap class costs microseconds with every operation.
    return ExactRows(wanted.dimension, wanted.metric, (rows.view(np.ndarray), extras))


def _digest(path: Path) -> str:
    sha = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            sha.update(block)
    return sha.hexdigest()
