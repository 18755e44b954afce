"""The raw libraries that are known: by the name of the store that is built on each."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ctxkit.errors import ConfigError
from ctxkit_conformance.bench.baseline import Baseline

_HOME: Final = "ctxkit_conformance.bench.baselines"
KNOWN: Final = {
    "exact": f"{_HOME}.brute:BruteBaseline",
    "faiss": f"{_HOME}.faiss_index:FaissBaseline",
    "hnswlib": f"{_HOME}.hnswlib_graph:HnswlibBaseline",
    "chroma": f"{_HOME}.chroma_client:ChromaBaseline",
}
UNKNOWN: Final = KNOWN["exact"]


def target_of(store: str, given: str) -> str:
    """Return `module:factory` of a store's baseline: the one that was given, the known one, or the exact scan."""
    return given or KNOWN.get(store.rpartition(":")[2], UNKNOWN)


def make(target: str, folder: Path, dimension: int, options: Mapping[str, Any]) -> Baseline:
    """Import and make a baseline; raises ConfigError where the name is none."""
    module, colon, name = target.partition(":")
    # What an author names usually lies beside them, and is not installed.
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        factory = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(
            f"the baseline {target!r} cannot be imported: {error}.", fix="give --baseline as module:factory."
        ) from error
    made = factory(folder, dimension, options)
    if not colon or not isinstance(made, Baseline):
        raise ConfigError(
            f"{target} makes a {type(made).__name__}, which is no Baseline.",
            fix="subclass ctxkit_conformance.bench.baseline.Baseline.",
        )
    return made
