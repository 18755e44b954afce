"""Finds the installed distributions that have entry points of a group, and imports what one names.

Importing importlib.metadata brings email, socket and zipfile, and costs more than all the rest of a listing. So what
lies in plain folders, as nearly everything does, is read here, and gives the same answers. Zip files, eggs and
whatever another finder knows are left to importlib.metadata.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial, reduce
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from importlib.metadata import Distribution

# Returns the text of one file of a distribution's metadata, None where it cannot be read.
Read: TypeAlias = "Callable[[str], str | None]"


class Installed(NamedTuple):
    """A distribution: name and version (None: its metadata does not say), and the text of its entry_points.txt."""

    name: str | None
    version: str | None
    text: str


def installed(group: str, path: Sequence[str] | None = None) -> Iterator[Installed]:
    """Yield the distributions on `path` (default: sys.path) whose entry_points.txt has a section of that name.

    They come in the order of the path, so of two with one name the first is the one that is imported.
    """
    places = [os.fsdecode(place) for place in (sys.path if path is None else path)]
    if any(hasattr(finder, "find_distributions") for finder in sys.meta_path if finder is not PathFinder):
        readers = _by_metadata(places)
    else:
        readers = (read for place in places for read in _on(place))
    for read in readers:
        # The text is searched before it is parsed: what strangers write in theirs must not matter.
        text = read("entry_points.txt") or ""
        if f"[{group}]" in text:
            metadata = read("METADATA") or read("PKG-INFO") or ""
            yield Installed(_header(metadata, "name"), _header(metadata, "version"), text)


def entry_points(text: str, group: str) -> list[tuple[str, str]]:
    """Return name and value of each entry point of the group; raises ValueError for a line that is none."""
    found, section = [], ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("[") and line.endswith("]"):
            section = line.strip("[]")
        elif section == group and line and not line.startswith("#"):
            name, equals, value = line.partition("=")
            if not equals:
                raise ValueError(f"{line!r} under [{group}] is not of the form name = value")
            found.append((name.strip(), value.strip()))
    return found


def root_of(value: str) -> str:
    """Return the top-level module that an entry point names."""
    return value.partition(":")[0].partition(".")[0].strip()


def modules_of(distribution: str) -> list[str]:
    """Return the top-level modules that an installed distribution brings, none where its files are not listed."""
    from importlib.metadata import PackageNotFoundError, files  # noqa: PLC0415 - see above

    try:
        paths = files(distribution) or ()
    except PackageNotFoundError:
        return []
    return top_level(path.parts for path in paths)


def top_level(paths: Iterable[tuple[str, ...]]) -> list[str]:
    """Return the modules among the files of a distribution, whose paths are given in parts.

    None where a .pth file is among them: the modules of an editable install are elsewhere.
    """
    files = list(paths)
    if any(parts[-1].endswith(".pth") for parts in files):
        return []
    names = {parts[0].partition(".")[0] for parts in files if parts[-1].endswith((".py", ".so", ".pyd"))}
    return sorted(name for name in names if name.isidentifier())


def load_entry_point(value: str) -> object:
    """Import what an entry point names: `package.module`, or `package.module:attribute.of.it`."""
    module, _, attributes = value.partition("[")[0].partition(":")
    module = module.strip()
    if not all(part.isidentifier() for part in module.split(".")):
        raise ValueError(f"the entry point's value {value!r} is not of the form package.module")
    return reduce(getattr, filter(None, attributes.strip().split(".")), importlib.import_module(module))


def _on(place: str) -> Iterator[Read]:
    """Yield, for each distribution in one place of the path, what reads its files."""
    if place.lower().endswith(".egg"):
        return _by_metadata([place])
    try:
        with os.scandir(place or ".") as children:
            infos = [child.path for child in children if child.name.lower().endswith((".dist-info", ".egg-info"))]
    except NotADirectoryError:
        return _by_metadata([place])
    except OSError:
        return iter(())  # a path may name folders that are not there
    return (partial(_read_in, info) for info in infos)


def _by_metadata(path: list[str]) -> Iterator[Read]:
    from importlib.metadata import distributions  # noqa: PLC0415 - see above

    return (partial(_read_of, distribution) for distribution in distributions(path=path))


def _read_in(folder: str, name: str) -> str | None:
    try:
        with open(f"{folder}{os.sep}{name}", encoding="utf-8") as file:  # noqa: PTH123 - a Path costs as much again
            return file.read()
    except (OSError, UnicodeError):
        return None


def _read_of(distribution: Distribution, name: str) -> str | None:
    try:
        return distribution.read_text(name)
    except (OSError, UnicodeError):
        return None


def _header(metadata: str, wanted: str) -> str | None:
    """Return the first header of that name; the headers end at a blank line, before the README."""
    for line in metadata.splitlines():
        name, colon, value = line.partition(":")
        if not line.strip():
            break
        if colon and name.lower() == wanted:
            return value.strip()
    return None
