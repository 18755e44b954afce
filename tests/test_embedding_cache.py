"""The cache of embeddings: kept between processes, bounded, shared, forgotten on request, and never in the way."""

from __future__ import annotations

import logging
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from ctxkit.cache import CachedEmbedder, EmbeddingCache, with_cache
from ctxkit.errors import EmbedderError, StoreLockedError, StoreUnavailableError
from ctxkit.interfaces import Embedder, EmbedderCapabilities
from ctxkit.plugins import get_registry
from ctxkit.records import FloatVectors

WRITER = """
import sys
import numpy as np
from ctxkit.cache import EmbeddingCache
cache = EmbeddingCache(sys.argv[1])
for number in range(int(sys.argv[2]), int(sys.argv[2]) + 50):
    cache.put("f", "document", {str(number): np.full(8, number, np.float32)})
    found = cache.get("f", "document", [str(number)])
    assert found[str(number)][0] == number
cache.close()
"""
FORK = """
import os, sys
import numpy as np
from ctxkit.cache import EmbeddingCache
cache = EmbeddingCache(sys.argv[1])
cache.put("f", "document", {"parent": np.ones(8, np.float32)})
child = os.fork()
if not child:
    cache.put("f", "document", {"child": np.ones(8, np.float32)})
    os._exit(0 if cache.get("f", "document", ["parent"]) else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert cache.get("f", "document", ["parent", "child"]).keys() == {"parent", "child"}
cache.close()
"""

# Writes whole batches for as long as it lives, and says which of them were kept.
KILLED = """
import sys
import numpy as np
from ctxkit.cache import EmbeddingCache
cache = EmbeddingCache(sys.argv[1])
for batch in range(1_000_000):
    cache.put("f", "document", {f"{batch}-{number}": np.full(64, batch, np.float32) for number in range(20)})
    print(batch, flush=True)
"""


class Counting(Embedder):
    """The static embedder, with a count of the texts that reach it."""

    def __init__(self) -> None:
        self.inner = get_registry().create_embedder("static", {"dimension": 64})
        self.texts: list[str] = []
        self.fails = False

    @property
    def dimension(self) -> int:
        """As the embedder."""
        return self.inner.dimension

    @property
    def normalized(self) -> bool:
        """As the embedder."""
        return self.inner.normalized

    @property
    def max_tokens(self) -> int | None:
        """As the embedder."""
        return self.inner.max_tokens

    @property
    def fingerprint(self) -> str:
        """As the embedder."""
        return self.inner.fingerprint

    def embed_documents(self, texts: Sequence[str]) -> FloatVectors:
        """Count and embed."""
        if self.fails:
            raise EmbedderError("down.", fix="wait.")
        self.texts += texts
        return self.inner.embed_documents(texts)


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[EmbeddingCache]:
    """A cache in a new folder."""
    with closing(EmbeddingCache(tmp_path / "cache")) as made:
        yield made


