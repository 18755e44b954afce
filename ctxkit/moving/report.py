"""What a move did, as it is printed and kept."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ctxkit.moving.files import write_json
from ctxkit.moving.verifying import Verified


@dataclass
class MoveReport:
    """One finished move. `runs` is how often its command was started, `written` and `deleted` what the last run did.

    `seconds` are those of the last run, `version` the number of the source's last write that came over, where it counts
    them. `switched` is the configuration file that now names the target, `old` where
    the collection of before a re-embedding is kept, `notes` what a user should know besides.
    """

    source: str
    target: str
    collection: str
    dimension: int
    metric: str
    fingerprint: str | None
    runs: int
    version: int | None = None
    read: int = 0
    written: int = 0
    deleted: int = 0
    seconds: float = 0.0
    verified: Verified = field(default_factory=Verified)
    switched: str | None = None
    old: str | None = None
    notes: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain JSON values."""
        return asdict(self)

    def write(self, file: Path) -> None:
        """Keep the report in a file, whole or not at all."""
        write_json(file, self.as_dict())
