"""Documents in memory: files and texts, cut into chunks, written once."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from ctxkit.config import MemoryConfig
from ctxkit.errors import InvalidRecordError
from ctxkit.ingest import IngestReport, Skipped, find_files, read_text, split_text
from ctxkit.interfaces import Tokenizer
from ctxkit.memory.entries import (
    DIGEST,
    DOCUMENT,
    KIND,
    SEQ,
    THREAD,
    check_user_metadata,
    clean,
    digest,
)
from ctxkit.memory.scope import Scope
from ctxkit.memory.vault import Vault
from ctxkit.records import Record

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
        """Store a file, or every text file below a folder."""
        report = IngestReport()
        found = list(find_files(path))
        for done, item in enumerate(found, start=1):
            if isinstance(item, Skipped):
                report.skipped.append(item)
            else:
                text = read_text(item.path)
                if isinstance(text, Skipped):
                    report.skipped.append(text)
                else:
                    report.add(self.ingest_text(text, item.source_id, metadata))
            if progress is not None:
                progress(done, len(found), item.path)
        return report

    def ingest_text(self, text: str, source_id: str | None, metadata: Mapping[str, Any] | None) -> IngestReport:
        """Store one document; what was stored under the same `source_id` before is replaced.

        Without a `source_id` the text itself names the document. The new chunks are written before the old ones go,
        so a crash in between costs nothing: the next ingestion of the same document cleans up.
        """
        text = clean(text)
        if not text.strip():
            raise InvalidRecordError("the document is blank.", fix="pass text with at least one visible character.")
        version = digest(text, str(self._size), str(self._overlap))
        source = source_id or f"text-{version}"
        shared = self._scope.stamp({"timestamp": time.time(), **check_user_metadata(metadata), "source_id": source})
        thread = f"document-{digest(str(self._scope.thread(shared, conversation=True)), source)}"
        chunks = list(split_text(text, self._tokenizer, size=self._size, overlap=self._overlap))
        mine = {THREAD: thread, KIND: DOCUMENT}
        if self._vault.store.count({**mine, DIGEST: version}) == len(chunks):
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

    def _forget_other_versions(self, mine: Mapping[str, Any], version: str) -> None:
        self._vault.delete(where={**mine, DIGEST: {"$ne": version}})
