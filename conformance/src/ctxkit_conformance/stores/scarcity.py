"""How a process of its own runs out of disk: a small file system where it may mount one, a limit on files elsewhere.

Imported by those processes, so it needs nothing of pytest. Each function takes the store's handle first, unused, as
`Remote.call` gives it.
"""

from __future__ import annotations

import ctypes
import errno
import importlib.util
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

# From <linux/sched.h> and <linux/mount.h>.
_NEW_MOUNTS: Final = 0x0002_0000
_NEW_USERS: Final = 0x1000_0000
_BALLAST: Final = "ballast"
_CHUNK: Final = 64 * 1024


def mount_small(_handle: object, folder: Path, size: int) -> str:
    """Mount an empty file system of `size` bytes on a folder, for this process alone; return what stands against it.

    In a user namespace of its own, because there it needs no rights: see user_namespaces(7).
    """
    if not sys.platform.startswith("linux"):
        return f"{sys.platform} offers no mount for one process"
    user, group = os.getuid(), os.getgid()
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        _succeed(libc.unshare(_NEW_MOUNTS | _NEW_USERS))
        with suppress(FileNotFoundError):
            Path("/proc/self/setgroups").write_text("deny", "ascii")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1", "ascii")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1", "ascii")
        _succeed(libc.mount(b"ctxkit", os.fsencode(folder), b"tmpfs", 0, f"size={size}".encode()))
    except OSError as error:
        return f"mounting a small file system is not permitted: {error}"
    return ""


def use_up(_handle: object, folder: Path, room: int) -> None:
    """Leave `room` bytes of the folder's file system."""
    with (folder / _BALLAST).open("wb", buffering=0) as file:
        written = 0
        try:
            while True:
                written += file.write(bytes(_CHUNK))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
        file.truncate(max(0, written - room))


def free(_handle: object, folder: Path) -> None:
    """Give back what was used up."""
    (folder / _BALLAST).unlink()


def limit_files(_handle: object, folder: Path, room: int) -> str:
    """Let no file of this process grow beyond the largest of the folder and `room`; return what stands against it."""
    if importlib.util.find_spec("resource") is None:
        return f"{sys.platform} has no limit on the size of files"
    largest = max((path.stat().st_size for path in folder.rglob("*") if path.is_file()), default=0)
    _set_limit(largest + room)
    return ""


def lift_limit(_handle: object, _folder: Path) -> None:
    """Let files grow again."""
    _set_limit(None)


def size_of(_handle: object, folder: Path) -> int:
    """Return how many bytes the files below a folder have."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _set_limit(size: int | None) -> None:
    import resource  # noqa: PLC0415 - not every platform has it

    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard if size is None else size, hard))


def _succeed(status: int) -> None:
    if status:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
