"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from ctxkit.errors import ConfigError


def write_whole(path: Path, text: str) -> None:
    """Write a text file, making its folder; a reader sees the old file or the new one, never a part.

    Raises ConfigError when the place cannot be written.
    """
    temporary = path.with_name(f".{path.name[:100]}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as exc:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise ConfigError(f"{path} cannot be written: {exc.strerror or exc}.", fix="name another place.") from exc
