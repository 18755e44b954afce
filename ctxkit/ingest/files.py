"""Finding text files and reading them, naming what cannot be read and stopping for nothing."""

from __future__ import annotations

import codecs
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ctxkit.errors import IngestError

MAX_BYTES = 64 * 1024 * 1024
_SKIPPED_FOLDERS = frozenset({"__pycache__", "node_modules", "venv"})
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True, slots=True)
class TextFile:
    """A file to ingest: where it is, and the name that its memories carry as `source_id`."""

    path: Path
    source_id: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that was left out, and why."""

    path: Path
    reason: str


def find_files(root: Path) -> Iterator[TextFile | Skipped]:
    """Yield the files below a folder (or the file itself) in sorted order, and what is left out.

    Hidden folders, caches and linked folders are passed over without a word; broken links, unreadable folders and
    special files are yielded as Skipped. Raises IngestError when `root` itself is not there.
    """
    root = Path(root)
    if root.is_file():
        yield TextFile(root, root.resolve().as_posix())
        return
    if not root.is_dir():
        what = "is a broken link" if root.is_symlink() else "does not exist"
        raise IngestError(f"{root} {what}.", fix="give the path of a text file or a folder.")
    problems: list[Skipped] = []

    def note(error: OSError) -> None:
        problems.append(Skipped(Path(error.filename), error.strerror or "cannot be read"))

    for folder, folders, names in os.walk(root, onerror=note):
        folders[:] = sorted(f for f in folders if not f.startswith(".") and f not in _SKIPPED_FOLDERS)
        for name in sorted(names):
            path = Path(folder) / name
            if path.is_file():
                yield TextFile(path, path.resolve().as_posix())
            else:
                yield Skipped(path, "broken link" if path.is_symlink() else "not a regular file")
        yield from problems
        problems.clear()
    yield from problems


def read_text(path: Path) -> str | Skipped:
    """Return the text of a UTF-8 (or marked UTF-16) file, or why it is none."""
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            return Skipped(path, f"larger than {MAX_BYTES // 1024**2} MiB")
        raw = path.read_bytes()
    except OSError as exc:
        return Skipped(path, exc.strerror or "cannot be read")
    encoding = next((name for mark, name in _MARKS if raw.startswith(mark)), "utf-8")
    if encoding != "utf-16" and b"\0" in raw[:8192]:
        return Skipped(path, "binary file")
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError:
        return Skipped(path, "not UTF-8 text")
    return text if text.strip() else Skipped(path, "empty")
