"""Configuration files: where one is looked for, how it is read, and on which line an option stands."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, TypeAlias

from ctxkit.errors import ConfigError

Key: TypeAlias = tuple[str, ...]

FILE: Final = "ctxkit.toml"
PROJECT: Final = "pyproject.toml"
TABLE: Final = ("tool", "ctxkit")
_QUOTED: Final = 'texts stand in quotation marks, as in name = "value"; correct that line.'
_OUR_TABLE: Final = re.compile(r"^[ \t]*\[[ \t]*tool[ \t]*\.[ \t]*ctxkit[ \t]*[].]", re.MULTILINE)
_END_OF_SEARCH: Final = (".git", ".hg")  # what is above a project is another's


@dataclass(frozen=True)
class ConfigFile:
    """A file that was read: its path, the table that is ours in it, its text, and what the table holds."""

    path: Path
    table: Key
    text: str
    values: Mapping[str, Any]

    @property
    def title(self) -> str:
        """The path as people write it: relative where it lies below the working directory."""
        here = Path.cwd()
        return str(self.path.relative_to(here) if self.path.is_relative_to(here) else self.path)

    def line(self, key: Key) -> int | None:
        """Return the line, counted from 1, of an option or of the table that it is in."""
        for length in range(len(key), 0, -1):
            spans = self.spans(key[:length])
            if spans:
                return spans[0][0] + 1
        return None

    def spans(self, key: Key) -> list[tuple[int, int]]:
        """Return the first line, counted from 0, and the one after the last of all that an option or table has."""
        return [span for each, span in self._statements if each[: len(key)] == key]

    @cached_property
    def _statements(self) -> list[tuple[Key, tuple[int, int]]]:
        depth = len(self.table)
        return [(key[depth:], span) for key, span in _statements(self.text) if key[:depth] == self.table]


def find_file(start: Path) -> Path | None:
    """Return the configuration file of a folder, or of the nearest one above it that has one.

    The search ends with the home directory, the root of a repository, and the root of the file system. Raises
    ConfigError for a file of another user, who could have put it into a folder that everybody writes to.
    """
    start, home = start.absolute(), None
    with suppress(RuntimeError):  # a user without an entry and without HOME has none, as in many containers
        home = Path.home()
    for folder in (start, *start.parents):
        found = next((path for path in (folder / FILE, folder / PROJECT) if _is_ours(path)), None)
        if found is not None:
            _check_owner(found, start)
            return found
        if folder == home or any((folder / name).exists() for name in _END_OF_SEARCH):
            return None
    return None


def read_file(path: Path) -> ConfigFile:
    """Read a file; of a `pyproject.toml` the table [tool.ctxkit]. Raises ConfigError that says why it cannot be."""
    path = path.expanduser().absolute()
    text = _text(path)
    table = TABLE if path.name == PROJECT else ()
    file = ConfigFile(path, table, text, {})
    values: Any = _parsed(text, file)
    for name in table:
        values = values.get(name, {}) if isinstance(values, dict) else {}
    if not isinstance(values, dict):
        raise ConfigError(f"{file.title}: tool.ctxkit must be a table.", fix="write it as [tool.ctxkit].")
    return ConfigFile(path, table, text, values)


def _is_ours(path: Path) -> bool:
    if path.name == FILE:
        return path.is_file()
    try:
        return bool(_OUR_TABLE.search(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError):
        return False


def _check_owner(path: Path, start: Path) -> None:
    if _owner(path) not in (0, os.geteuid(), _owner(start)):
        raise ConfigError(
            f"{path} belongs to another user, who could steer what you run here.",
            fix=f"if you trust it, name it: --config {path}; else work in a folder of your own.",
        )


def _owner(path: Path) -> int:
    return path.stat().st_uid


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8 text.", fix="save it as UTF-8.") from None
    except OSError as exc:
        problem = exc.strerror or type(exc).__name__
        raise ConfigError(
            f"the configuration file {path} cannot be read: {problem}.",
            fix="name a file that is there, or write one with `ctxkit config init`.",
        ) from None


def _parsed(text: str, file: ConfigFile) -> dict[str, Any]:
    import tomlkit  # noqa: PLC0415 - most processes read no file
    from tomlkit.exceptions import ParseError, TOMLKitError  # noqa: PLC0415

    try:
        return tomlkit.parse(text).unwrap()
    except ParseError as exc:
        problem = str(exc).partition(" at line ")[0].rstrip(".")
        raise ConfigError(f"{file.title}, line {exc.line}: {problem}.", fix=_QUOTED) from None
    except TOMLKitError as exc:
        raise ConfigError(f"{file.title}: {str(exc).rstrip('.')}.", fix=_QUOTED) from None


def _statements(text: str) -> Iterator[tuple[Key, tuple[int, int]]]:
    """Yield each table and option of a file that can be read with its first line and the one after its last.

    A statement is the fewest lines that are TOML by themselves, so strings and lists over several lines are whole.
    """
    import tomlkit  # noqa: PLC0415
    from tomlkit.exceptions import TOMLKitError  # noqa: PLC0415

    table: Key = ()
    begin, waiting = 0, ""
    for number, line in enumerate(text.split("\n")):
        begin, waiting = (begin, f"{waiting}\n{line}") if waiting else (number, line)
        try:
            statement = tomlkit.parse(waiting).unwrap()
        except TOMLKitError:
            continue
        key = _path(statement)
        is_table = waiting.lstrip().startswith("[")
        waiting = ""
        if is_table:
            table = key
            yield key, (begin, number + 1)
        elif key:
            yield (*table, *key), (begin, number + 1)


def _path(statement: Any) -> Key:
    path: list[str] = []
    while isinstance(statement, dict) and len(statement) == 1:
        ((name, statement),) = statement.items()
        path.append(name)
    return tuple(path)
