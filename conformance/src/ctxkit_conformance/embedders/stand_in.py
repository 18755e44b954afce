"""The provider behind an embedder that asks one: the suite's own server, with vectors of an embedder that is here.

What is examined is the way there and back. That the vectors mean something is borrowed: from any installed embedder
that needs no network and knows meaning.
"""

from __future__ import annotations

import atexit
import functools
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from ctxkit.errors import CtxkitError
from ctxkit.interfaces import Embedder, EmbedderCapabilities
from ctxkit.plugins import PluginRegistry
from ctxkit_conformance.faults import FaultServer, WireFormat
from ctxkit_conformance.subject import Subject

KEY: Final = "sk-conformance-embedder"


def wire_format(subject: Subject | None) -> WireFormat | None:
    """Return the format that the harness of an embedder names; None for one that asks no provider."""
    harness = None if subject is None else subject.harness_class()
    return getattr(harness, "wire_format", None)


def options_for(wire: WireFormat) -> dict[str, Any]:
    """Return the options that point an embedder at the server."""
    return {"base_url": _server().default.url(wire), "api_key": KEY}


def has_meaning() -> bool:
    """Whether the vectors of the server mean something."""
    return _borrowed() is not None


@functools.cache
def _server() -> FaultServer:
    made = FaultServer(vectors=_vectors) if has_meaning() else FaultServer()
    atexit.register(made.close)
    return made


@functools.cache
def _borrowed() -> Embedder | None:
    """Return an installed embedder that is offline and knows meaning, None where there is none."""
    registry = PluginRegistry.discover()
    for component in registry.components("embedder"):
        declared = component.spec.capabilities
        if not isinstance(declared, EmbedderCapabilities) or declared.costs:
            continue
        fits = declared.offline and declared.semantic
        if fits and registry.is_available("embedder", component.qualified_name):
            try:
                made = registry.create_embedder(component.qualified_name)
                made.embed_query("a boat")
            except CtxkitError:
                continue
            atexit.register(made.close)
            return made
    return None


def _vectors(texts: Sequence[str], dimension: int) -> Sequence[Sequence[float]]:
    """Return the borrowed vectors in that length: cut, or filled up with zeros, and of length 1."""
    borrowed = _borrowed()
    assert borrowed is not None
    found = borrowed.embed_documents(list(texts)).astype(np.float64)[:, :dimension]
    filled = np.pad(found, ((0, 0), (0, dimension - found.shape[1])))
    lengths = np.linalg.norm(filled, axis=1, keepdims=True)
    rows: list[list[float]] = (filled / np.where(lengths > 0, lengths, 1.0)).tolist()
    return rows
