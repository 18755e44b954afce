"""The journal of a move: a small file beside what is being made, by which the same command goes on after a kill.

It says whose half-done target this is, and whether the switch was begun; how far the records got is seen from the
target itself. It goes when the move is done.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from ctxkit.errors import ConfigError, FormatVersionError, StoreCorruptError
from ctxkit.moving.files import read_json, write_json

_FORMAT: Final = "ctxkit-moving"
_VERSION: Final = 1
State: TypeAlias = Literal["copying", "switching"]


@dataclass
class Journal:
    """What is known of a move that is under way. `runs` counts how often the command was started for it."""

    file: Path
    source: str
    target: str
    collection: str
    state: State
    started_at: str
    runs: int

    def write(self, state: State) -> None:
        """Make a state last, before what follows from it is done."""
        self.state = state
        content = {"format": _FORMAT, "version": _VERSION, **vars(self), "file": None}
        write_json(self.file, {key: value for key, value in content.items() if value is not None})

    def remove(self) -> None:
        """End the move: the target is what it is from now on."""
        self.file.unlink(missing_ok=True)


def begun(file: Path, source: str, target: str, collection: str) -> tuple[Journal, bool]:
    """Return the journal of a move, and whether it was begun before; nothing is written yet.

    Raises ConfigError when another move was begun there, StoreCorruptError and FormatVersionError for a journal that
    cannot be read.
    """
    found = _read(file)
    if found is None:
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        return Journal(file, source, target, collection, "copying", now, 1), False
    journal = Journal(file, **found)
    if (journal.source, journal.target, journal.collection) != (source, target, collection):
        raise ConfigError(
            f"a move from {journal.source} to {journal.target} was begun and is not finished ({file}).",
            fix="run its command again to finish it, or remove that file and what it has written.",
        )
    journal.runs += 1
    return journal, True


def _read(file: Path) -> Mapping[str, Any] | None:
    try:
        content = read_json(file)
        if content is None:
            return None
        if content["format"] == _FORMAT and content["version"] != _VERSION:
            raise FormatVersionError(
                f"{file} has version {content['version']}; this ctxkit reads {_VERSION}.",
                fix="finish the move with the ctxkit that began it.",
            )
        words = {name: str(content[name]) for name in ("source", "target", "collection", "started_at")}
        state: State = "switching" if content["state"] == "switching" else "copying"
        return {**words, "state": state, "runs": int(content["runs"])}
    except (ValueError, KeyError, TypeError) as exc:
        raise StoreCorruptError(
            f"the journal {file} cannot be read ({type(exc).__name__}).",
            fix="remove it, and begin again with an empty target.",
        ) from exc
