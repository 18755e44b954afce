"""Stores that misjudge a damaged file or a full disk.

Every one of them works as it should as long as its files are left alone and there is room.
"""

from __future__ import annotations

import json
import os
import sqlite3
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from typing_extensions import Self, override

from ctxkit.defaults.exact import ExactStore
from ctxkit.errors import StoreCorruptError, StoreFullError, StoreUnavailableError
from ctxkit.interfaces import BackendConfig, CollectionSpec
from ctxkit.local.config import LocalConfig
from ctxkit.local.handle import Handle
from ctxkit.records import Hits
from ctxkit_conformance.mutants.bases import Searching, Written, with_score

_BLOCK: Final = 512  # bytes


class StartsAnewWhenDamaged(ExactStore):
    """A database that cannot be read is thrown away, and the application starts with an empty memory."""

    @classmethod
    @override
    def open(cls, spec: CollectionSpec, config: BackendConfig) -> Self:
        try:
            return super().open(spec, config)
        except StoreCorruptError:
            cls.drop_collection(config, spec.name)
            return super().open(spec, config)


class DiesOfDamage(ExactStore):
    """A damaged file is mapped into memory unchecked, and takes the process with it."""

    @classmethod
    @override
    def open(cls, spec: CollectionSpec, config: BackendConfig) -> Self:
        try:
            return super().open(spec, config)
        except StoreCorruptError:
            os.abort()


class ShowsTheEnginesErrors(ExactStore):
    """A damaged file shows as an error of SQLite, which no caller expects."""

    @classmethod
    @override
    def open(cls, spec: CollectionSpec, config: BackendConfig) -> Self:
        try:
            return super().open(spec, config)
        except StoreCorruptError as error:
            raise sqlite3.DatabaseError(str(error)) from error


class ForgetsWhatIsMissing(ExactStore):
    """A database that was deleted is taken for one that never was."""

    @classmethod
    @override
    def open(cls, spec: CollectionSpec, config: BackendConfig) -> Self:
        try:
            return super().open(spec, config)
        except StoreCorruptError as error:
            if "missing" not in str(error):
                raise
            cls.drop_collection(config, spec.name)
            return super().open(spec, config)


class Indexing(Searching):
    """Keeps its vectors in a file of its own beside the table, and scores with them: `sealed` and `unsealed`."""

    def __init__(self, handle: Handle, config: LocalConfig) -> None:
        super().__init__(handle, config)
        self.rows: dict[str, npt.NDArray[np.float32]] | None = None

    @override
    def query(self, vectors: npt.ArrayLike, k: int, **options: Any) -> list[Hits]:
        found = super().query(vectors, k, **options)
        queries = np.atleast_2d(np.asarray(vectors, dtype=np.float64))
        if self.spec.metric != "cosine" or self.rows is None:
            return found
        return [
            Hits([with_score(hit, self._score(hit.id, hit.score, query)) for hit in hits])
            for hits, query in zip(found, queries, strict=False)
        ]

    @override
    def upsert(self, records: Written) -> None:
        super().upsert(records)
        self.rows = None

    @classmethod
    @override
    def open(cls, spec: CollectionSpec, config: BackendConfig) -> Self:
        opened = super().open(spec, config)
        with suppress(OSError, ValueError):
            opened.recover()
        return opened

    def recover(self) -> None:
        """Read the index; what cannot be read is made anew from the table."""
        if self._index is not None:
            head, _, body = self.unsealed(self._index.read_bytes()).partition(b"\n")
            vectors = np.frombuffer(body, dtype="<f4").reshape(-1, self.spec.dimension)
            self.rows = dict(zip(json.loads(head), vectors, strict=True))

    @override
    def close(self) -> None:
        try:
            if self._index is not None and not self._handle.session.closed:
                records = [each for each in self.scan(include_vectors=True) if each.vector is not None]
                body = np.array([each.vector for each in records], dtype="<f4").tobytes()
                head = json.dumps([each.id for each in records]).encode()
                self._index.write_bytes(self.sealed(head + b"\n" + body))
        finally:
            super().close()

    @classmethod
    def sealed(cls, content: bytes) -> bytes:
        """Return what is written of the index."""
        return content

    @classmethod
    def unsealed(cls, content: bytes) -> bytes:
        """Return the index of what is read, or raise ValueError."""
        return content

    @property
    def _index(self) -> Path | None:
        database = self._handle.session.database
        return None if database is None else database.with_name("index.bin")

    def _score(self, record_id: str, score: float, query: npt.NDArray[np.float64]) -> float:
        row = (self.rows or {}).get(record_id)
        if row is None:
            return score
        with np.errstate(all="ignore"):
            vector = row.astype(np.float64)
            return float(vector @ query / (np.linalg.norm(vector) * np.linalg.norm(query)))


