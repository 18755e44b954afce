"""Promise 8: memories that others took the place of, that are true for a time, and that expire."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final

import pytest
from components import config
from every_store import REGISTRY, STORES

from ctxkit import ContextManager, VectorStoreConfig
from ctxkit.errors import InvalidRecordError

BEFORE: Final = 1_700_000_000.0


def opened(path: Path, store: str = "exact", *, limits: dict[str, Any] | None = None, **scope: Any) -> ContextManager:
    """Return a manager on a kind of store."""
    settings = config(**(limits or {}))
    settings.vector_store = VectorStoreConfig(provider=store)
    return ContextManager(settings, path=path, registry=REGISTRY, **scope)


def texts(cm: ContextManager, question: str, **arguments: Any) -> list[str]:
    """Return what a question finds."""
    return sorted(text for text, _ in cm.query_memory(question, k=9, **arguments))


@pytest.mark.parametrize("store", STORES)
def test_promise_8_supersede_without_destroying(store: str, tmp_path: Path) -> None:
    """Today the newest is found, as of a moment what was true then; all of them are there."""
    homes = ["Maren lives in Aarhus.", "Maren lives in Bergen.", "Maren lives in Cork."]
    with opened(tmp_path, store) as cm:
        first = cm.add_memory(homes[0])
        second = cm.add_memory(homes[1], {"valid_from": BEFORE + 100}, supersedes=first)
        cm.add_memory(homes[2], {"valid_from": BEFORE + 200}, supersedes=second)
    with opened(tmp_path, store) as cm:
        assert texts(cm, "Where does Maren live?") == [homes[2]]
        for moment, home in ((BEFORE, homes[0]), (BEFORE + 100, homes[1]), (BEFORE + 199.5, homes[1])):
            assert texts(cm, "Where does Maren live?", as_of=moment) == [home]
            assert cm.build("Where does Maren live?", as_of=moment).text.count("Maren lives") == 1
            assert home in cm.build("Where does Maren live?", as_of=moment).text
        then = datetime.fromtimestamp(BEFORE + 150, tz=timezone.utc)
        assert texts(cm, "Where does Maren live?", as_of=then) == [homes[1]]
        assert [entry.text for entry in cm.list_memories()] == homes
        with pytest.raises(InvalidRecordError, match="superseded before"):
            cm.add_memory("Maren lives in Delft.", supersedes=first)
        assert len(cm.list_memories()) == 3


def test_superseding_now_takes_effect_at_once_for_long_memories_too(tmp_path: Path) -> None:
    """With all their parts, and whichever part was found."""
    long = " ".join(f"The kingfisher of pond {number} is blue." for number in range(60))
    with opened(tmp_path, limits={"ingestion_chunk_size": 20}) as cm:
        cm.add_memory(long)
        (part, _), *_ = cm.long_term_memory.search("kingfisher pond 7", k=1)
        before = time.time()
        assert texts(cm, "kingfisher")
        cm.add_memory("All kingfishers have left.", supersedes=part.id)
        assert texts(cm, "kingfisher kingfishers") == ["All kingfishers have left."]
        assert "blue" not in cm.build_context("What colour has the kingfisher of pond 7?")
        assert "pond 7 is blue" in " ".join(texts(cm, "kingfisher pond 7", as_of=before))


def test_superseding_stays_inside_the_scope(tmp_path: Path) -> None:
    """Another user's memory, another session's, one that is not there: refused, and nothing is written."""
    with opened(tmp_path, user_id="ann", session_id="s") as ann:
        own = ann.add_memory("Ann's boat is red.")
        with (
            opened(tmp_path, user_id="bob") as bob,
            opened(tmp_path, user_id="ann", session_id="t", allow_cross_session=True) as other,
        ):
            for cm, old in ((bob, own), (other, own), (ann, "memory-nowhere")):
                with pytest.raises(InvalidRecordError, match="no memory"):
                    cm.add_memory("The boat is blue.", supersedes=old)
        newer = ann.add_memory("Ann's boat is green.", supersedes=own)
        with pytest.raises(InvalidRecordError, match="same moment or later"):
            ann.add_memory("Ann's boat is blue.", {"valid_from": BEFORE}, supersedes=newer)
        assert texts(ann, "boat") == ["Ann's boat is green."]
        assert ann.get_stats()["store"]["records"] == 2


def test_what_expired_is_not_found_and_is_swept(tmp_path: Path) -> None:
    """By a moment or by seconds to live; in no answer, and after the sweep in no record."""
    with opened(tmp_path) as cm:
        cm.add_memory("The code is 1111.", {"expires_at": time.time() - 1})
        cm.ingest_text("The code is 2222.", "code.txt", {"expires_at": BEFORE})
        cm.observe("The code is 3333.", "Noted.", metadata={"ttl": 1e-6})
        cm.add_memory("The code is 4444.", {"ttl": 3600})
        assert (
            texts(cm, "What is the code?") == texts(cm, "What is the code?", as_of=BEFORE - 9) == ["The code is 4444."]
        )
        assert [entry.text for entry in cm.list_memories()] == ["The code is 4444."]
        assert [code for code in ("1111", "2222", "3333") if code in cm.build_context("What is the code?")] == []
        report = cm.sweep()
        assert (report.memories, report.chunks, report.turns) == (1, 1, 1)
        assert cm.get_stats()["store"]["records"] == 1
        assert cm.sweep().as_dict()["memories"] == 0


def test_a_context_is_not_remembered_past_an_expiry(tmp_path: Path) -> None:
    """A context that was built before is built anew when something in it expires, without any write."""
    with opened(tmp_path) as cm:
        cm.add_memory("The door code is 5555.", {"expires_at": time.time() + 1.5})
        assert "5555" in cm.build_context("What is the door code?")
        deadline = time.monotonic() + 60
        while "5555" in cm.build_context("What is the door code?"):
            assert time.monotonic() < deadline
            time.sleep(0.1)


@pytest.mark.parametrize(
    "metadata",
    [
        {"ttl": 0},
        {"ttl": "soon"},
        {"ttl": True},
        {"ttl": float("nan")},
        {"ttl": 5, "expires_at": 5.0},
        {"expires_at": "tomorrow"},
        {"valid_from": datetime(2026, 1, 1)},  # noqa: DTZ001 - the point of the case
        {"valid_from": 5, "valid_until": 5},
        {"valid_until": None},
    ],
)
def test_moments_that_are_none_are_refused(tmp_path: Path, metadata: dict[str, Any]) -> None:
    """Before anything is written."""
    with opened(tmp_path) as cm:
        with pytest.raises(InvalidRecordError, match="Fix: "):
            cm.add_memory("text", metadata)
        assert cm.get_stats()["store"]["records"] == 0
