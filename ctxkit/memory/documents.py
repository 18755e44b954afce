"""Documents in memory: files and texts, cut into chunks, written once."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from ctxkit.config import MemoryConfig
from ctxkit.errors import InvalidRecordError
from ctxkit.ingest import IngestReport, Skipped, TextFile, find_files, read_text, split_text
from ctxkit.interfaces import Tokenizer
from ctxkit.memory.entries import (
    DIGEST,
    DOCUMENT,
    KIND,
    SEQ,
    THREAD,
    UNDERSTOOD,
    check_user_metadata,
    clean,
    digest,
)
from ctxkit.memory.scope import Scope
from ctxkit.memory.validity import unexpired, with_moments
from ctxkit.memory.vault import Vault
from ctxkit.records import Metadata, Record, check_metadata

Progress: TypeAlias = Callable[[int, int, Path], None]
_BATCH = 128
_PATIENCE = 120.0


class Documents:
    """Writes documents into one scope; a document that is there unchanged is left as it is."""

    def __init__(self, vault: Vault, scope: Scope, tokenizer: Tokenizer, memory: MemoryConfig) -> None:
        self._vault = vault
        self._scope = scope
        self._tokenizer = tokenizer
        self._size = memory.ingestion_chunk_size
        # An overlap that is not below the size is reported as a conflict; half a chunk is what still works.
        self._overlap = min(memory.ingestion_chunk_overlap, (self._size - 1) // 2)

    def ingest_path(
        self, path: Path, metadata: Mapping[str, Any] | None, *, progress: Progress | None = None
    ) -> IngestReport:
        """Store a file, or every text file below a folder.

        Each is named by its path; a single file may be named by a `source_id` in the metadata instead. The store's own
        folder is left out where it lies below.
        """
        report = IngestReport()
        found = self._found(path)
        single = len(found) == 1 and found[0].path == Path(path)
        named = single and metadata is not None and "source_id" in metadata
        for done, item in enumerate(found, start=1):
            if isinstance(item, Skipped):
                report.skipped.append(item)
            else:
                text = read_text(item.path)
                if isinstance(text, Skipped):
                    report.skipped.append(text)
                else:
                    report.add(self.ingest_text(text, None if named else item.source_id, metadata))
            if progress is not None:
                progress(done, len(found), item.path)
        return report

    def ingest_text(self, text: str, source_id: str | None, metadata: Mapping[str, Any] | None) -> IngestReport:
        """Store one document; what was stored under the same `source_id` before is replaced.

        The `source_id` may stand in the metadata; without one the text itself names the document. The same text
        with the same metadata is left as it is. The new chunks are written before the old ones go, so a crash in
        between costs nothing: the next ingestion of the same document cleans up. Raises InvalidRecordError for
        blank text, for metadata that no record can hold, and when `source_id` is empty or contradicts the metadata.
        """
        text = clean(text)
        if not text.strip():
            raise InvalidRecordError("the document is blank.", fix="pass text with at least one visible character.")
        own = check_user_metadata(metadata)
        own["source_id"] = source = _source(source_id, own) or f"text-{digest(text)}"
        own = check_metadata(self._scope.stamp(own), record_id=source, fields=UNDERSTOOD)
        # Not the time of this ingestion, which differs each time: only a timestamp that the caller gave.
        version = digest(text, str(self._size), str(self._overlap), json.dumps(own, sort_keys=True))
        shared: Metadata = {"timestamp": time.time(), **with_moments(own)}
        thread = f"document-{digest(str(self._scope.thread(shared, conversation=True)), source)}"
        chunks = list(split_text(text, self._tokenizer, size=self._size, overlap=self._overlap))
        mine = {THREAD: thread, KIND: DOCUMENT}
        if self._vault.store.count({**mine, DIGEST: version, **unexpired()}) == len(chunks):
            self._forget_other_versions(mine, version)
            return IngestReport(unchanged=1)
        report = IngestReport(files=1, chunks=len(chunks))
        for start in range(0, len(chunks), _BATCH):
            batch = [
                Record(
                    f"{thread}/{version[:12]}/{chunk.index}",
                    chunk.text,
                    None,
                    {**shared, **mine, SEQ: chunk.index, DIGEST: version},
                )
                for chunk in chunks[start : start + _BATCH]
            ]
            report.pending += self._vault.write(batch, patience=_PATIENCE)
        self._forget_other_versions(mine, version)
        return report

    def _found(self, path: Path) -> list[TextFile | Skipped]:
        """Return what there is to ingest."""
        found = list(find_files(path))
        root, store = path.resolve(), self._vault.source.path
        if store is None or store.resolve() == root or not store.resolve().is_relative_to(root):
            return found
        own = path / store.resolve().relative_to(root)
        return [item for item in found if not item.path.is_relative_to(own)]

    def _forget_other_versions(self, mine: Mapping[str, Any], version: str) -> None:
        self._vault.delete(where={**mine, DIGEST: {"$ne": version}})


def _source(given: str | None, metadata: Mapping[str, Any]) -> str | None:
    """Return the name that the caller gave the document, as an argument or in the metadata, None when there is none."""
    named = metadata.get("source_id")
    for name in (given, named):
        if name is not None and (not isinstance(name, str) or not name):
            raise InvalidRecordError(
                f"the source_id is {name!r}, not a non-empty str.", fix="name the document, or leave source_id out."
            )
    if given is None:
        return named
    given = clean(given)
    if named is not None and named != given:
        raise InvalidRecordError(
            f"the metadata says source_id={named!r}, but the document's is {given!r}.",
            fix="leave source_id out of the metadata.",
        )
    return given
