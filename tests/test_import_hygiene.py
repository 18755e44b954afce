"""What the core imports, seen from a fresh interpreter."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = (
    "anthropic",
    "chromadb",
    "faiss",
    "hnswlib",
    "openai",
    "sentence_transformers",
    "tokenizers",
    "torch",
    "transformers",
)
ROOT = Path(__file__).parents[1]
# The last line of standard output, whatever the program printed before.
REPORT = "\nimport json, sys\nprint('\\n' + json.dumps(sorted(sys.modules)))"
DISCOVER = """
from ctxkit.plugins import get_registry
import ctxkit.defaults.hooks
registry = get_registry()
if not any(plugin.distribution == "ctxkit-core" for plugin in registry.plugins):
    registry.register(ctxkit.defaults.hooks, name="ctxkit-core")
listed = registry.as_dict()
assert {"exact", "estimate", "extractive"} <= {component["name"] for component in listed["components"]}, listed
for component in registry.components():
    registry.is_available(component.kind, component.qualified_name)
"""
COMMAND = """
import runpy, sys
sys.argv = ["ctxkit", "plugins", "list"]
try:
    runpy.run_module("ctxkit", run_name="__main__")
except SystemExit as exc:
    assert not exc.code, exc.code
"""
PROGRAMS = {"import ctxkit": "import ctxkit", "discovery": DISCOVER}
if importlib.util.find_spec("ctxkit.__main__"):
    PROGRAMS["ctxkit plugins list"] = COMMAND


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_nothing_heavy_is_imported(program: str) -> None:
    """Importing the core and listing every installed plugin loads no index, model or vendor library."""
    done = subprocess.run(
        [sys.executable, "-c", program + REPORT], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    modules = json.loads(done.stdout.splitlines()[-1])
    assert "ctxkit" in modules
    assert [name for name in HEAVY if name in modules] == []
