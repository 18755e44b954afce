"""Figures about memory: both views, the store, and the components in use."""

from __future__ import annotations

from typing import Any

from ctxkit.memory.summarizing import Summarizing
from ctxkit.memory.vault import Vault
from ctxkit.memory.views import View


def figures(view: View, vault: Vault, summarizing: Summarizing) -> dict[str, Any]:
    """Return figures about both views, the store and the components in use, as plain JSON values."""
    stm = view.short_term
    stm.refresh()
    turns = stm.turns
    current = sum(turn.tokens for turn in turns)
    store = vault.store.stats()
    failure = None if vault.embedder is None else vault.embedder.last_error
    source = vault.source
    return {
        "short_term_memory": {
            "num_turns": len(turns),
            "current_tokens": current,
            "max_tokens": stm.max_tokens,
            "utilization": current / stm.max_tokens,
        },
        "long_term_memory": view.long_term.get_stats(),
        "store": {
            "path": None if source.path is None else str(source.path),
            "records": store.rows,
            "vectors": store.vectors,
            "bytes_on_disk": store.bytes_on_disk,
            "bytes_in_memory": store.bytes_in_memory,
        },
        "pending_embeddings": vault.pending(),
        "pending_summaries": summarizing.pending(),
        "last_embedding_error": None if failure is None else str(failure),
        "vector_store": source.vector_store,
        "embedder": source.embedder,
        "tokenizer": summarizing.tokenizer.name,
        "fallbacks": list(source.fallbacks),
        "session_id": view.scope.session_id,
    }
