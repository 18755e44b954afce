"""Write a plugin of each kind, build it, and use it in an empty environment beside ctxkit-core alone.

Only wheels are installed, and nothing of the repository is on the path: what works here works for a stranger. A folder
with a wheel of ctxkit-core may be given; otherwise one is built.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parent.parent
NAME = "quagga"
KINDS = {"vector-store": "vector_store", "embedder": "embedder", "tokenizer": "tokenizer", "llm": "llm"}
# For each kind a program that configures the component and uses it by its name.
USES = {
    "vector-store": """
from ctxkit import Config, ContextManager, Record, VectorStoreConfig, get_registry
from ctxkit.interfaces import CollectionSpec

with get_registry().open_store(NAME, CollectionSpec(dimension=2), {"max_batch": 2}) as store:
    store.upsert([Record("a", "north", [0, 1]), Record("b", "east", [1, 0])])
    assert store.query([0.1, 1], 1)[0].ids == ["a"]
with ContextManager(Config(vector_store=VectorStoreConfig(provider=NAME, max_batch=500))) as memory:
    memory.observe("The boat is moored at berth 14.", "Noted.")
    assert "berth 14" in memory.build_context("Where is the boat?")
""",
    "embedder": """
from ctxkit import Config, ContextManager, EmbedderConfig

with ContextManager(Config(embedder=EmbedderConfig(provider=NAME, dimension=64))) as memory:
    memory.observe("The boat is moored at berth 14.", "Noted.")
    assert memory.query_memory("Where is the boat?", k=1)
    assert memory.get_stats()["pending_embeddings"] == 0
""",
    "tokenizer": """
from ctxkit import Config, ContextManager, TokenizerConfig

with ContextManager(Config(tokenizer=TokenizerConfig(provider=NAME, first_id=10))) as memory:
    memory.observe("The boat is moored at berth 14.", "Noted.")
    assert "berth 14" in memory.build_context("Where is the boat?")
""",
    "llm": """
from ctxkit import get_registry

assert get_registry().create_llm(NAME, {"answers": ["At berth 14."]}).generate_sync("Where?") == "At berth 14."
""",
}


def main(wheels: Path | None = None) -> None:
    """Check every kind, each in an environment of its own."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        core = _core(wheels or folder / "core")
        for kind in KINDS:
            place = folder / kind
            place.mkdir()
            _check(kind, place, core)
    print(f"{len(KINDS)} plugins from the scaffold build, install and work beside ctxkit-core alone")


def _core(wheels: Path) -> Path:
    found = sorted(wheels.glob("ctxkit_core-*.whl"))
    if found:
        return found[-1]
    _pip(sys.executable, "wheel", "--no-deps", "-w", str(wheels), str(ROOT))
    return next(wheels.glob("ctxkit_core-*.whl"))


def _check(kind: str, folder: Path, core: Path) -> None:
    venv.create(folder / "env", with_pip=True)
    python = str(folder / "env" / "bin" / "python")
    _pip(python, "install", str(core))
    # The installed command writes the project, so that its templates have to be in the wheel.
    _run(python, "-m", "ctxkit", "plugins", "new", NAME, "--kind", kind, cwd=folder)
    _pip(python, "wheel", "--no-deps", "-w", str(folder), str(folder / f"ctxkit-{NAME}"))
    wheel = next(folder.glob("*.whl"))
    _pip(python, "install", "--no-deps", str(wheel))
    listed = json.loads(_run(python, "-m", "ctxkit", "plugins", "list", "--json", cwd=folder))
    plugins = {plugin["distribution"]: plugin["status"] for plugin in listed["plugins"]}
    if plugins != {"ctxkit-core": "loaded", f"ctxkit-{NAME}": "loaded"}:
        sys.exit(f"{kind}: expected the core and ctxkit-{NAME}, loaded; found {plugins}")
    (component,) = [each for each in listed["components"] if each["name"] == NAME]
    if (component["kind"], component["missing"]) != (KINDS[kind], []):
        sys.exit(f"{kind}: listed as {component}")
    _run(python, "-W", "error", "-c", f"NAME = {NAME!r}\n{USES[kind]}", cwd=folder)
    strays = _run(python, "-c", f"import ctxkit, ctxkit_{NAME}, sys; print(*sys.path, *ctxkit.__path__)", cwd=folder)
    if str(ROOT) in strays:
        sys.exit(f"{kind}: the repository is on the path: {strays}")


def _pip(python: str, *arguments: str) -> None:
    subprocess.run([python, "-m", "pip", "--disable-pip-version-check", "-q", *arguments], check=True)


def _run(python: str, *arguments: str, cwd: Path) -> str:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("CTXKIT_", "PYTHON"))}
    done = subprocess.run([python, *arguments], cwd=cwd, env=inherited, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(arguments[:5])} failed with {done.returncode}\n{done.stdout}")
    return done.stdout


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