def vector(number: float, length: int = 64) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Return a vector of one number."""
    return np.full(length, number, np.float32)


def test_what_was_embedded_once_is_looked_up(tmp_path: Path) -> None:
    """Only new texts reach the embedder, also after it was opened again, and vectors are the same to the bit."""
    texts = ["a boat", "", "a boat", "lone \ud800", "naïve"]
    counting = Counting()
    with CachedEmbedder(counting, EmbeddingCache(tmp_path)) as embedder:
        first = embedder.embed_documents(texts)
        assert sorted(counting.texts) == sorted(set(texts))
        assert np.array_equal(first, counting.inner.embed_documents(texts))
        query = embedder.embed_query("a boat")
        first[:] = 7.0
    again = Counting()
    with CachedEmbedder(again, EmbeddingCache(tmp_path)) as embedder:
        found = embedder.embed_documents([*texts, "new"])
        assert again.texts == ["new"]
        assert found.dtype == np.float32
        assert np.array_equal(found[:5], again.inner.embed_documents(texts))
        assert np.array_equal(embedder.embed_query("a boat"), query)
        assert (embedder.hits, embedder.misses) == (6, 1)
        assert embedder.embed_documents([]).shape == (0, 64)
        again.fails = True
        assert np.array_equal(embedder.embed_documents(["new"]), found[5:])
        with pytest.raises(EmbedderError, match="down"):
            embedder.embed_documents(["new", "newer"])


def test_queries_documents_and_models_are_kept_apart(cache: EmbeddingCache) -> None:
    """A vector is found only for its own fingerprint and purpose."""
    cache.put("one", "document", {"x": vector(1)})
    cache.put("one", "query", {"x": vector(2)})
    cache.put("two", "document", {"x": vector(3)})
    assert cache.get("one", "document", ["x"])["x"][0] == 1
    assert cache.get("one", "query", ["x"])["x"][0] == 2
    assert cache.get("two", "document", ["x"])["x"][0] == 3
    assert cache.get("two", "query", ["x"]) == {}
    assert len(cache) == 3


def test_what_is_no_text_is_refused_as_without_a_cache(tmp_path: Path) -> None:
    """The embedder's own refusals come through, and a closed one embeds nothing."""
    embedder = CachedEmbedder(Counting(), EmbeddingCache(tmp_path))
    for wrong in ("a boat", b"a boat", ["a boat", None]):
        with pytest.raises(EmbedderError):
            embedder.embed_documents(wrong)  # type: ignore[arg-type]  # that is the point
    with pytest.raises(EmbedderError):
        embedder.embed_query(["a boat"])  # type: ignore[arg-type]  # as above
    embedder.close()
    embedder.close()
    with pytest.raises(EmbedderError, match="closed"):
        embedder.embed_query("a boat")


def test_the_oldest_give_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound holds, what was used last stays, and a hit counts as use."""
    clock = [1_000_000.0]
    monkeypatch.setattr(time, "time", lambda: clock[0])
    with closing(EmbeddingCache(tmp_path, max_bytes=64 * 1024)) as cache:
        cache.put("f", "document", {"first": vector(1)})
        for number in range(400):
            clock[0] += 60
            cache.put("f", "document", {str(number): vector(number)})
            if number % 50 == 0:
                assert cache.get("f", "document", ["first"])
            assert cache.size <= 64 * 1024
        assert 150 < len(cache) < 210
        assert cache.get("f", "document", ["first", "0", "399"]).keys() == {"first", "399"}
        counted = sqlite3.connect(cache.path)
        total = counted.execute("SELECT sum(length(vector) + 64) FROM entries").fetchone()[0]
        counted.close()
        assert cache.size == total
        cache.put("f", "document", {"399": vector(5)})
        assert cache.size == total


def test_processes_and_threads_share_it(tmp_path: Path) -> None:
    """Three processes write at once, and all of it is there; a hundred threads' worth of use loses nothing."""
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    children = [subprocess.Popen([*command, str(1000 * number)]) for number in range(3)]
    assert [child.wait(60) for child in children] == [0, 0, 0]
    with closing(EmbeddingCache(tmp_path)) as cache:
        assert len(cache) == 150

        def use(number: int) -> None:
            cache.put("f", "document", {f"t{number}": vector(number, 8)})
            assert cache.get("f", "document", [f"t{number}"])[f"t{number}"][0] == number

        with ThreadPoolExecutor(8) as pool:
            for done in [pool.submit(use, number) for number in range(100)]:
                done.result(60)
        assert len(cache) == 250


def test_a_forked_child_goes_on(tmp_path: Path) -> None:
    """A child reads and writes with a connection of its own, and the parent sees it."""
    subprocess.run([sys.executable, "-c", FORK, str(tmp_path)], check=True, timeout=60)


def test_a_killed_writer_leaves_whole_vectors(tmp_path: Path) -> None:
    """Whoever opens the file after a SIGKILL finds every batch that was kept, and no half of one."""
    child = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    with child, child.stdout as told:
        kept = [int(told.readline()) for _ in range(5)]
        child.kill()
        kept += [int(line) for line in told]
    with closing(EmbeddingCache(tmp_path)) as cache:
        for batch in kept:
            found = cache.get("f", "document", [f"{batch}-{number}" for number in range(20)])
            assert [row.tolist() for row in found.values()] == [[float(batch)] * 64] * 20
        assert len(cache) % 20 == 0
        cache.put("f", "document", {"after": vector(1)})
        assert cache.get("f", "document", ["after"])