class BelievesItsIndex(Indexing):
    """The vectors of the index file have no checksum: a flipped bit makes other records the nearest."""


class MixesOldAndNew(Indexing):
    """The index file has a checksum, but nothing ties it to the table: an older copy of it is searched."""

    @classmethod
    @override
    def sealed(cls, content: bytes) -> bytes:
        return zlib.crc32(content).to_bytes(4, "big") + content

    @classmethod
    @override
    def unsealed(cls, content: bytes) -> bytes:
        if int.from_bytes(content[:4], "big") != zlib.crc32(content[4:]):
            raise ValueError(content[:4])
        return content[4:]


class TakesZerosForNothing(Indexing):
    """The blocks of the index file have checksums, but one of zeros counts as never written: a lost one is believed."""

    @classmethod
    @override
    def sealed(cls, content: bytes) -> bytes:
        padded = content + bytes(-len(content) % _BLOCK)
        starts = range(0, len(padded), _BLOCK)
        sums = [zlib.crc32(padded[start : start + _BLOCK]).to_bytes(4, "big") for start in starts]
        return padded + b"".join(sums) + len(content).to_bytes(8, "big")

    @classmethod
    @override
    def unsealed(cls, content: bytes) -> bytes:
        size = int.from_bytes(content[-8:], "big")
        places = range(-(-size // _BLOCK))
        blocks = [content[place * _BLOCK : (place + 1) * _BLOCK] for place in places]
        sums = [content[len(places) * _BLOCK + 4 * place :][:4] for place in places]
        for block, stated in zip(blocks, sums, strict=True):
            if any(block) and zlib.crc32(block).to_bytes(4, "big") != stated:
                raise ValueError(stated)
        return b"".join(blocks)[:size]


class SwallowsTheFullDisk(ExactStore):
    """A write that did not fit is reported as done."""

    @override
    def upsert(self, records: Written) -> None:
        with suppress(StoreFullError):
            super().upsert(records)


class BlamesTheConnection(ExactStore):
    """A full disk shows as a store that cannot be reached, which sends its users to look for another fault."""

    @override
    def upsert(self, records: Written) -> None:
        try:
            super().upsert(records)
        except StoreFullError as error:
            raise StoreUnavailableError(error.message, fix="try again.", backend=self.backend) from error


class WritesWhatFits(ExactStore):
    """When the disk is full, as many records of the batch are written as it has room for."""

    @override
    def upsert(self, records: Written) -> None:
        try:
            super().upsert(records)
        except StoreFullError:
            for record in records:
                super().upsert([record])
            raise


DAMAGE: Final[dict[type, str]] = {
    StartsAnewWhenDamaged: "truncated_files",
    DiesOfDamage: "truncated_files",
    ShowsTheEnginesErrors: "truncated_files",
    ForgetsWhatIsMissing: "deleted_files",
    BelievesItsIndex: "flipped_bits",
    TakesZerosForNothing: "lost_blocks",
    MixesOldAndNew: "stale_files",
    SwallowsTheFullDisk: "full_disk",
    BlamesTheConnection: "file_size_limit",
    WritesWhatFits: "full_disk",
}
