"""Print how long `ctxkit plugins list` takes beside `import ctxkit.cli`, with ten plugins installed.

Paired runs in turn, so that both meet the same load of the machine; what counts is the ratio of the medians.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PLUGINS = 10
RUNS = 30
BASE = ("-c", "import ctxkit.cli")
LISTS = {"plugins list": ("-m", "ctxkit", "plugins", "list"), "--json": ("-m", "ctxkit", "plugins", "list", "--json")}
SOURCE = """
from ctxkit.hookspecs import hookimpl
from ctxkit.interfaces import BackendSpec, EmbedderCapabilities


@hookimpl
def ctxkit_embedders():
    return [BackendSpec(name="{name}", factory="{name}.embedder:Embedder", config="{name}.config:Config",
                        capabilities=EmbedderCapabilities(dimension=8), summary="measured only")]
"""


def main() -> None:
    """Install the plugins in a temporary folder, run everything in turn, print medians and ratios."""
    with tempfile.TemporaryDirectory() as scratch:
        for number in range(PLUGINS):
            _install(Path(scratch), f"measured{number}")
        times: dict[str, list[float]] = {name: [] for name in ("import ctxkit.cli", *LISTS)}
        for _ in range(RUNS):
            times["import ctxkit.cli"].append(_seconds(BASE, scratch))
            for name, command in LISTS.items():
                times[name].append(_seconds(command, scratch))
    base = statistics.median(times["import ctxkit.cli"])
    for name, values in times.items():
        median = statistics.median(values)
        print(f"{name:20} {median * 1000:6.1f} ms  {median / base:.2f} x")


def _install(folder: Path, name: str) -> None:
    package, info = folder / name, folder / f"{name}-1.0.dist-info"
    package.mkdir()
    info.mkdir()
    (package / "__init__.py").write_text(SOURCE.format(name=name), encoding="utf-8")
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(f"[ctxkit]\n{name} = {name}\n", encoding="utf-8")


def _seconds(arguments: tuple[str, ...], path: str) -> float:
    started = time.perf_counter()
    command = [sys.executable, *arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": path})  # noqa: S603
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
