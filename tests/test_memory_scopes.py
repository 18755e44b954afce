"""Promise 4 on every kind of store: scopes filter inside the search, on the approximate path too."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest
from components import config
from every_store import REGISTRY, STORES

from ctxkit import ContextManager, VectorStoreConfig

_CROWD: Final = 30


@pytest.mark.parametrize("store", STORES)
def test_a_few_are_found_among_many_that_fit_better(store: str, tmp_path: Path) -> None:
    """With a graph over everybody's memories, each scope gets its own, all of them, and no other's."""
    options: dict[str, Any] = {"provider": store, "index_type": "HNSW"}
    if store != "chroma":
        options |= {"exact_below": 1, "index_build": "inline"}
    settings = config()
    settings.vector_store = VectorStoreConfig.model_validate(options)

    def opened(**scope: Any) -> ContextManager:
        return ContextManager(settings, path=tmp_path, registry=REGISTRY, **scope)

    with opened(user_id="ann", session_id="crowd") as cm:
        cm.ingest_text("\n\n".join(f"The boat, the boat at berth {i}. " * 30 for i in range(_CROWD)), "a.txt")
        cm.add_memory("The boat is Ann's.")
    scopes = [
        {"user_id": user, "session_id": session, "task_id": task}
        for user in ("ann", "bob")
        for session in ("mine", "yours")
        for task in ("paint", "sail")
    ]
    scopes += [{"user_id": "ann", "agent_id": "coach"}, {}]
    for number, scope in enumerate(scopes):
        with opened(**scope) as cm:
            cm.add_memory(f"A boat, number {number}, is being painted.")
            cm.observe(f"We sail with number {number}.", "Noted.")
    for number, scope in enumerate(scopes):
        with opened(**scope) as cm:
            found = cm.query_memory("the boat at a berth", k=50)
            assert {f"number {number}" in text for text, _ in found} == {True}
            assert len(found) == 2
            assert "berth" not in cm.build_context("Where?")
    with opened(user_id="ann", session_id="mine", task_id="paint", allow_cross_task=True) as cm:
        assert len(cm.query_memory("number painted sail", k=50)) == 4
    with opened(user_id="ann", session_id="mine", task_id="paint", allow_cross_session=True) as cm:
        assert len(cm.query_memory("number painted sail", k=50)) == 4
