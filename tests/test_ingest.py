"""Chunking text, and finding and reading files."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctxkit import Config, ContextManager, EmbedderConfig, VectorStoreConfig
from ctxkit.defaults.estimator import EstimatingTokenizer
from ctxkit.errors import ConfigError, IngestError
from ctxkit.ingest import Skipped, TextFile, find_files, read_text, split_text
from ctxkit.interfaces import Tokenizer

TOKENIZER = EstimatingTokenizer()


@settings(deadline=None)  # the first example waits for the tables of the tokenizer
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


class Meter(EstimatingTokenizer):
    """The estimating tokenizer, which notes how many characters it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.read = 0

    def count(self, text: str) -> int:
        """Note the length and count."""
        self.read += len(text)
        return super().count(text)

    def truncate(self, text: str, max_tokens: int, side: Literal["left", "right"] = "right") -> str:
        """Note the length and cut."""
        self.read += len(text)
        return super().truncate(text, max_tokens, side)


DENSE = "".join(chr(0x4E00 + place * 7919 % 20_000) for place in range(12_000))


@pytest.mark.parametrize(
    "text",
    [
        DENSE,
        "😀" * 9000,
        "plain words and so on. " * 900,
        "x" * 20_000,
        f"{DENSE[:3000]}{'word ' * 3000}{DENSE[:3000]}",
    ],
    ids=["chinese", "emoji", "words", "one word", "mixed"],
)
def test_cutting_reads_a_text_a_few_times_whatever_its_script(text: str) -> None:
    """A character that costs three tokens must not make each chunk look far beyond its end."""
    meter = Meter()
    chunks = list(split_text(text, meter, size=400, overlap=50))
    assert meter.read <= 4 * len(text)
    assert all(TOKENIZER.count(chunk.text) <= 400 for chunk in chunks)
    assert all(after.start <= before.end for before, after in pairwise(chunks))
    assert chunks[-1].end == len(text)
    if text.strip(text[0]) == "" or text == DENSE:
        # Without a boundary to end at, chunks are nearly full.
        assert all(TOKENIZER.count(chunk.text) >= 360 or len(chunk.text) == 3200 for chunk in chunks[:-1])


class Steps(Tokenizer):
    """Counts nothing for the first hundred characters of a text and much for each one after."""

    name = "steps"
    exact = True
    concatenation_bound = 0

    def count(self, text: str) -> int:
        """Return nine tokens for each character beyond the hundredth."""
        return 9 * max(len(text) - 100, 0)

    def truncate(self, text: str, max_tokens: int, side: Literal["left", "right"] = "right") -> str:
        """Cut by the same rule."""
        fitting = 100 + max_tokens // 9
        return text[:fitting] if side == "right" else text[-fitting:]


@pytest.mark.parametrize("size", [1, 20, 50])
def test_a_tokenizer_that_is_hard_to_guess_is_halved(size: int) -> None:
    """Where guesses mislead, the search still ends at what fits."""
    text = "z" * 1000
    chunks = list(split_text(text, Steps(), size=size))
    assert "".join(chunk.text for chunk in chunks) == text
    assert all(Steps().count(chunk.text) <= size for chunk in chunks)
    assert len(chunks[0].text) == min(100 + size // 9, 8 * size)


@pytest.mark.parametrize(("size", "overlap"), [(10, 10), (10, 11), (10, -1), (0, 0)])
def test_an_overlap_as_long_as_a_chunk_is_refused(size: int, overlap: int) -> None:
    """It would never get to the end."""
    with pytest.raises(ConfigError, match="overlap"):
        list(split_text("text", TOKENIZER, size=size, overlap=overlap))


def test_a_folder_is_walked_and_what_is_left_out_is_named(tmp_path: Path) -> None:
    """Hidden files and folders go without a word; a broken link and a pipe are named."""
    (tmp_path / "b.txt").write_text("b")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "c.md").write_text("c")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config").write_text("hidden")
    (tmp_path / ".env").write_text("SECRET=1")
    (tmp_path / "a" / ".netrc").write_text("password")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe")
    found = list(find_files(tmp_path))
    assert [item.path.name for item in found if isinstance(item, TextFile)] == ["b.txt", "c.md"]
    reasons = {item.path.name: item.reason for item in found if isinstance(item, Skipped)}
    assert reasons == {"link": "broken link", "pipe": "not a regular file"}


