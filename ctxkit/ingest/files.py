"""Finding text files and reading them, naming what cannot be read and stopping for nothing."""

from __future__ import annotations

import codecs
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from ctxkit.errors import IngestError

MAX_BYTES = 64 * 1024 * 1024
_SKIPPED_FOLDERS = frozenset({"__pycache__", "node_modules", "venv"})
_COLLECTION = frozenset({"store.db", "manifest.json"})  # of the engine: it is memory already
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True, slots=True)
class TextFile:
    """A file to ingest: where it is, and the name that its memories carry as `source_id`.

    The name is the absolute path; where that is not text, its `file:` address, in which every byte has a spelling.
    """

    path: Path
    source_id: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that was left out, and why."""

    path: Path
    reason: str


def find_files(root: Path) -> Iterator[TextFile | Skipped]:
    """Yield the files below a folder (or the file itself) in sorted order, and what is left out.

    Hidden files and folders below `root`, caches, linked folders and collections of the engine are passed over without
    a word; broken links, special files and what may not be read are yielded as Skipped. Raises IngestError when `root`
    itself is not there or may not be read.
    """
    root = Path(root)
    if _is_file(root):
        yield TextFile(root, _source_id(root))
        return
    problems: list[Skipped] = []

    def note(error: OSError) -> None:
        problems.append(Skipped(Path(error.filename), _reason(error)))

    for folder, folders, names in os.walk(root, onerror=note):
        if _COLLECTION.issubset(names):
            folders.clear()
            continue
        folders[:] = sorted(f for f in folders if not f.startswith(".") and f not in _SKIPPED_FOLDERS)
        for name in sorted(names):
            # Files such as .env hold secrets more often than anything worth remembering.
            if not name.startswith("."):
                yield _look_at(Path(folder) / name)
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
        return Skipped(path, _reason(exc))
    encoding = next((name for mark, name in _MARKS if raw.startswith(mark)), "utf-8")
    if encoding != "utf-16" and b"\0" in raw[:8192]:
        return Skipped(path, "binary file")
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError:
        return Skipped(path, "not UTF-8 text")
    return text if text.strip() else Skipped(path, "empty")


def _is_file(root: Path) -> bool:
    """Say whether `root` is a file or a folder; raise IngestError when it is neither, or may not be read."""
    fix = "give the path of a text file or a folder."
    try:
        mode = root.stat().st_mode
        if stat.S_ISDIR(mode):
            with os.scandir(root):
                # Beyond the list of names, this needs the right to enter the folder.
                os.stat(os.path.join(root, os.curdir))  # noqa: PTH116, PTH118 - a Path drops the dot
            return False
    except (FileNotFoundError, NotADirectoryError, ValueError):
        what = "is a broken link" if os.path.islink(root) else "does not exist"  # noqa: PTH114 - Path's own may raise
        raise IngestError(f"{root} {what}.", fix=fix) from None
    except OSError as exc:
        raise IngestError(f"{root} cannot be read: {_reason(exc)}.", fix=fix) from exc
    if not stat.S_ISREG(mode):
        raise IngestError(f"{root} is not a regular file.", fix=fix)
    return True


def _look_at(path: Path) -> TextFile | Skipped:
    try:
        if stat.S_ISREG(path.stat().st_mode):
            return TextFile(path, _source_id(path))
    except (FileNotFoundError, NotADirectoryError) as exc:
        return Skipped(path, "broken link" if os.path.islink(path) else _reason(exc))  # noqa: PTH114 - as above
    except OSError as exc:
        return Skipped(path, _reason(exc))
    return Skipped(path, "not a regular file")


def _source_id(path: Path) -> str:
    name = path.resolve().as_posix()
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return f"file://{quote(os.fsencode(name))}"
    return name


def _reason(error: OSError) -> str:
    return error.strerror or "cannot be read"
