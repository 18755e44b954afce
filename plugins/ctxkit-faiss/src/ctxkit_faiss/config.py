"""What a user can set on the FAISS store."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ctxkit.interfaces import Capabilities
from ctxkit.local import LocalConfig


class FaissConfig(LocalConfig):
    """The engine's options, the kind of index, its parameters, and the threads of one search (1 to 1024).

    "Flat" searches all vectors; "HNSW" a graph of `m` neighbours each, made with `ef_construction` candidates and
    searched with `ef_search`: more find more and take longer. `quantization` keeps the index's copy of the vectors in
    fewer bytes, two ("fp16") or one ("sq8") for each number instead of four: it then finds more candidates than asked
    for, and the stored vectors decide among them, so scores stay exact and a near neighbour is seldom missed.
    """

    index_type: Literal["Flat", "HNSW"] = "Flat"
    quantization: Literal["none", "fp16", "sq8"] = "none"
    m: int = Field(default=32, ge=2, le=512)
    ef_construction: int = Field(default=200, ge=1, le=10_000)
    ef_search: int = Field(default=64, ge=1, le=100_000)
    threads: int = Field(default=1, ge=1, le=1024)

    def capabilities(self) -> Capabilities:
        """Return what a store can do under this configuration: a graph is not exact, nor are quantised vectors."""
        exact = self.index_type == "Flat" and self.quantization == "none"
        return super().capabilities().model_copy(update={"exact": exact})
