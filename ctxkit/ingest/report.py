"""What an ingestion did."""

from __future__ import annotations

from dataclasses import dataclass, field

from ctxkit.ingest.files import Skipped


@dataclass(slots=True)
class IngestReport:
    """Counts of files and chunks written, files that were there already, and what was left out and why.

    `pending` is how many of the chunks were stored without a vector, to be embedded later.
    """

    files: int = 0
    chunks: int = 0
    unchanged: int = 0
    pending: int = 0
    skipped: list[Skipped] = field(default_factory=list)

    def add(self, other: IngestReport) -> None:
        """Add the figures of another report to this one."""
        self.files += other.files
        self.chunks += other.chunks
        self.unchanged += other.unchanged
        self.pending += other.pending
        self.skipped.extend(other.skipped)
