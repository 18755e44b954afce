"""Writing an export part by part, each whole or not there; an interrupted export goes on after the last one."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from ctxkit.errors import ConfigError, StoreCorruptError, StoreLockedError
from ctxkit.interfaces import CollectionSpec
from ctxkit.local import layout
from ctxkit.moving.digests import ContentDigest, metadata_json, record_digest
from ctxkit.moving.export_format import FORMAT, MANIFEST, VERSION, Exported, Manifest, Part
from ctxkit.moving.files import read_json, writable, write_json, write_whole
from ctxkit.moving.importing import ExportOrigin
from ctxkit.moving.origins import StoreOrigin
from ctxkit.moving.passes import Progress
from ctxkit.moving.places import StorePlace
from ctxkit.moving.report import MoveReport
from ctxkit.moving.settling import silent
from ctxkit.moving.verifying import Verified
from ctxkit.records import Record

_UNFINISHED: Final = ".export.json"
_PART_RECORDS: Final = 4096
_PART_BYTES: Final = 16 << 20


def export(source: StorePlace, folder: Path, collection: str, *, progress: Progress = silent) -> MoveReport:
    """Write a collection to a folder of plain files, read them again, and return what was done.

    The folder must not exist, be empty, or hold the same export unfinished, which then goes on. Raises ConfigError for
    another folder, CollectionNotFoundError, and StoreLockedError when the source was written to meanwhile.
    """
    started = time.monotonic()
    spec = source.existing(collection)
    with writable(folder):
        layout.make(folder.absolute())
        if layout.is_claimed(folder):
            raise StoreLockedError(f"another export to {folder} is under way.", fix="wait until it is done.")
    with layout.claimed(folder), source.open(spec) as store:
        origin = StoreOrigin(store)
        work = _begun(folder, source.title, origin.spec)
        report = MoveReport(
            source.title,
            f"export:{folder.absolute()}",
            collection,
            spec.dimension,
            spec.metric,
            spec.fingerprint,
            work.runs,
        )
        for part in _parts(origin.in_id_order(), work.after, spec.dimension):
            work.add(part)
            report.written += len(part)
            progress("export", work.count, max(origin.count(), work.count))
        work.finish(origin.spec)
        report.verified = _checked(folder, origin, progress)
        report.read = report.verified.records
        if not report.verified.sound:
            work.discard()
            raise StoreLockedError(
                "the source was written to during the export.",
                fix="stop the writers and run the same command again, or export a copy that `ctxkit backup` makes.",
            )
    (folder / _UNFINISHED).unlink()
    report.seconds = round(time.monotonic() - started, 3)
    return report


@dataclass
class _Work:
    """An export under way: the parts that are whole."""

    folder: Path
    source: str
    collection: str
    runs: int = 1
    digest: ContentDigest = field(default_factory=ContentDigest)
    parts: list[Part] = field(default_factory=list)

    @property
    def after(self) -> str:
        """The last id that was written; every id is greater than the empty string."""
        return self.parts[-1].last_id if self.parts else ""

    @property
    def count(self) -> int:
        """How many records were written."""
        return sum(part.records for part in self.parts)

    def add(self, records: list[Record]) -> None:
        """Write one part, then say that it is there."""
        rows = [np.asarray(each.vector, np.dtype("<f4")) for each in records if each.vector is not None]
        lines = "".join(_lines(records)).encode()
        packed = gzip.compress(lines, compresslevel=6, mtime=0)
        vectors = _npy(rows) if rows else b""
        part = Part(
            number=len(self.parts),
            records=len(records),
            vectors=len(rows),
            text_bytes=len(lines),
            records_sha256=hashlib.sha256(packed).hexdigest(),
            vectors_sha256=hashlib.sha256(vectors).hexdigest() if rows else None,
            last_id=records[-1].id,
        )
        write_whole(self.folder / part.records_file, packed)
        if rows:
            write_whole(self.folder / part.vectors_file, vectors)
        self.digest.add(record_digest(record) for record in records)
        self.parts.append(part)
        self.keep()

    def keep(self) -> None:
        """Make lasting how far the export is."""
        content = {"source": self.source, "collection": self.collection, "runs": self.runs, "digest": str(self.digest)}
        parts = [part.model_dump() for part in self.parts]
        write_json(self.folder / _UNFINISHED, {"format": FORMAT, "version": VERSION, **content, "parts": parts})

    def discard(self) -> None:
        """Remove what was written, so that the same command begins anew."""
        for part in self.parts:
            (self.folder / part.records_file).unlink()
            (self.folder / part.vectors_file).unlink(missing_ok=True)
        (self.folder / MANIFEST).unlink()
        (self.folder / _UNFINISHED).unlink()

    def finish(self, spec: CollectionSpec) -> None:
        """Write the manifest, which makes the folder an export."""
        described = spec.model_dump(include=set(Exported.model_fields))
        manifest = Manifest(
            collection=Exported.model_validate(described),
            records=self.count,
            vectors=sum(part.vectors for part in self.parts),
            digest=str(self.digest),
            parts=tuple(self.parts),
        )
        write_json(self.folder / MANIFEST, manifest.model_dump())


def _begun(folder: Path, source: str, spec: CollectionSpec) -> _Work:
    """Return what an interrupted export to this folder has done, or a new one in an empty folder."""
    try:
        found: Any = read_json(folder / _UNFINISHED)
        if found is None:
            if any(folder.iterdir()):
                raise ConfigError(f"{folder} is not empty.", fix="name a folder that does not exist.")
            work = _Work(folder, source, spec.name)
        else:
            parts = [Part.model_validate(each) for each in found["parts"]]
            digest = ContentDigest(found["digest"])
            work = _Work(folder, found["source"], found["collection"], found["runs"] + 1, digest, parts)
    except (ValueError, KeyError, TypeError) as exc:
        raise StoreCorruptError(f"{folder / _UNFINISHED} cannot be read.", fix=f"remove {folder}.") from exc
    if (work.source, work.collection) != (source, spec.name):
        raise ConfigError(
            f"{folder} holds an unfinished export of {work.source}.", fix="finish that one, or remove the folder."
        )
    work.keep()
    return work


def _parts(records: Iterable[Record], after: str, dimension: int) -> Iterator[list[Record]]:
    """Yield the records beyond an id in lists that become parts, bounded in number and in bytes."""
    most = max(1, min(_PART_RECORDS, _PART_BYTES // (4 * dimension)))
    part: list[Record] = []
    size = 0
    for record in records:
        if record.id <= after:
            continue
        part.append(record)
        size += len(record.text)
        if len(part) == most or size >= _PART_BYTES:
            yield part
            part, size = [], 0
    if part:
        yield part


def _lines(records: Iterable[Record]) -> Iterator[str]:
    row = 0
    for record in records:
        place = "null"
        if record.vector is not None:
            place, row = str(row), row + 1
        words = f'"id":{json.dumps(record.id)},"text":{json.dumps(record.text)}'
        yield f'{{{words},"metadata":{metadata_json(record.metadata)},"vector":{place}}}\n'


def _npy(rows: list[Any]) -> bytes:
    out = io.BytesIO()
    np.save(out, np.stack(rows), allow_pickle=False)
    return out.getvalue()


def _checked(folder: Path, origin: StoreOrigin, progress: Progress) -> Verified:
    """Read the files again, and the source, and compare counts and digests."""
    reader = ExportOrigin(folder)
    reader.check(progress)
    own = ContentDigest()
    found = Verified(records=reader.count(), copy_digest=reader.manifest.digest)
    for record in origin.records():
        own.add([record_digest(record)])
        found.compared += 1
        progress("verify", found.compared, max(found.records, found.compared))
    found.digest = str(own)
    found.extra = max(0, found.records - found.compared)
    found.wrong = max(0, found.compared - found.records) or int(found.digest != found.copy_digest)
    return found
