"""Puts a project on disk, whole or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path

from ctxkit.errors import ConfigError
from ctxkit.scaffold.project import Project


def write(project: Project, into: Path) -> Path:
    """Write the project to a new folder in `into`, which has to exist, and return that folder.

    Nothing is overwritten. The files are written to a hidden folder, which then gets its name in one step: a failure,
    or a kill, leaves no half of a project under that name. Raises ConfigError when the place is taken or not writable.
    """
    target = into / project.names.distribution
    draft = into / f".{project.names.distribution}.{secrets.token_hex(4)}"
    try:
        _check_place(into, target)
        draft.mkdir()
        try:
            _fill(draft, project)
            # Should somebody have made the target meanwhile, this fails for a file and for a folder that is not empty.
            draft.rename(target)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
    except OSError as error:
        raise ConfigError(
            f"{target} cannot be written: {error.strerror or error}.",
            fix="choose a folder that you can write to with --into.",
        ) from error
    return target


def _check_place(into: Path, target: Path) -> None:
    if into.is_file():
        raise ConfigError(f"{into} is a file, not a folder.", fix="name a folder with --into.")
    if not into.is_dir():
        raise ConfigError(f"there is no folder {into}.", fix="make it first, or name another one with --into.")
    if os.path.lexists(target):
        raise ConfigError(
            f"{target} exists already, and nothing is overwritten.",
            fix="choose another name, or another folder with --into, or move that one away.",
        )


def _fill(folder: Path, project: Project) -> None:
    for name, text in project.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
