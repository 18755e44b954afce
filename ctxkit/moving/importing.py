"""Reading an export: everything is checked before a record of it is written anywhere."""

from __future__ import annotations

import hashlib
import io
import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from ctxkit.errors import InvalidRecordError, StoreCorruptError, StoreUnavailableError
from ctxkit.interfaces import CollectionSpec
from ctxkit.moving.digests import ContentDigest, record_digest
from ctxkit.moving.export_format import MANIFEST, Manifest, Part, manifest_from
from ctxkit.moving.files import read_json, writable
from ctxkit.moving.moves import move
from ctxkit.moving.passes import Copying, Progress
from ctxkit.moving.places import StorePlace
from ctxkit.moving.report import MoveReport
from ctxkit.moving.settling import Order, silent
from ctxkit.records import FloatVectors, Record
from ctxkit.records.validation import check_id, check_metadata, check_text, check_vectors

_KEYS = {"id", "text", "metadata", "vector"}


def import_export(
    folder: Path, target: StorePlace, *, into: bool = False, sample: int | None = None, progress: Progress = silent
) -> MoveReport:
    """Bring an export to a place, and compare the two; the arguments and the rest are as in `Order` and `migrate`.

    Raises StoreUnavailableError where there is no finished export, FormatVersionError, and StoreCorruptError naming the
    file and the line of what is wrong; then nothing was written.
    """
    origin = ExportOrigin(folder, read_manifest(folder))
    origin.check(progress)
    order = Order(origin.spec.name, into=into, sample=sample, progress=progress)
    return move(origin, f"export:{folder.absolute()}", target, order, Copying())


def read_manifest(folder: Path) -> Manifest:
    """Return what an export holds; raises StoreUnavailableError, FormatVersionError and StoreCorruptError."""
    try:
        content = read_json(folder / MANIFEST)
    except ValueError as exc:
        raise StoreCorruptError(f"{folder / MANIFEST} is no JSON.", fix="export the collection again.") from exc
    if content is None:
        raise StoreUnavailableError(
            f"there is no finished export in {folder}.", fix="name its folder, or run `ctxkit export` again."
        )
    return manifest_from(content, str(folder / MANIFEST))


