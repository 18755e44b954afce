"""From files and long text to chunks that fit a search result."""

from __future__ import annotations

from ctxkit.ingest.chunking import Chunk, split_text
from ctxkit.ingest.files import Skipped, TextFile, find_files, read_text
from ctxkit.ingest.report import IngestReport

__all__ = ["Chunk", "IngestReport", "Skipped", "TextFile", "find_files", "read_text", "split_text"]
