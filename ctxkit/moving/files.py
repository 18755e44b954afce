"""Small files that are there whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from ctxkit.errors import StoreFullError, StoreUnavailableError
from ctxkit.local import layout

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
HALF: Final = f".*.{'[0-9a-f]' * 32}.tmp"  # what a killed write leaves


@contextmanager
def writable(place: Path) -> Iterator[None]:
    """Turn what the file system refuses into StoreFullError or StoreUnavailableError."""
    try:
        yield
    except OSError as exc:
        if exc.errno in _FULL:
            raise StoreFullError(
                f"there is no room left at {place}.", fix="free some space; the same command goes on."
            ) from exc
        raise StoreUnavailableError(
            f"{place} cannot be used: {exc.strerror}.", fix="make it a place that this user may read and write."
        ) from exc


def write_whole(file: Path, data: bytes) -> None:
    """Write a file so that it is the old one or the new one, whole, even after a power cut; makes its folder."""
    temporary = file.with_name(f".{file.name}.{uuid.uuid4().hex}.tmp")
    with writable(file):
        layout.make(file.absolute().parent)
        try:
            with temporary.open("wb") as out:
                out.write(data)
                out.flush()
                os.fsync(out.fileno())
            temporary.replace(file)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        layout.sync(file.absolute().parent)


def write_json(file: Path, content: object) -> None:
    """Write JSON as `write_whole` does."""
    write_whole(file, f"{json.dumps(content, indent=2)}\n".encode())


def read_json(file: Path) -> Any:
    """Return the JSON of a file, None where there is no file; raises ValueError for what is no JSON."""
    with writable(file):
        try:
            data = file.read_bytes()
        except FileNotFoundError:
            return None
    try:
        return json.loads(data)
    except RecursionError as exc:
        raise ValueError(str(exc)) from exc
