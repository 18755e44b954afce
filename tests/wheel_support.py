"""Wheels made without a build backend, and an environment to install them into."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import site
import subprocess
import sys
import venv
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

REQUIRES = ("ctxkit-core>=0.1,<1",)


def make_wheel(
    folder: Path,
    name: str,
    files: Mapping[str, str],
    *,
    entry_points: Sequence[str] = (),
    requires: Sequence[str] = REQUIRES,
    requires_python: str | None = ">=3.10",
) -> Path:
    """Write the wheel of a pure Python distribution, version 1.0: path -> source, and lines of the group `ctxkit`."""
    stem = f"{name.replace('-', '_')}-1.0"
    headers = ["Metadata-Version: 2.1", f"Name: {name}", "Version: 1.0"]
    headers += [f"Requires-Dist: {each}" for each in requires]
    if requires_python is not None:
        headers.append(f"Requires-Python: {requires_python}")
    info = {
        "METADATA": "\n".join(headers) + "\n",
        "WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    if entry_points:
        info["entry_points.txt"] = "\n".join(["[ctxkit]", *entry_points]) + "\n"
    contents = {path: dedent(text) for path, text in files.items()}
    contents |= {f"{stem}.dist-info/{path}": text for path, text in info.items()}
    record = "".join(f"{path},{_digest(text)},{len(text.encode())}\n" for path, text in contents.items())
    contents[f"{stem}.dist-info/RECORD"] = f"{record}{stem}.dist-info/RECORD,,\n"
    wheel = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, text in contents.items():
            archive.writestr(path, text)
    return wheel


def _digest(text: str) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest())
    return f"sha256={digest.rstrip(b'=').decode()}"


@dataclass
class Ran:
    """What one process did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as JSON; nothing but one value may stand there."""
        return json.loads(self.out)

    @property
    def warnings(self) -> list[str]:
        """The warnings on standard error."""
        return [line for line in self.err.splitlines() if line.startswith("Warning: ")]


class Environment:
    """A virtual environment with what the tests run on, and whatever is installed into it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        venv.create(folder, with_pip=False, symlinks=os.name != "nt")
        self.python = folder / "bin" / "python"
        (packages,) = folder.glob("lib/python*/site-packages")
        # Read after what is installed here, and like a site directory: an editable install is a .pth file itself.
        lines = [f"import site; site.addsitedir({path!r})" for path in site.getsitepackages()]
        (packages / "outer.pth").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def install(self, *wanted: str | Path, index: bool = False) -> None:
        """Install wheels with pip, or with `index` whatever pip understands."""
        options = ["-q", "--disable-pip-version-check", "--no-deps", "--no-compile", *([] if index else ["--no-index"])]
        command = [sys.executable, "-m", "pip", "--python", self.python, "install", *options, *wanted]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def run(self, *arguments: str, **environ: str) -> Ran:
        """Run the interpreter of the environment, outside the repository."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("CTXKIT", "PYTHON"))}
        done = subprocess.run(
            [self.python, *arguments],
            cwd=self.folder,
            env={**inherited, **environ},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    def ctxkit(self, *arguments: str, **environ: str) -> Ran:
        """Run a command of ctxkit."""
        return self.run("-m", "ctxkit", *arguments, **environ)
