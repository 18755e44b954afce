"""What `ctxkit plugins check` is pointed at: an installed distribution, a wheel, or the folder of a project."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from ctxkit.errors import PluginError, PluginNotFoundError

_PATIENCE = 600  # seconds that a build may take
_LINES = 2  # of pip's output that help


@dataclass(frozen=True)
class Package:
    """A distribution to look at: its metadata, and the folder to put on the path (None: it is installed).

    `name` and `version` are those of the metadata.
    """

    distribution: metadata.Distribution
    folder: Path | None

    name: str
    version: str


@contextmanager
def opened(target: str) -> Iterator[Package]:
    """Find the distribution, unpacking a wheel and building a project in a temporary folder.

    Raises PluginNotFoundError when there is no such thing, and PluginError when it cannot be built or read.
    """
    path = Path(target)
    if path.suffix != ".whl" and not _is_project(path):
        if len(path.parts) > 1 or _is_there(path):
            fix = "give a .whl file or a folder with a pyproject.toml."
            if path.suffix == ".py":
                fix = f"examine what a single file offers with `ctxkit -p {target} conformance run KIND:NAME`."
            raise PluginNotFoundError(f"{path} is neither a wheel nor a project.", fix=fix)
        yield _installed(target)
        return
    if not _is_there(path):
        raise PluginNotFoundError(f"there is no file {path}.", fix="build it with `pip wheel --no-deps FOLDER`.")
    with tempfile.TemporaryDirectory(prefix="ctxkit-check-") as scratch:
        wheel = path if path.suffix == ".whl" else _built(path, Path(scratch) / "wheel")
        yield _unpacked(wheel, Path(scratch) / "unpacked")


def _is_project(folder: Path) -> bool:
    return any(_is_there(folder / name) for name in ("pyproject.toml", "setup.py"))


def _is_there(path: Path) -> bool:
    """Whether there is something at that path that can be read; a path that can be none is no error."""
    return os.access(path, os.R_OK)


def _installed(name: str) -> Package:
    for candidate in (name, f"ctxkit-{name}"):
        found = next(iter(metadata.distributions(name=candidate)), None)
        if found is not None:
            return _package(found, None, f"the distribution {name}")
    raise PluginNotFoundError(
        f"no distribution {name!r} is installed.", fix="install it, or give a .whl file or the folder of its project."
    )


def _built(project: Path, folder: Path) -> Path:
    """Build the project's wheel, with the build backend that is installed if there is one."""
    options = ["--disable-pip-version-check", "-q", "--no-deps", "-w", str(folder)]
    output = ""
    for isolation in (["--no-build-isolation"], []):
        try:
            done = subprocess.run(  # noqa: S603 - the interpreter that runs, on a project that the user names
                [sys.executable, "-m", "pip", "wheel", *options, *isolation, str(project.resolve())],
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
                timeout=_PATIENCE,
            )
        except subprocess.TimeoutExpired:
            output = f"pip did not finish within {_PATIENCE} s"
            break
        wheels = sorted(folder.glob("*.whl"))
        if done.returncode == 0 and wheels:
            return wheels[0]
        output = done.stderr or done.stdout
    # What the build backend said comes first; after it pip only says that it was not pip's fault.
    lines = output.partition("[end of output]")[0].strip().splitlines()
    told = " / ".join(line.strip() for line in lines[-_LINES:])
    raise PluginError(
        f"{project} cannot be built: {told or 'pip said nothing'}.",
        fix=f"correct its pyproject.toml; `pip wheel --no-deps {project}` says more.",
    )


def _unpacked(wheel: Path, folder: Path) -> Package:
    try:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
    except (OSError, EOFError, RuntimeError, ValueError, zipfile.BadZipFile, zlib.error) as exc:
        raise PluginError(f"{wheel} cannot be read as a wheel: {exc}.", fix="build it again.") from exc
    infos = sorted(folder.glob("*.dist-info/METADATA"))
    if len(infos) != 1:
        raise PluginError(
            f"{wheel} has {len(infos)} files *.dist-info/METADATA, not one.", fix="build it with a build backend."
        )
    return _package(metadata.PathDistribution(infos[0].parent), folder, str(wheel))


def _package(distribution: metadata.Distribution, folder: Path | None, where: str) -> Package:
    try:
        name, version = (distribution.metadata.get_all(key) for key in ("Name", "Version"))
    except UnicodeError:
        name, version = None, None
    if not name or not version:
        raise PluginError(f"METADATA of {where} says no name or no version.", fix="build it with a build backend.")
    return Package(distribution, folder, name[0], version[0])
