"""Print what `observe` and `build_context` cost beside their parts, in turns, within one run.

    python scripts/measure_memory.py --records 20000
    python scripts/measure_memory.py --records 100000 --texts texts.jsonl.gz

`observe` is measured beside one durable upsert and one embedding, a context beside one raw query of FAISS' HNSW, one
embedding and one count of what was rendered, and many contexts at once beside the raw index on all cores. Medians of
the rounds. Without `--texts` (lines, or JSON objects with `text`) the texts are made up.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TypeVar

import faiss
import numpy as np

from ctxkit import AsyncContextManager, Config, ContextManager, VectorStoreConfig
from ctxkit.interfaces import CollectionSpec
from ctxkit.memory.entries import KIND, MEMORY
from ctxkit.plugins import get_registry
from ctxkit.records import Record

ResultT = TypeVar("ResultT")
BATCH = 1000
ROUNDS = 300
AT_ONCE = 100
WORDS = (
    "boat",
    "harbour",
    "tile",
    "violin",
    "invoice",
    "garden",
    "kettle",
    "winter",
    "letter",
    "bridge",
    "salt",
    "lamp",
)


def main() -> None:
    """Fill a store, measure, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=20_000, help="memories in the store (20000)")
    parser.add_argument("--texts", type=Path, help="a file of texts, repeated where they are too few")
    parser.add_argument("--folder", type=Path, help="keep the store here, and use it again")
    arguments = parser.parse_args()
    texts = list(islice(texts_of(arguments.texts), arguments.records))
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.folder or Path(scratch) / "memory"
        with ContextManager(_config(), path=folder) as memory:
            print(f"{_fill(memory, texts)} memories of {arguments.records} were written")
            index = _raw_index(memory)
            questions = [f"{text[:80]}?" for text in random.Random(0).choices(texts, k=ROUNDS)]  # noqa: S311 - dice
            _build(memory, index, questions)
            _observe(memory, Path(scratch) / "bare", texts)
        asyncio.run(_at_once(folder, index, questions))


def _config() -> Config:
    return Config(vector_store=VectorStoreConfig.model_validate({"provider": "faiss", "index_type": "HNSW"}))


def texts_of(file: Path | None) -> Iterator[str]:
    """Yield the texts of a file again and again, numbered from the second time on; without one, made-up ones."""
    if file is None:
        dice = random.Random(0)  # noqa: S311 - dice
        while True:
            yield " ".join(dice.choices(WORDS, k=12)) + f" {dice.randrange(10**6)}"
    raw = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    lines = raw.decode("utf-8").splitlines()
    read = [json.loads(line)["text"] if line.startswith("{") else line for line in lines]
    for number in range(10**9):
        yield from (text if not number else f"{text} ({number})" for text in read)


def _fill(memory: ContextManager, texts: Sequence[str]) -> int:
    vault = memory.long_term_memory.vault
    have = vault.store.count({KIND: MEMORY})
    for start in range(have, len(texts), BATCH):
        some = enumerate(texts[start : start + BATCH], start)
        vault.write([Record(f"m{n}", text, None, {KIND: MEMORY, "timestamp": float(n)}) for n, text in some])
    if have < len(texts):
        vault.store.optimize()
    return max(len(texts) - have, 0)


def _raw_index(memory: ContextManager) -> faiss.Index:
    rows = memory.long_term_memory.vault.store.scan({KIND: MEMORY}, include_vectors=True)
    vectors = np.stack([record.vector for record in rows if record.vector is not None])
    index = faiss.IndexHNSWFlat(vectors.shape[1], 32, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efSearch = 64
    index.add(vectors)
    return index


def _build(memory: ContextManager, index: faiss.Index, questions: Sequence[str]) -> None:
    faiss.omp_set_num_threads(1)
    with get_registry().create_embedder("static") as embedder:
        tokenizer = get_registry().create_tokenizer("estimate")
        built = [memory.build(question).text for question in questions]  # warms up, too
        parts: dict[str, list[float]] = {"query": [], "embed": [], "count": [], "context": []}
        for number, question in enumerate(questions):
            vector = _timed(parts["embed"], lambda: embedder.embed_query(f"{question}?"))  # noqa: B023 - called at once
            _timed(parts["query"], lambda: index.search(vector[np.newaxis], 10))  # noqa: B023
            _timed(parts["count"], lambda: tokenizer.count(f"{built[number]} "))  # noqa: B023
            _timed(parts["context"], lambda: memory.build(f"{question}?"))  # noqa: B023
    figures = {name: statistics.median(values) * 1e3 for name, values in parts.items()}
    beside = figures["query"] + figures["embed"] + figures["count"]
    print("context  " + ", ".join(f"{name} {value:.2f} ms" for name, value in figures.items()))
    print(f"         {figures['context'] / beside:.1f} x (query + embed + count)")


def _observe(memory: ContextManager, folder: Path, texts: Sequence[str]) -> None:
    spec = CollectionSpec(dimension=384)
    with (
        get_registry().create_embedder("static") as embedder,
        get_registry().open_store("faiss", spec, {"path": folder}) as bare,
    ):
        parts: dict[str, list[float]] = {"upsert": [], "embed": [], "observe": []}
        for number in range(ROUNDS):
            said = f"User: {texts[number % len(texts)]}\nAssistant: Noted, {number}."
            vector = _timed(parts["embed"], lambda: embedder.embed_documents([said])[0])  # noqa: B023
            record = Record(f"r{number}", said, vector, {"timestamp": float(number)})
            _timed(parts["upsert"], lambda: bare.upsert([record]))  # noqa: B023
            text = texts[number % len(texts)]
            _timed(parts["observe"], lambda: memory.observe(text, f"Noted, {number}."))  # noqa: B023
    figures = {name: statistics.median(values) * 1e3 for name, values in parts.items()}
    print("observe  " + ", ".join(f"{name} {value:.2f} ms" for name, value in figures.items()))
    print(f"         {figures['observe'] / (figures['upsert'] + figures['embed']):.2f} x (upsert + embed)")


async def _at_once(folder: Path, index: faiss.Index, questions: Sequence[str]) -> None:
    faiss.omp_set_num_threads(os.cpu_count() or 1)
    with get_registry().create_embedder("static") as embedder:
        vectors = embedder.embed_documents(list(questions[:AT_ONCE]))
    async with await AsyncContextManager.open(_config(), path=folder) as memory:
        await memory.build_context_async(questions[-1])
        start = time.perf_counter()
        await asyncio.gather(*(memory.build_context_async(f"{question}!") for question in questions[:AT_ONCE]))
        ours = time.perf_counter() - start
    start = time.perf_counter()
    index.search(vectors, 10)
    raw = time.perf_counter() - start
    print(f"at once  {AT_ONCE} contexts in {ours:.2f} s, the raw index alone in {raw * 1e3:.1f} ms: {raw / ours:.4f} x")


def _timed(into: list[float], call: Callable[[], ResultT]) -> ResultT:
    start = time.perf_counter()
    made = call()
    into.append(time.perf_counter() - start)
    return made


if __name__ == "__main__":
    main()
