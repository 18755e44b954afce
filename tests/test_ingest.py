"""Chunking text, and finding and reading files."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctxkit.defaults.estimator import EstimatingTokenizer
from ctxkit.errors import ConfigError, IngestError
from ctxkit.ingest import Skipped, TextFile, find_files, read_text, split_text

TOKENIZER = EstimatingTokenizer()


@given(st.text(max_size=400), st.integers(8, 40), st.integers(0, 7))
def test_chunks_are_verbatim_bounded_and_complete(text: str, size: int, overlap: int) -> None:
    """Every chunk is a slice of the text within its size, and no visible character is left out."""
    chunks = list(split_text(text, TOKENIZER, size=size, overlap=overlap))
    covered: set[int] = set()
    for number, chunk in enumerate(chunks):
        assert chunk.index == number
        assert chunk.text == text[chunk.start : chunk.end]
        assert TOKENIZER.count(chunk.text) <= size
        covered.update(range(chunk.start, chunk.end))
    assert all(position in covered or text[position].isspace() for position in range(len(text)))


def test_chunks_end_at_paragraphs_and_overlap() -> None:
    """A reader of a chunk should not start in the middle of a word."""
    text = "\n\n".join(f"Paragraph {i} says something about the number {i} and stops there." for i in range(40))
    chunks = list(split_text(text, TOKENIZER, size=60, overlap=10))
    assert len(chunks) > 5
    assert all(chunk.text.endswith("\n\n") for chunk in chunks[:-1])
    for before, after in pairwise(chunks):
        assert before.start < after.start < before.end
        assert TOKENIZER.count(text[after.start : before.end]) <= 10


def test_text_without_any_boundary_is_cut_all_the_same() -> None:
    """A megabyte without a space is still a document."""
    text = "x" * 100_000
    chunks = list(split_text(text, TOKENIZER, size=50))
    assert "".join(chunk.text for chunk in chunks) == text


def test_a_character_dearer_than_a_chunk_does_not_stop_the_cutting() -> None:
    """With a size of one token, an emoji exceeds it; going on matters more."""
    assert "".join(chunk.text for chunk in split_text("🤖🤖", TOKENIZER, size=1)) == "🤖🤖"


@pytest.mark.parametrize(("size", "overlap"), [(10, 10), (10, 11), (10, -1), (0, 0)])
def test_an_overlap_as_long_as_a_chunk_is_refused(size: int, overlap: int) -> None:
    """It would never get to the end."""
    with pytest.raises(ConfigError, match="overlap"):
        list(split_text("text", TOKENIZER, size=size, overlap=overlap))


def test_a_folder_is_walked_and_what_is_left_out_is_named(tmp_path: Path) -> None:
    """Hidden folders go without a word; a broken link and a socket are named."""
    (tmp_path / "b.txt").write_text("b")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "c.md").write_text("c")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config").write_text("hidden")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe")
    found = list(find_files(tmp_path))
    assert [item.path.name for item in found if isinstance(item, TextFile)] == ["b.txt", "c.md"]
    reasons = {item.path.name: item.reason for item in found if isinstance(item, Skipped)}
    assert reasons == {"link": "broken link", "pipe": "not a regular file"}


def test_a_linked_folder_is_not_followed(tmp_path: Path) -> None:
    """A link to a parent would never end."""
    (tmp_path / "file.txt").write_text("text")
    (tmp_path / "loop").symlink_to(tmp_path)
    assert [item.path.name for item in find_files(tmp_path)] == ["file.txt"]


@pytest.mark.parametrize("kind", ["missing", "broken link"])
def test_a_root_that_is_not_there_is_an_error(tmp_path: Path, kind: str) -> None:
    """A typing mistake in the path must not look like an empty folder."""
    root = tmp_path / "root"
    if kind == "broken link":
        root.symlink_to(tmp_path / "nowhere")
    with pytest.raises(IngestError, match=str(root)):
        list(find_files(root))


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"plain", "plain"),
        ("Grüße".encode(), "Grüße"),
        (b"\xef\xbb\xbfmarked", "marked"),
        ("utf-16 text".encode("utf-16"), "utf-16 text"),
        (b"\x00\x01\x02", "binary file"),
        (b"caf\xe9", "not UTF-8 text"),
        (b"", "empty"),
        (b" \n", "empty"),
    ],
)
def test_files_are_read_as_text_or_named(tmp_path: Path, raw: bytes, expected: str) -> None:
    """What is not text is left out with its reason."""
    path = tmp_path / "file"
    path.write_bytes(raw)
    text = read_text(path)
    assert (text.reason if isinstance(text, Skipped) else text) == expected


def test_a_file_that_went_away_or_is_too_large_is_named(tmp_path: Path) -> None:
    """Neither stops an ingestion."""
    gone = read_text(tmp_path / "gone")
    assert isinstance(gone, Skipped)
    assert "No such file" in gone.reason
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(65 * 1024 * 1024)
    skipped = read_text(large)
    assert isinstance(skipped, Skipped)
    assert "larger" in skipped.reason
