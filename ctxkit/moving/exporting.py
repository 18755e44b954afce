"""Writing an export part by part, each whole or not there; an interrupted export goes on after the last one."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from ctxkit.errors import ConfigError, FormatVersionError, StoreCorruptError, StoreLockedError
from ctxkit.interfaces import CollectionSpec
from ctxkit.local import layout
from ctxkit.moving.digests import ContentDigest, metadata_json, record_digest
from ctxkit.moving.export_format import FORMAT, MANIFEST, RECORDS, VECTORS, VERSION, Exported, Manifest, Part
from ctxkit.moving.files import HALF, read_json, writable, write_json, write_whole
from ctxkit.moving.importing import ExportOrigin, read_manifest
from ctxkit.moving.origins import StoreOrigin
from ctxkit.moving.passes import Progress, weight
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

    The folder must not exist, be empty, hold the same export unfinished, which then goes on, or hold just this export.
    Raises ConfigError for another folder, CollectionNotFoundError, and StoreLockedError when the source was written to
    meanwhile.
    """
    started = time.monotonic()
    spec = source.existing(collection)
    with writable(folder):
        layout.make(folder.absolute())
        if layout.is_claimed(folder):
            raise StoreLockedError(f"another export to {folder} is under way.", fix="wait until it is done.")
    with layout.claimed(folder), source.open(spec) as store:
        origin = StoreOrigin(store)
        report = MoveReport(
            source.title,
            f"export:{folder.absolute()}",
            collection,
            spec.dimension,
            spec.metric,
            spec.fingerprint,
            runs=1,
        )
        if (folder / MANIFEST).exists() and not (folder / _UNFINISHED).exists():
            _compare_finished(folder, origin, report, progress)
        else:
            _write(_begun(folder, source.title, origin.spec), origin, report, progress)
    report.read = report.verified.records
    report.seconds = round(time.monotonic() - started, 3)
    return report


def _write(work: _Work, origin: StoreOrigin, report: MoveReport, progress: Progress) -> None:
    """Write the parts that are missing, compare them all with the source, and make the folder an export."""
    report.runs = work.runs
    for part in _parts(origin.in_id_order(), work.after, origin.spec.dimension):
        work.add(part)
        report.written += len(part)
        progress("export", work.count, max(origin.count(), work.count))
    manifest = work.manifest(origin.spec)
    report.verified = _checked(work.folder, manifest, origin, progress)
    if not report.verified.sound:
        work.discard()
        raise StoreLockedError(
            "the source was written to during the export.",
            fix="stop the writers and run the same command again, or export a copy that `ctxkit backup` makes.",
        )
    write_json(work.folder / MANIFEST, manifest.sealed())
    (work.folder / _UNFINISHED).unlink()


def _compare_finished(folder: Path, origin: StoreOrigin, report: MoveReport, progress: Progress) -> None:
    """Let a command that was cut short after its last step end well; raises ConfigError for another export."""
    manifest = None
    with suppress(StoreCorruptError, FormatVersionError):
        manifest = read_manifest(folder)
    if manifest and (manifest.collection, manifest.records) == (_exported(origin.spec), origin.count()):
        report.verified = _checked(folder, manifest, origin, progress)
    if manifest is None or not report.verified.digest or not report.verified.sound:
        raise _not_empty(folder)
    report.notes.append("The export was there already; it was compared again.")


def _exported(spec: CollectionSpec) -> Exported:
    return Exported.model_validate(spec.model_dump(include=set(Exported.model_fields)))


def _not_empty(folder: Path) -> ConfigError:
    return ConfigError(f"{folder} is not empty.", fix="name a folder that does not exist.")


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

    def tidy(self) -> None:
        """Remove what is no whole part: a killed run has left it, and it may quote what was erased since."""
        whole = {name for part in self.parts for name in (part.records_file, part.vectors_file)}
        for pattern in (RECORDS, VECTORS, MANIFEST, HALF):
            for file in self.folder.glob(pattern):
                if file.name not in whole:
                    file.unlink()

    def discard(self) -> None:
        """Remove what was written, so that the same command begins anew."""
        self.parts, self.digest = [], ContentDigest()
        self.keep()
        self.tidy()
        (self.folder / _UNFINISHED).unlink()

    def manifest(self, spec: CollectionSpec) -> Manifest:
        """Return the manifest of all parts."""
        return Manifest(
            collection=_exported(spec),
            records=self.count,
            vectors=sum(part.vectors for part in self.parts),
            digest=str(self.digest),
            parts=tuple(self.parts),
        )


def _begun(folder: Path, source: str, spec: CollectionSpec) -> _Work:
    """Return what an interrupted export to this folder has done, or a new one in an empty folder."""
    try:
        found: Any = read_json(folder / _UNFINISHED)
        if found is None:
            # What is half written: the folder's very first file, when that run was killed.
            if {*folder.iterdir()} - {*folder.glob(HALF)}:
                raise _not_empty(folder)
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
    work.tidy()
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
        size += weight(record)
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


def _checked(folder: Path, manifest: Manifest, origin: StoreOrigin, progress: Progress) -> Verified:
    """Read the files again, and the source, and compare counts and digests."""
    ExportOrigin(folder, manifest).check(progress)
    own = ContentDigest()
    found = Verified(records=manifest.records, copy_digest=manifest.digest)
    for record in origin.records():
        own.add([record_digest(record)])
        found.compared += 1
        progress("verify", found.compared, max(found.records, found.compared))
    found.digest = str(own)
    found.extra = max(0, found.records - found.compared)
    found.wrong = max(0, found.compared - found.records) or int(found.digest != found.copy_digest)
    return found
