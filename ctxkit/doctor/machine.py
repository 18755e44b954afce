"""Whether there is room: memory for the store and the model, space on the disk, a folder that can be written."""

from __future__ import annotations

import errno
import os
import shlex
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ctxkit.doctor.results import Result
from ctxkit.doctor.subject import Subject
from ctxkit.errors import CtxkitError
from ctxkit.plugins.construction import load_models

_MIB: Final = 1 << 20
_BASE: Final = 150 * _MIB  # what a process with numpy, an index library and this package takes
_TRIED: Final = 256 * 1024  # bytes that are written to see whether there is room
_LITTLE: Final = 500 * _MIB
_GROUP: Final = Path("/sys/fs/cgroup")
_EFFECTIVE: Final = os.access in os.supports_effective_ids


def check(subject: Subject) -> Iterator[Result]:
    """Compare what there is with what the store and the configured model need."""
    folder = subject.folder
    stored = 0 if folder is None else _size(folder)
    needed, available = _BASE + stored + _model_size(subject), _available()
    told = f"about {_mib(needed)} needed"
    if available is None:
        yield Result("not checked", "memory", f"this system does not say how much is free; {told}")
    elif available < needed:
        yield Result(
            "warning",
            "memory",
            f"{_mib(available)} free, {told}: the machine may swap or end the process",
            "end other programs, or take a smaller model: --set embedder.provider=static",
        )
    else:
        yield Result("ok", "memory", f"{_mib(available)} free, {told}")
    if folder is None:
        yield Result("not checked", "disk", f"the store is {subject.place.title}, in no folder of this machine")
    else:
        yield _disk(folder, stored)


def _disk(store: Path, stored: int) -> Result:
    folder = next(each for each in (store, *store.parents) if each.exists())
    if not folder.is_dir():
        return Result(
            "problem",
            "disk",
            f"{folder} is a file, where the folder of the store belongs",
            "name a folder with --store.",
        )
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(_TRIED))
    except OSError as exc:
        return Result(
            "problem",
            "disk",
            f"{folder} cannot be written: {exc.strerror or type(exc).__name__}",
            f"{_remedy(folder, exc)}, or name another folder with --store.",
        )
    closed = next((path for path in _below(store) if not os.access(path, os.W_OK, effective_ids=_EFFECTIVE)), None)
    if closed is not None:
        return Result(
            "problem",
            "disk",
            f"this user may not write {closed}, which belongs to the store",
            f"{_right_to(store, closed)}, or name another folder with --store.",
        )
    free = shutil.disk_usage(folder).free
    if free < stored:
        return Result(
            "problem", "disk", f"{_mib(free)} free under {folder}, less than the store has", "free some space."
        )
    if free < _LITTLE:
        return Result("warning", "disk", f"only {_mib(free)} free under {folder}", "free some space.")
    return Result("ok", "disk", f"{_mib(free)} free under {folder}; the store has {_mib(stored)}")


def _remedy(folder: Path, error: OSError) -> str:
    """Return what gives back the room, or the right, to write a folder."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "free some space or raise the quota"
    if error.errno == errno.EROFS:
        return "mount its file system so that it can be written"
    return _right_to(folder, folder)


def _right_to(folder: Path, closed: Path) -> str:
    """Return what gives the right to write a folder with what is `closed` in it: its owner has a command for it."""
    owner = closed.stat().st_uid
    if owner == os.geteuid():
        return f"`chmod -R u+rwX {shlex.quote(str(folder))}`"
    return f"have the user {owner}, who owns it, or root give you the right to write {folder}"


def _size(folder: Path) -> int:
    """Return the bytes of all files below a folder, 0 where there is none."""
    return sum(path.lstat().st_size for path in _below(folder) if path.is_file())


def _below(folder: Path) -> Iterator[Path]:
    """Yield every file and folder below a folder, nothing where there is none."""
    for place, folders, names in os.walk(folder):
        # What another process removes meanwhile is not there.
        yield from (path for name in (*folders, *names) if (path := Path(place, name)).exists())


def _model_size(subject: Subject) -> int:
    """Return the bytes of the embedder's model, 0 where nobody says."""
    for component in subject.components():
        if component.kind == "embedder":
            try:
                config = subject.registry.make_config("embedder", component.qualified_name, subject.options("embedder"))
                listed = {each.name: each.size_mb for each in load_models(component)}
            except CtxkitError:
                return 0
            return int(listed.get(getattr(config, "model", ""), 0.0) * _MIB)
    return 0


def _available() -> int | None:
    """Return the bytes of memory that a new program can have, within the limits of a container (cgroup v2)."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        return None
    try:
        limit = int((_GROUP / "memory.max").read_text(encoding="ascii"))
        return min(free, limit - int((_GROUP / "memory.current").read_text(encoding="ascii")))
    except (OSError, ValueError):  # no container, or one without a limit
        return free


def _mib(count: int) -> str:
    return f"{count / _MIB:.0f} MiB" if count < 10 * 1024 * _MIB else f"{count / _MIB / 1024:.0f} GiB"
