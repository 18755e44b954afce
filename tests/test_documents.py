"""Documents in memory: their names, their metadata, and what counts as unchanged."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from components import config, registry

from ctxkit import ContextManager
from ctxkit.errors import InvalidRecordError


@pytest.fixture
def cm() -> Iterator[ContextManager]:
    """A manager in memory."""
    with ContextManager(config(), registry=registry()) as manager:
        yield manager


def metadata_of(cm: ContextManager) -> list[dict[str, Any]]:
    """Return the metadata of everything stored."""
    return [dict(entry.metadata) for entry in cm.long_term_memory.entries]


@pytest.mark.parametrize("source", ["manual", None])
def test_new_metadata_is_a_new_version(cm: ContextManager, source: str | None) -> None:
    """A correction of the metadata alone takes the place of the old one; the time of ingestion is no metadata."""
    assert cm.ingest_text("The valve is red.", source, {"lang": "de"}).files == 1
    assert cm.ingest_text("The valve is red.", source, {"lang": "en", "timestamp": 5.0}).files == 1
    (stored,) = metadata_of(cm)
    assert (stored["lang"], stored["timestamp"]) == ("en", 5.0)
    assert cm.ingest_text("The valve is red.", source, {"timestamp": 5.0, "lang": "en"}).unchanged == 1
    assert cm.ingest_text("The valve is red.", source).files == 1
    assert cm.ingest_text("The valve is red.", source).unchanged == 1
    assert len(metadata_of(cm)) == 1


def test_the_metadata_may_name_the_document(cm: ContextManager) -> None:
    """A name there counts as the argument does, and names the same document."""
    cm.ingest_text("The valve is red.", metadata={"source_id": "w"})
    assert [stored["source_id"] for stored in metadata_of(cm)] == ["w"]
    assert cm.ingest_text("The valve is red.", "w").unchanged == 1
    assert cm.ingest_text("The valve is blue.", "w", {"source_id": "w"}).files == 1
    assert [text for text, _ in cm.query_memory("valve", k=5)] == ["The valve is blue."]


def test_two_names_for_one_document_are_refused(cm: ContextManager, tmp_path: Path) -> None:
    """Neither is dropped in silence; for a folder, one name would make its files replace each other."""
    with pytest.raises(InvalidRecordError, match="source_id='w'"):
        cm.ingest_text("The valve is red.", "v", {"source_id": "w"})
    (tmp_path / "a.md").write_text("First.")
    with pytest.raises(InvalidRecordError, match="source_id='w'"):
        cm.ingest_directory(tmp_path, {"source_id": "w"})
    assert metadata_of(cm) == []
    cm.ingest_file(tmp_path / "a.md", {"source_id": "w"})
    assert [stored["source_id"] for stored in metadata_of(cm)] == ["w"]


@pytest.mark.parametrize("bad", ["", 7, b"raw"])
def test_a_name_that_is_no_text_is_refused(cm: ContextManager, bad: Any) -> None:
    """As an argument and in the metadata alike."""
    for arguments in ((bad, None), (None, {"source_id": bad})):
        with pytest.raises(InvalidRecordError, match="source_id"):
            cm.ingest_text("The valve is red.", *arguments)


def test_a_lone_surrogate_in_a_name_is_cleaned(cm: ContextManager) -> None:
    """As in every other text."""
    cm.ingest_text("The valve is red.", "v\udcff")
    assert [stored["source_id"] for stored in metadata_of(cm)] == ["v\ufffd"]


def test_metadata_that_no_record_can_hold_is_refused(cm: ContextManager) -> None:
    """With a typed error, before anything is written."""
    with pytest.raises(InvalidRecordError, match="nested"):
        cm.ingest_text("The valve is red.", "v", {"nested": {"deep": 1}})
    assert metadata_of(cm) == []
