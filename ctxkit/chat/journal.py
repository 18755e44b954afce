"""The turn that is being answered, in a file of its own until it is in the store: a killed process loses neither side.

<store>/chat/<one of each running chat>/<turn>.jsonl: the question, then the answer piece by piece, a line each.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from ctxkit.errors import StoreUnavailableError
from ctxkit.local.layout import claimed, is_claimed

FOLDER = "chat"


@dataclass(frozen=True, slots=True)
class Begun:
    """A question that was asked: `timestamp` is in seconds since the epoch, `session_id` the conversation's."""

    turn_id: str
    question: str
    session_id: str | None
    timestamp: float


@dataclass(frozen=True, slots=True)
class LeftBehind:
    """A turn whose process ended before it was stored, with as much of the answer as had come."""

    begun: Begun
    answer: str
    file: Path

    def settled(self) -> None:
        """Forget it: it is in the store now."""
        self.file.unlink(missing_ok=True)
        with suppress(OSError):  # another turn of that process still stands there
            self.file.parent.rmdir()


class Journal:
    """Notes the turns of one running chat below a store's folder; a store without one (None) has no journal."""

    def __init__(self, store: Path | None) -> None:
        self._root = None if store is None else store / FOLDER
        self._folder: Path | None = None
        self._open = ExitStack()

    def left_behind(self) -> list[LeftBehind]:
        """Return the turns of chats that are no longer running, in the order in which they were asked."""
        return sorted(self._found(), key=lambda each: each.begun.timestamp)

    def note(self, begun: Begun) -> Note:
        """Begin the note of a turn; raises StoreUnavailableError where none can be written."""
        if self._root is None:
            return NO_NOTE
        try:
            if self._folder is None:
                name = uuid.uuid4().hex
                # Until it is claimed its name begins with a dot: another chat takes away what is empty and nobody's.
                folder = self._root / f".{name}"
                folder.mkdir(parents=True, mode=0o700)
                self._open.enter_context(claimed(folder))
                self._folder = folder.rename(self._root / name)
            return Note(self._folder / f"{begun.turn_id}.jsonl", begun)
        except OSError as exc:
            raise StoreUnavailableError(
                f"{self._root} cannot be written ({type(exc).__name__}).",
                fix="make room on the disk, or the folder one that may be written.",
            ) from exc

    def _found(self) -> Iterator[LeftBehind]:
        if self._root is None or not self._root.is_dir():
            return
        for folder in self._root.iterdir():
            with suppress(OSError):  # another chat may be taking it in
                if folder == self._folder or folder.name.startswith(".") or is_claimed(folder):
                    continue
                files = sorted(folder.glob("*.jsonl"))
                for file in files:
                    if (found := _read(file)) is not None:
                        yield found
                if not files:
                    folder.rmdir()

    def close(self) -> None:
        """Let the folder go; a turn that could not be stored stands there until a chat opens again."""
        if self._folder is not None:
            with suppress(OSError):
                self._folder.rmdir()
        self._open.close()


class Note:
    """One turn in the journal, written on as the answer comes."""

    def __init__(self, file: Path | None, begun: Begun | None = None) -> None:
        self._file = file
        if file is not None and begun is not None:
            with open(file, "x", encoding="utf-8", opener=_private) as out:
                out.write(_line(asdict(begun)))
                out.flush()
                os.fsync(out.fileno())

    def add(self, piece: str) -> None:
        """Note a piece of the answer; one that finds no room is not in the note, but still in the answer."""
        if self._file is not None and piece:
            with suppress(OSError), self._file.open("a", encoding="utf-8") as out:
                out.write(_line(piece))

    def close(self, *, stored: bool) -> None:
        """End the note; what is `stored` needs none."""
        if self._file is not None and stored:
            self._file.unlink(missing_ok=True)


NO_NOTE: Final = Note(None)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _line(value: object) -> str:
    return f"{json.dumps(value)}\n"


def _read(file: Path) -> LeftBehind | None:
    """Return what a file holds up to a line that was not written whole; None where not even the question is whole."""
    values: list[object] = []
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            values.append(json.loads(line))
        except ValueError:
            break
    try:
        begun = Begun(**values[0])  # type: ignore[arg-type]  # what is no mapping of these fields raises
    except (IndexError, TypeError):
        file.unlink(missing_ok=True)  # its question was never asked of anybody
        return None
    return LeftBehind(begun, "".join(piece for piece in values[1:] if isinstance(piece, str)), file)
