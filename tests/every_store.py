"""Every shipped vector store, for what has to hold on each of them."""

from __future__ import annotations

from typing import Final

import pytest
from components import registry

# hnswlib comes as source, so it is not everywhere.
STORES: Final = ("exact", "faiss", pytest.param("hnswlib", marks=pytest.mark.needs_hnswlib), "chroma")
ENGINES: Final = frozenset({"exact", "faiss", "hnswlib"})
REGISTRY: Final = registry("core,ctxkit-faiss,ctxkit-hnswlib,ctxkit-chroma")
