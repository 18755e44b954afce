"""Print how long `ctxkit plugins list` takes beside `import ctxkit.cli.app`, with ten plugins installed.

Paired runs in turn, so that both meet the same load of the machine; what counts is the ratio of the medians. The
processor time of the processes is printed too: on a busy machine it is the steadier of the two. Bytecode is there, as
after any first run: it is cached in the temporary folder, wherever the measured ctxkit lies.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

PLUGINS = 10
RUNS = 30
BASE = ("-c", "import ctxkit.cli.app")
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
        commands = {"import ctxkit.cli.app": BASE, **LISTS}
        environ = {**os.environ, "PYTHONPATH": scratch, "PYTHONPYCACHEPREFIX": f"{scratch}/bytecode"}
        environ.pop("PYTHONDONTWRITEBYTECODE", None)
        for command in commands.values():
            _run(command, environ)
        runs = [{name: _run(command, environ) for name, command in commands.items()} for _ in range(RUNS)]
    wall, cpu = ({name: statistics.median(run[name][part] for run in runs) for name in commands} for part in (0, 1))
    for name in commands:
        ratios = (
            f"{wall[name] / wall['import ctxkit.cli.app']:.2f} x",
            f"{cpu[name] / cpu['import ctxkit.cli.app']:.2f} x",
        )
        print(f"{name:20} {wall[name]:6.1f} ms {ratios[0]:>8}   processor {cpu[name]:6.1f} ms {ratios[1]:>8}")


def _install(folder: Path, name: str) -> None:
    package, info = folder / name, folder / f"{name}-1.0.dist-info"
    package.mkdir()
    info.mkdir()
    (package / "__init__.py").write_text(SOURCE.format(name=name), encoding="utf-8")
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(f"[ctxkit]\n{name} = {name}\n", encoding="utf-8")


def _run(arguments: tuple[str, ...], environ: Mapping[str, str]) -> tuple[float, float]:
    """Run the interpreter once and return milliseconds: on the clock, and of the processor."""
    before, started = _processor_seconds(), time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL, env=environ)  # noqa: S603
    return (time.perf_counter() - started) * 1000, (_processor_seconds() - before) * 1000


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
