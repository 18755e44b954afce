"""How long ctxkit takes on Chroma, as a multiple of what Chroma's own client takes for the same.

    python scripts/measure_overhead.py                     embedded, in memory and a server that it starts and stops
    python scripts/measure_overhead.py embedded --rows 50000
    python scripts/measure_overhead.py server --cpu        processor time of client and server, for a busy machine

Both write the same vectors, texts and metadata into collections with the same graph, turn by turn, so that what else
the machine does hits both; the figure is the median of ours over the median of theirs. The raw client is asked for
what it returns by default (documents, metadata, distances), as a program would.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import chromadb
import numpy as np
from chromadb.config import Settings
from ctxkit_chroma.config import ChromaConfig
from ctxkit_chroma.harness import ChromaServer
from ctxkit_chroma.store import ChromaStore

from ctxkit.interfaces import CollectionSpec
from ctxkit.records import RecordBatch

K = 10
FILTERS: Mapping[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "50 %": ({"i": {"$gte": 0.5}}, {"i": {"$gte": 0.5}}),
    "10 %": ({"ten": "c1"}, {"ten": "c1"}),
    "1 %": ({"hundred": "c1"}, {"hundred": "c1"}),
    "0.1 %": ({"thousand": "c1"}, {"thousand": "c1"}),
    "$in, 2 %": ({"hundred": {"$in": ["c1", "c2"]}}, {"hundred": {"$in": ["c1", "c2"]}}),
    "$ne, 90 %": ({"ten": {"$ne": "c1"}}, {"ten": {"$ne": "c1"}}),
    "and, 5 %": (
        {"i": {"$gte": 0.5}, "ten": "c1"},
        {"$and": [{"i": {"$gte": 0.5}}, {"ten": "c1"}]},
    ),
}


class Pair:
    """The same collection twice: Chroma's own, and ours."""

    def __init__(self, mode: str, folder: Path, port: int, dimension: int) -> None:
        quiet = Settings(anonymized_telemetry=False)
        if mode == "server":
            raw: Any = chromadb.HttpClient(host="127.0.0.1", port=port, settings=quiet)
            config = ChromaConfig(host="127.0.0.1", port=port)
        elif mode == "embedded":
            raw = chromadb.PersistentClient(path=str(folder / "raw"), settings=quiet)
            config = ChromaConfig(path=folder / "ours")
        else:
            raw, config = chromadb.EphemeralClient(quiet), ChromaConfig()
        self.raw = raw.create_collection(
            "measured-raw", embedding_function=None, configuration={"hnsw": {"space": "cosine"}}
        )
        self.ours = ChromaStore.open(CollectionSpec(name="measured", dimension=dimension), config)


def processor_time(server: ChromaServer | None) -> float:
    """Return how many seconds this process has worked so far, and the server."""
    own = time.process_time()
    if server is None:
        return own
    threads = Path(f"/proc/{server.pid}/task").iterdir()
    return own + sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9


def turns(
    times: int, raw: Callable[[int], object], ours: Callable[[int], object], clock: Callable[[], float]
) -> tuple[float, float]:
    """Return the medians of both in milliseconds, called by turns, after one call of each that does not count."""
    raw(0)
    ours(0)
    figures: tuple[list[float], list[float]] = ([], [])
    for number in range(1, times + 1):
        pair = [(raw, figures[0]), (ours, figures[1])]
        for call, found in pair if number % 2 else reversed(pair):
            start = clock()
            call(number)
            found.append(1000 * (clock() - start))
    return float(np.median(figures[0])), float(np.median(figures[1]))


def show(mode: str, what: str, figures: tuple[float, float]) -> None:
    """Print one line."""
    raw, ours = figures
    print(f"{mode:9} {what:22} raw {raw:9.2f} ms   ours {ours:9.2f} ms   ratio {ours / raw:5.2f}", flush=True)


def measure(mode: str, given: argparse.Namespace) -> None:
    """Measure one mode."""
    rows, dimension, batch, times = given.rows, given.dimension, given.batch, given.times
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(rows, dimension)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    queries = rng.normal(size=(times + 1, dimension)).astype(np.float32)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    ids = [f"r{i:06d}" for i in range(rows)]
    words = [f"word{i}" for i in range(2000)]
    texts = [" ".join(words[j] for j in rng.integers(2000, size=30)) for _ in range(rows)]
    metadata = [
        {"i": i / rows, "n": i, "ten": f"c{i % 10}", "hundred": f"c{i % 100}", "thousand": f"c{i % 1000}"}
        for i in range(rows)
    ]
    server = ChromaServer() if mode == "server" else None
    clock = partial(processor_time, server) if given.cpu else time.perf_counter
    with tempfile.TemporaryDirectory() as folder:
        pair = Pair(mode, Path(folder), 0 if server is None else server.port, dimension)

        def part(number: int) -> slice:
            return slice(number * batch, (number + 1) * batch)

        def write_raw(number: int) -> None:
            own = part(number)
            pair.raw.upsert(ids=ids[own], embeddings=vectors[own], documents=texts[own], metadatas=metadata[own])

        def write_ours(number: int) -> None:
            own = part(number)
            pair.ours.upsert(RecordBatch(ids[own], vectors[own], texts[own], metadata[own]))

        show(mode, f"ingest {batch}", turns(rows // batch - 1, write_raw, write_ours, clock))
        one = {"n_results": K}
        show(
            mode,
            f"query k={K}",
            turns(
                times,
                lambda n: pair.raw.query(query_embeddings=queries[n : n + 1], **one),
                lambda n: pair.ours.query(queries[n], K),
                clock,
            ),
        )
        for name, (ours, raw) in FILTERS.items():
            show(
                mode,
                f"filter {name}",
                turns(
                    max(10, times // 4),
                    lambda n: pair.raw.query(query_embeddings=queries[n : n + 1], where=raw, **one),  # noqa: B023
                    lambda n: pair.ours.query(queries[n], K, where=ours),  # noqa: B023
                    clock,
                ),
            )
        pair.ours.close()
    if server is not None:
        server.stop()


def main() -> None:
    """Measure the modes that were named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modes", nargs="*", default=["embedded", "memory", "server"])
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--dimension", type=int, default=384)
    parser.add_argument("--batch", type=int, default=1000)
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--cpu", action="store_true", help="measure processor time instead of the clock on the wall")
    given = parser.parse_args()
    print(f"chromadb {chromadb.__version__}, {given.rows} x {given.dimension}")
    for mode in given.modes:
        measure(mode, given)


if __name__ == "__main__":
    main()
