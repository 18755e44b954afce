"""Build every distribution, install the wheels in an empty environment and use them from there.

Nothing of the repository is on the path: what works here works for a stranger.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parent.parent
EXPECTED = {"faiss", "static"}
# What these depend on is large, and installed once already, beside this script.
LARGE = ("ctxkit_chroma-", "ctxkit_sentence_transformers-")
# A component of these needs an extra, which is installed there, too.
WITH_EXTRAS = ("ctxkit_static-", "ctxkit_tiktoken-")


def main() -> None:
    """Build, install the core alone and try it, then install the plugins and the suite and try them."""
    projects = [ROOT, ROOT / "conformance", *sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        wheels = folder / "wheels"
        for project in projects:
            build = ["wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(wheels), str(project)]
            subprocess.run([sys.executable, "-m", "pip", *build], check=True)
        venv.create(folder / "env", with_pip=True)
        python = folder / "env" / "bin" / "python"
        _install(python, *wheels.glob("ctxkit_core-*.whl"))
        _expect_components(python, folder, set())
        _demo(python, folder)
        large = [wheel for wheel in wheels.glob("*.whl") if wheel.name.startswith(LARGE)]
        _install(python, *set(wheels.glob("*.whl")).difference(large))
        _install(python, "--no-deps", *large)
        _expect_components(python, folder, EXPECTED)
        _demo(python, folder)
        _conformance(python, folder)
        for wheel in sorted(wheels.glob("*.whl")):
            beside = wheel.name.startswith((*LARGE, *WITH_EXTRAS))
            _check(Path(sys.executable) if beside else python, folder, wheel)
    print(f"{len(projects)} wheels build, install and work")


def _install(python: Path, *what: Path | str) -> None:
    options = ["-q", "--disable-pip-version-check", "--no-compile"]
    subprocess.run([python, "-m", "pip", "install", *options, *what], check=True)


def _expect_components(python: Path, folder: Path, expected: set[str]) -> None:
    done = subprocess.run(
        [python, "-m", "ctxkit", "plugins", "list", "--json"], check=True, capture_output=True, cwd=folder, text=True
    )
    listed = json.loads(done.stdout)
    names = {component["name"] for component in listed["components"]}
    broken = [plugin for plugin in listed["plugins"] if plugin["status"] != "loaded"]
    if broken or not names >= expected:
        sys.exit(f"expected {sorted(expected)}, found {sorted(names)}; not loaded: {broken}")


def _demo(python: Path, folder: Path) -> None:
    subprocess.run([python, "-m", "ctxkit", "demo", "--json"], check=True, stdout=subprocess.DEVNULL, cwd=folder)


def _check(python: Path, folder: Path, wheel: Path) -> None:
    done = subprocess.run([python, "-m", "ctxkit", "plugins", "check", wheel], check=False, cwd=folder)
    if done.returncode:
        sys.exit(f"{wheel.name} does not pass `ctxkit plugins check`")


def _conformance(python: Path, folder: Path) -> None:
    command = [str(python), "-m", "ctxkit", "conformance", "run", "vector_store:exact", "--tier", "T1", "--tier", "T2"]
    done = subprocess.run(command, check=False, cwd=folder)
    if done.returncode:
        sys.exit("the installed suite does not pass the installed exact store")


if __name__ == "__main__":
    main()