def test_memory_is_no_text_to_remember(tmp_path: Path) -> None:
    """Neither the store that lies among the files, this one's own or another's, nor its manifest."""
    settings = Config(embedder=EmbedderConfig(provider="none"), vector_store=VectorStoreConfig(provider="exact"))
    (tmp_path / "note.txt").write_text("a note")
    with ContextManager(settings, path=tmp_path) as cm:
        assert (cm.ingest_directory(tmp_path).files, len(list(find_files(tmp_path)))) == (1, 1)
        assert cm.ingest_directory(tmp_path).unchanged == 1
        assert len(cm.list_memories()) == 1


def test_a_hidden_file_or_folder_that_is_asked_for_is_taken(tmp_path: Path) -> None:
    """Only what is come across is passed over."""
    hidden = tmp_path / ".notes"
    hidden.mkdir()
    (hidden / "a.md").write_text("text")
    (hidden / ".b.md").write_text("text")
    assert [item.path.name for item in find_files(hidden)] == ["a.md"]
    assert [item.path.name for item in find_files(hidden / ".b.md")] == [".b.md"]


def test_names_that_are_no_text_are_told_apart(tmp_path: Path) -> None:
    """A file from another system keeps a name that a record can hold, and shares it with no other file."""
    names = [b"z\xff\xfe.md", b"z\xff\xfd.md", b"z%FF%FE.md", "größe.md".encode()]
    for name in names:
        Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), name))).write_text("text")  # noqa: PTH118 - bytes
    sources = [item.source_id for item in find_files(tmp_path) if isinstance(item, TextFile)]
    assert len(set(sources)) == len(names)
    assert {source.removeprefix("file://") for source in sources} >= {f"{tmp_path}/z%FF%FE.md", f"{tmp_path}/größe.md"}
    assert all(source.encode() for source in sources)


# Prints what find_files makes of its argument, as a user who owns nothing.
_AS_NOBODY = """
import os, sys
from ctxkit.errors import IngestError
from ctxkit.ingest import Skipped, find_files
from pathlib import Path
user = os.getuid()
if user == 0:
    os.setgroups([])
    os.seteuid(65534)
try:
    for item in find_files(Path(sys.argv[1])):
        print(item.path.name, item.reason if isinstance(item, Skipped) else "taken")
except IngestError as error:
    print("IngestError", error.message)
finally:
    os.seteuid(user)
"""


@pytest.fixture
def guarded() -> Iterator[Path]:
    """A folder that everybody may read, with parts that nobody may: a list of names alone, an entry alone, nothing."""
    with TemporaryDirectory() as name:
        root = Path(name)
        for folder, mode in (("listed", 0o444), ("entered", 0o111), ("closed", 0o000), ("open", 0o755)):
            (root / folder).mkdir()
            (root / folder / f"{folder}.md").write_text("text")
            (root / folder).chmod(mode)
        root.chmod(0o755)
        yield root
        for closed in root.iterdir():
            closed.chmod(0o755)


def as_nobody(path: Path) -> list[str]:
    """Return the lines that the script above prints for a path."""
    command = [sys.executable, "-W", "error", "-c", _AS_NOBODY, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


@pytest.mark.skipif(sys.platform == "win32", reason="other rights")
def test_a_folder_that_may_not_be_entered_is_skipped(guarded: Path) -> None:
    """Neither its list of names without the right to open them, nor the other way round, stops the rest."""
    assert sorted(as_nobody(guarded)) == [
        "closed Permission denied",
        "entered Permission denied",
        "listed.md Permission denied",
        "open.md taken",
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="other rights")
@pytest.mark.parametrize("name", ["listed", "entered", "closed", "closed/closed.md", "listed/listed.md"])
def test_a_root_that_may_not_be_read_is_an_error(guarded: Path, name: str) -> None:
    """What was asked for by name must not look empty."""
    assert as_nobody(guarded / name) == [f"IngestError {guarded / name} cannot be read: Permission denied."]


@pytest.mark.parametrize("name", ["a\0b", "n" * 5000])
def test_a_root_that_cannot_be_a_path_is_an_error(tmp_path: Path, name: str) -> None:
    """With the same kind of error as one that is not there."""
    with pytest.raises(IngestError, match=r"does not exist|too long"):
        list(find_files(tmp_path / name))


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
