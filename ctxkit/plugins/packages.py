"""What `ctxkit plugins check` is pointed at: an installed distribution, a wheel, or the folder of a project."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from ctxkit.errors import PluginError, PluginNotFoundError

_PATIENCE = 600  # seconds that a build may take
_LINES = 3  # of pip's output that help


@dataclass(frozen=True)
class Package:
    """A distribution to look at: its metadata, and the folder to put on the path (None: it is installed)."""

    distribution: metadata.Distribution
    folder: Path | None

    @property
    def name(self) -> str:
        """The name that its metadata gives."""
        return str(self.distribution.metadata["Name"])


@contextmanager
def opened(target: str) -> Iterator[Package]:
    """Find the distribution, unpacking a wheel and building a project in a temporary folder.

    Raises PluginNotFoundError when there is no such thing, and PluginError when it cannot be built or read.
    """
    path = Path(target)
    if path.suffix != ".whl" and not (path.is_dir() and _is_project(path)):
        if len(path.parts) > 1 or path.is_dir():
            raise PluginNotFoundError(
                f"{target} is neither a wheel nor a project.", fix="give a .whl file or a folder with a pyproject.toml."
            )
        yield _installed(target)
        return
    with tempfile.TemporaryDirectory(prefix="ctxkit-check-") as scratch:
        wheel = path if path.suffix == ".whl" else _built(path, Path(scratch) / "wheel")
        yield _unpacked(wheel, Path(scratch) / "unpacked")


def _is_project(folder: Path) -> bool:
    return any((folder / name).is_file() for name in ("pyproject.toml", "setup.py"))


def _installed(name: str) -> Package:
    for candidate in (name, f"ctxkit-{name}"):
        found = next(iter(metadata.distributions(name=candidate)), None)
        if found is not None:
            return Package(found, None)
    raise PluginNotFoundError(
        f"no distribution {name!r} is installed.", fix="install it, or give a .whl file or the folder of its project."
    )


def _built(project: Path, folder: Path) -> Path:
    """Build the project's wheel, with the build backend that is installed if there is one."""
    options = ["--disable-pip-version-check", "-q", "--no-deps", "-w", str(folder)]
    output = ""
    for isolation in (["--no-build-isolation"], []):
        done = subprocess.run(  # noqa: S603 - the interpreter that runs, on a project that the user names
            [sys.executable, "-m", "pip", "wheel", *options, *isolation, str(project.resolve())],
            capture_output=True,
            text=True,
            check=False,
            timeout=_PATIENCE,
        )
        wheels = sorted(folder.glob("*.whl"))
        if done.returncode == 0 and wheels:
            return wheels[0]
        output = done.stderr or done.stdout
    told = " / ".join(line.strip() for line in output.strip().splitlines()[-_LINES:])
    raise PluginError(f"{project} cannot be built: {told or 'pip said nothing'}.", fix=f"pip wheel --no-deps {project}")


def _unpacked(wheel: Path, folder: Path) -> Package:
    try:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
    except (OSError, zipfile.BadZipFile) as exc:
        raise PluginError(f"{wheel} cannot be read as a wheel: {exc}.", fix="build it again.") from exc
    infos = sorted(folder.glob("*.dist-info/METADATA"))
    if len(infos) != 1:
        raise PluginError(
            f"{wheel} has {len(infos)} files *.dist-info/METADATA, not one.", fix="build it with a build backend."
        )
    return Package(metadata.PathDistribution(infos[0].parent), folder)
