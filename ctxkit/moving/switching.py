"""The end of a move beside writers: they are stopped, the rest is copied, and the configuration names the target."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from ctxkit.config.files import Key, read_file
from ctxkit.config.layers import STORE, Repair
from ctxkit.config.repairing import mend
from ctxkit.errors import ConfigError, StoreLockedError
from ctxkit.memory.lease import Lease
from ctxkit.memory.opening import COLLECTION
from ctxkit.memory.vault import LEASE_PATIENCE
from ctxkit.moving.places import HIDDEN, StorePlace


@contextmanager
def stopped(source: StorePlace, command: str | None) -> Iterator[None]:
    """Keep writers from a store while the block runs: by a command that stops them for good, then by memory's lease.

    The lease makes the turns of other processes wait, for ten seconds at most; who waits longer writes all the same,
    which the comparison at the end of a move then finds. Raises ConfigError when the command fails, and
    StoreLockedError where a writer holds the lease for longer than that: it hangs, or was suspended, amid a write.
    """
    if command is not None:
        _run(command)
    with ExitStack() as held:
        store = None
        if source.folder is None and (spec := source.described(COLLECTION)) is not None:
            store = held.enter_context(source.open(spec))  # a server's own lease
        lease = Lease("writing", source.folder, store)
        if not held.enter_context(lease.held(patience=LEASE_PATIENCE)):
            raise StoreLockedError(
                f"a process that writes to {source.title} did not let go of it for {LEASE_PATIENCE:g} seconds.",
                fix="end it, or let --stop COMMAND do so; nothing was switched, and the same command goes on.",
            )
        yield


def switched(file: Path, source: StorePlace, target: StorePlace) -> Path:
    """Have a configuration file name the target instead of the source, keeping the rest as it is; returns the file.

    The file is replaced in one step, and what it was is kept beside it. Secrets are not written: they come from the
    environment. Raises ConfigError for a file that is not there or cannot be read.
    """
    found = read_file(file)
    wanted: dict[Key, Any] = {("vector_store", name): value for name, value in _shown(target).items()}
    wanted[("vector_store", "provider")] = target.provider
    folder = wanted.pop(("vector_store", "path"), None)
    if folder is not None:
        wanted[(STORE,)] = folder
    section = found.values.get("vector_store", {})
    given: dict[Key, Any] = {("vector_store", name): value for name, value in section.items()}
    given |= {(name,): value for name, value in found.values.items() if name == STORE}
    old: set[Key] = {(STORE,), *(("vector_store", name) for name in type(source.config).model_fields)}
    outdated = given.keys() & (old - {("vector_store", "index_type")}) - wanted.keys()
    repairs = [Repair(key, "remove") for key in sorted(outdated)]
    repairs += [Repair(key, "set", value) for key, value in sorted(wanted.items()) if given.get(key) != value]
    if repairs:
        mend(found, repairs)
    return file


def _shown(place: StorePlace) -> dict[str, Any]:
    """Return the options that were given, without secrets."""
    given = place.config.model_dump(mode="json", exclude_unset=True)
    return {name: value for name, value in given.items() if value is not None and HIDDEN not in str(value)}


def _run(command: str) -> None:
    try:
        words = shlex.split(command)
        done = subprocess.run(words, check=False)  # noqa: S603 - it is what the user typed, and no shell reads it
    except (ValueError, OSError) as exc:
        raise ConfigError(
            f"the command {command!r} cannot be run: {exc}.", fix="correct it; nothing was switched."
        ) from exc
    if done.returncode:
        raise ConfigError(
            f"the command {command!r} failed with exit code {done.returncode}.",
            fix="stop the writers in another way; nothing was switched.",
        )
