"""Mending a configuration file: what is right in it, comments included, stays as it was written."""

from __future__ import annotations

import os
import re
import stat
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from ctxkit.config.files import ConfigFile
from ctxkit.config.layers import Repair
from ctxkit.errors import ConfigError

_BACKUP = ".bak"
_OWNER_ONLY = 0o600
_EVERYBODY = 0o644


def mend(file: ConfigFile, repairs: Iterable[Repair]) -> Path:
    """Write a file anew with the repairs made, in one step; return the copy of what it was, readable by its owner only.

    Raises ConfigError when the file has changed since it was read, or cannot be written; it then is as it was.
    """
    text = mended(file, repairs)
    try:
        if file.path.read_text(encoding="utf-8") != file.text:
            raise ConfigError(f"{file.title} has changed meanwhile; nothing was written.", fix="run the command again.")
        backup = _free_name(file.path)
        write(backup, file.text, mode=_OWNER_ONLY)
        write(file.path, text)
    except OSError as exc:
        raise unwritable(file.path, exc) from None
    return backup


def mended(file: ConfigFile, repairs: Iterable[Repair]) -> str:
    """Return a file's text with the repairs made."""
    lines: list[str | None] = [*file.text.split("\n")]
    others = []
    for repair in repairs:
        spans = file.spans(repair.key)
        if repair.how == "set" or not spans:
            others.append(repair)
            continue
        for begin, end in spans:
            lines[begin:end] = [_mended(line, repair, file) for line in lines[begin:end] if line is not None]
    return _set("\n".join(line for line in lines if line is not None), file, others)


def write(path: Path, text: str, *, mode: int = _EVERYBODY) -> None:
    """Write a file so that a reader finds the old text or the new one, whole; a link stays one.

    `mode` is that of a file that was not there; one that was keeps its own.
    """
    target = path.resolve()
    if target.exists():
        mode = stat.S_IMODE(target.stat().st_mode)
    descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(mode)
        Path(temporary).replace(target)
    except BaseException:
        with suppress(OSError):
            Path(temporary).unlink()
        raise


def unwritable(path: Path, error: OSError) -> ConfigError:
    """Return the error for a file that cannot be written."""
    return ConfigError(
        f"{path} cannot be written: {error.strerror or type(error).__name__}.",
        fix="make the file and its folder writable, or name another file.",
    )


def _mended(line: str, repair: Repair, file: ConfigFile) -> str | None:
    """Return one of an option's lines as it should be, None where it goes."""
    if repair.how == "remove":
        return None
    if repair.how == "disable" or file.spans((*repair.key[:-1], repair.value)):
        return f"# {line}"
    as_name = rf"(?<![\w-]){re.escape(repair.key[-1])}(?=[\"']?\s*[=.\]])"
    return re.sub(as_name, repair.value, line, count=1)


def _set(text: str, file: ConfigFile, repairs: Iterable[Repair]) -> str:
    """Set values, and take out what is not alone on its lines."""
    import tomlkit  # noqa: PLC0415 - most processes read no file

    document = tomlkit.parse(text)
    for repair in repairs:
        place: Any = document
        *tables, name = (*file.table, *repair.key)
        for table in tables:
            place = place.setdefault(table, tomlkit.table())
        if repair.how == "set":
            place[name] = list(repair.value) if isinstance(repair.value, tuple) else repair.value
        else:
            value = place.pop(name)
            if repair.how == "rename":
                place.setdefault(repair.value, value)
    return tomlkit.dumps(document)


def _free_name(path: Path) -> Path:
    names = (path.with_name(f"{path.name}{_BACKUP}{number or ''}") for number in range(1000))
    return next(name for name in names if not name.exists())