def test_what_is_forgotten_leaves_the_files(cache: EmbeddingCache) -> None:
    """After `forget` and `clear` neither a search nor the bytes on the disk have the vector, nor ever the text."""
    secret, kept = vector(0.123456), vector(0.654321)
    cache.put("f", "document", {"secret text": secret, "kept text": kept})
    cache.put("g", "query", {"secret text": secret})

    def on_disk(data: bytes) -> bool:
        return any(data in path.read_bytes() for path in cache.path.parent.iterdir())

    assert on_disk(secret.tobytes())
    assert not on_disk(b"secret text")
    assert cache.forget(["secret text", "unknown"]) == 2
    assert not on_disk(secret.tobytes())
    assert on_disk(kept.tobytes())
    cache.clear()
    assert not on_disk(kept.tobytes())
    assert (len(cache), cache.size) == (0, 0)


def test_damage_is_a_miss(cache: EmbeddingCache, caplog: pytest.LogCaptureFixture) -> None:
    """A vector that does not match its checksum is embedded anew; a file that is no database is left alone."""
    cache.put("f", "document", {"x": vector(1)})
    with closing(sqlite3.connect(cache.path)) as db, db:
        db.execute("UPDATE entries SET vector = zeroblob(length(vector))")
    assert cache.get("f", "document", ["x"]) == {}
    cache.put("f", "document", {"x": vector(1)})
    assert cache.get("f", "document", ["x"])["x"][0] == 1
    cache.close()
    cache.path.write_bytes(b"no database at all" * 1000)
    with caplog.at_level(logging.WARNING, logger="ctxkit"), closing(EmbeddingCache(cache.path.parent)) as broken:
        broken.put("f", "document", {"x": vector(1)})
        assert broken.get("f", "document", ["x"]) == {}
        with pytest.raises(StoreUnavailableError, match="closed"):
            broken.forget(["x"])
    assert len(caplog.records) == 1
    assert "remove the file" in caplog.text


def test_a_newer_file_is_left_as_it_is(cache: EmbeddingCache) -> None:
    """What a later version wrote is neither read nor changed."""
    cache.put("f", "document", {"x": vector(1)})
    cache.close()
    with closing(sqlite3.connect(cache.path)) as db, db:
        db.execute("PRAGMA user_version = 99")
    with closing(EmbeddingCache(cache.path.parent)) as older:
        assert older.get("f", "document", ["x"]) == {}
        older.put("f", "document", {"y": vector(1)})
    with closing(sqlite3.connect(cache.path)) as db:
        assert db.execute("SELECT count(*) FROM entries").fetchone()[0] == 1


def test_a_busy_file_is_passed_by(cache: EmbeddingCache, monkeypatch: pytest.MonkeyPatch) -> None:
    """While another process writes, reading goes on, writing is left out, and forgetting says that it failed."""
    monkeypatch.setattr("ctxkit.cache.embeddings._BUSY_SECONDS", 0.05)
    with closing(EmbeddingCache(cache.path.parent)) as mine:
        mine.put("f", "document", {"x": vector(1)})
        with closing(sqlite3.connect(cache.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            mine.put("f", "document", {"y": vector(2)})
            assert mine.get("f", "document", ["x", "y"]).keys() == {"x"}
            with pytest.raises(StoreLockedError):
                mine.forget(["x"])
            other.execute("ROLLBACK")
        mine.put("f", "document", {"y": vector(2)})
        assert len(mine) == 2


def test_only_what_costs_is_cached(tmp_path: Path) -> None:
    """By default an embedder that declares a cost gets a cache; a cheap one, or one without a folder, does not."""
    costly, cheap = EmbedderCapabilities(costs=True), EmbedderCapabilities()
    embedder = Counting()
    assert with_cache(embedder, cheap, tmp_path) is embedder
    assert with_cache(embedder, costly, None) is embedder
    with with_cache(embedder, costly, tmp_path) as cached:
        assert isinstance(cached, CachedEmbedder)
        assert cached.dimension == embedder.dimension
        assert cached.fingerprint == embedder.fingerprint
        assert (cached.normalized, cached.max_tokens) == (True, None)