class ExportOrigin:
    """An export as an origin. Each file's checksum is verified before its content is looked at."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self._folder = folder
        self.manifest = manifest

    @property
    def spec(self) -> CollectionSpec:
        """What the collection is."""
        return self.manifest.spec

    def count(self) -> int:
        """Return how many records there are."""
        return self.manifest.records

    def bare(self) -> int:
        """Return how many of them have no vector."""
        return self.manifest.records - self.manifest.vectors

    def records(self) -> Iterator[Record]:
        """Yield every record by id; raises StoreCorruptError for what no store could hold."""
        last = ""
        for part in self.manifest.parts:
            for line, record in enumerate(self._part(part), start=1):
                if record.id <= last:
                    self._refuse(part.records_file, line, "its id is not greater than the one before it")
                last = record.id
                yield record

    def chosen(self, ids: Sequence[str]) -> Iterable[Record]:
        """Return those of these records that are here."""
        wanted = set(ids)
        return (record for record in self.records() if record.id in wanted)

    def gone(self, ids: Sequence[str]) -> list[str]:
        """Return those of these ids that are not here."""
        here = {record.id for record in self.chosen(ids)}
        return [record_id for record_id in ids if record_id not in here]

    def version(self) -> int | None:
        """Return None: nobody writes to an export."""
        return None

    def check(self, progress: Progress) -> None:
        """Read everything once; raises StoreCorruptError for the first thing that is wrong."""
        found = ContentDigest()
        for number, record in enumerate(self.records(), start=1):
            found.add([record_digest(record)])
            progress("check", number, self.count())
        if str(found) != self.manifest.digest:
            raise StoreCorruptError(
                f"the records in {self._folder} are not those of its manifest.", fix="export the collection again."
            )

    def _part(self, part: Part) -> Iterator[Record]:
        packed = self._bytes(part.records_file, part.records_sha256)
        vectors = self._vectors(part)
        row = 0
        lines = _unpacked(packed, part.text_bytes)
        if lines is None or lines.count(b"\n") != part.records:
            self._refuse(part.records_file, 0, f"it does not unpack to {part.records} lines")
        for number, line in enumerate(lines.splitlines(), start=1):
            try:
                record, place = _record(line, self.spec, vectors, row)
            except (ValueError, RecursionError, InvalidRecordError) as exc:
                self._refuse(part.records_file, number, str(exc))
            row += place
            yield record
        if row != part.vectors:
            self._refuse(part.vectors_file, 0, f"{row} of its {part.vectors} rows belong to a record")

    def _vectors(self, part: Part) -> FloatVectors:
        shape = (part.vectors, self.spec.dimension)
        if part.vectors_sha256 is None:
            return np.empty(shape, np.float32)
        data = self._bytes(part.vectors_file, part.vectors_sha256)
        try:
            return check_vectors(_array(data, shape), self.spec.dimension, self.spec.metric)
        except (ValueError, InvalidRecordError) as exc:
            self._refuse(part.vectors_file, 0, str(exc))

    def _bytes(self, name: str, digest: str) -> bytes:
        """Return a file's bytes once they are those of the manifest; a link is not followed out of the folder."""
        file = self._folder / name
        if file.is_symlink() or not file.is_file():
            self._refuse(name, 0, "it is missing or no plain file")
        with writable(file):
            data = file.read_bytes()
        if hashlib.sha256(data).hexdigest() != digest:
            self._refuse(name, 0, "its bytes are not those of the manifest (SHA-256)")
        return data

    def _refuse(self, name: str, line: int, problem: str) -> NoReturn:
        where = f"{self._folder / name}{f', line {line}' if line else ''}"
        raise StoreCorruptError(
            f"{where}: {problem.rstrip('.')}.", fix="copy the export again from where it was made, or make it anew."
        )


def _unpacked(packed: bytes, size: int) -> bytes | None:
    """Return the bytes in a gzip file, None unless they are exactly so many; more are not unpacked."""
    unpacker = zlib.decompressobj(wbits=31)
    try:
        found = unpacker.decompress(packed, size + 1)
    except zlib.error:
        return None
    return found if len(found) == size and unpacker.eof and not unpacker.unused_data else None


def _array(data: bytes, shape: tuple[int, int]) -> FloatVectors:
    """Return the vectors of an .npy file without trusting its header; raises ValueError."""
    file = io.BytesIO(data)
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError("it is no .npy file of version 1.0")
    found, fortran, dtype = np.lib.format.read_array_header_1_0(file)
    if (found, fortran, dtype) != (shape, False, np.dtype("<f4")) or len(data) - file.tell() != 4 * shape[0] * shape[1]:
        raise ValueError(f"it holds no float32 of shape {shape} in C order")
    return np.frombuffer(data, np.dtype("<f4"), offset=file.tell()).reshape(shape)


def _record(line: bytes, spec: CollectionSpec, vectors: FloatVectors, row: int) -> tuple[Record, bool]:
    """Return the record of a line, and whether it took the next row of the vectors; raises ValueError."""
    found: Any = json.loads(line, parse_constant=_no_number)
    if not isinstance(found, dict) or set(found) != _KEYS:
        raise ValueError(f"it is no object of {', '.join(sorted(_KEYS))}")
    record_id = check_id(found["id"])
    text = check_text(found["text"], record_id=record_id)
    metadata = check_metadata(found["metadata"], record_id=record_id, fields=spec.fields)
    place = found["vector"]
    if place is None:
        return Record(record_id, text, None, metadata), False
    if isinstance(place, bool) or place != row or row >= len(vectors):
        raise ValueError(f"its vector is not row {row}")
    return Record(record_id, text, vectors[row], metadata), True


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")
