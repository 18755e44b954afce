"""The plugin as ctxkit sees it: what the hook announces, what importing it costs, what the wheel holds."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import ctxkit_tiktoken
from ctxkit_tiktoken.harness import HuggingFaceHarness, TiktokenHarness

from ctxkit.interfaces import BackendConfig, Tokenizer
from ctxkit.plugins import get_registry

PLUGIN = Path(__file__).parents[1]


def _loaded(target: str) -> Any:
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)


def test_the_hook_announces_two_tokenizers_that_can_be_made() -> None:
    """All targets of the specifications exist, and what they make agrees with the announced capabilities."""
    specs = {spec.name: spec for spec in ctxkit_tiktoken.ctxkit_tokenizers()}
    assert list(specs) == ["tiktoken", "huggingface"]
    for spec, harness in zip(specs.values(), (TiktokenHarness, HuggingFaceHarness), strict=True):
        assert spec.harness is not None
        assert _loaded(spec.harness) is harness
        for options in harness.variants.values():
            config = _loaded(spec.config)(**options)
            assert isinstance(config, BackendConfig)
            assert config.capabilities() == spec.capabilities
            made = get_registry().create_tokenizer(spec.name, options)
            assert isinstance(made, Tokenizer)
            assert made.exact
            assert made.count("hello") >= 1


def test_importing_the_plugin_loads_nothing_heavy() -> None:
    """Listing plugins must not pay for tiktoken or tokenizers, nor finding a vocabulary for tiktoken."""
    code = (
        "import sys, ctxkit_tiktoken; ctxkit_tiktoken.ctxkit_tokenizers();"
        "print([name for name in sys.modules if name.startswith(('tiktoken', 'tokenizers', 'ctxkit_tiktoken.'))]);"
        "from ctxkit_tiktoken.config import TiktokenConfig; TiktokenConfig(model='gpt-4o').capabilities();"
        "print([name for name in sys.modules if name.startswith(('tiktoken', 'tokenizers', 'llama_index'))])"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    found = subprocess.check_output([sys.executable, "-c", code], env=environment, text=True)
    assert found.splitlines() == ["[]", "[]"]


def test_the_wheel_is_complete(tmp_path: Path) -> None:
    """The built wheel carries the example, the type marker, the licence and the entry point, and no vocabulary."""
    code = "import sys; from hatchling.build import build_wheel; build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=PLUGIN, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.stat().st_size < 100_000
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (entry_points,) = (archive.read(name).decode() for name in names if name.endswith("entry_points.txt"))
    assert {"ctxkit_tiktoken/example.json", "ctxkit_tiktoken/py.typed"} <= set(names)
    assert any(name.endswith("/licenses/LICENSE") for name in names)
    assert "[ctxkit]\ntiktoken = ctxkit_tiktoken" in entry_points
