"""The plugin as ctxkit sees it: what the hook announces, and what importing it costs."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from typing import Any

import ctxkit_static

from ctxkit.interfaces import BackendConfig, Embedder


def test_the_hook_announces_what_can_be_made() -> None:
    """The targets of the specifications exist, and what they make agrees with the announced capabilities."""
    spec, other = ctxkit_static.ctxkit_embedders()
    assert (spec.name, other.name) == ("static", "model2vec")
    assert _loaded(other.config)(offline=True).capabilities().normalized == _loaded(other.factory)().normalized
    config = _loaded(spec.config)()
    assert isinstance(config, BackendConfig)
    assert config.capabilities() == spec.capabilities
    with _loaded(spec.factory)(config) as embedder:
        assert isinstance(embedder, Embedder)
        assert embedder.dimension == config.capabilities().dimension
        assert embedder.embed_query("hello").shape == (embedder.dimension,)


def test_importing_the_plugin_loads_nothing_heavy() -> None:
    """Listing plugins must not pay for the tokenizer or the model."""
    code = (
        "import sys, ctxkit_static; ctxkit_static.ctxkit_embedders();"
        "print([name for name in sys.modules if name.startswith(('tokenizers', 'torch', 'ctxkit_static.'))])"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.check_output([sys.executable, "-c", code], env=environment, text=True).strip() == "[]"


def _loaded(target: str) -> Any:
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)
