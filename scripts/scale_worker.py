"""The process that fills a store, or opens it and asks: `python scale_worker.py`, a task as JSON on standard input.

It answers with one JSON object a line: {"done": n, "what": ...} while it works, {"figures": ...} at its end.
"""

from __future__ import annotations

import json
import resource
import sqlite3
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import scale_server
from ctxkit_conformance.bench.private_memory import private_bytes
from measure_memory import texts_of

from ctxkit import Config, ContextManager, VectorStoreConfig
from ctxkit.local import LocalConfig
from ctxkit.memory.entries import KIND, MEMORY
from ctxkit.plugins import get_registry
from ctxkit.records import Record

BATCH = 1000
K = 10
WARM = 20  # questions before memory is looked at
ASKED = 100  # questions that are timed
LOT = "lot"  # a metadata field of one value in a hundred
LOTS = 100
_NEVER = 10**12  # vectors until an index is due
_ROLLUP = Path("/proc/self/smaps_rollup")
_KIB = 1024


@dataclass(frozen=True)
class Task:
    """What to do: `fill` a new store in `folder` with `rows` memories, or `ask` one that was filled."""

    do: str
    name: str
    options: dict[str, Any]
    folder: str
    rows: int
    texts: str = ""
    server: int = 0  # its first process, where the store has one

    @property
    def place(self) -> Path | None:
        """The folder of the memory, None where it is on a server."""
        return None if self.server else Path(self.folder)

    @property
    def file(self) -> Path | None:
        """The file of texts, None where they are made up."""
        return Path(self.texts) if self.texts else None

    @property
    def questions(self) -> Path:
        """The file of questions, which filling leaves for asking."""
        return Path(self.folder).with_suffix(".questions")


def main() -> None:
    """Do the task that stands on standard input."""
    task = Task(**json.loads(sys.stdin.read()))
    _send({"figures": (fill if task.do == "fill" else ask)(task)})


def fill(task: Task) -> dict[str, float]:
    """Write the memories, make the index, and return seconds, bytes on disk, and the most memory that it took.

    Where a store can, it is written without an index, which is made once and at the end: a large import does so.
    """
    times: dict[str, float] = {}
    with _opened(task, {**task.options, **_bulk(task)}) as memory:
        asked = _write(memory, islice(texts_of(task.file), task.rows), times, task)
    task.questions.write_text(json.dumps(asked[: WARM + ASKED]), encoding="utf-8")
    _send({"done": task.rows, "what": "making the index"})
    with _opened(task, task.options) as memory:
        store = memory.long_term_memory.vault.store
        with _timed(times, "indexing", task.server):
            store.optimize()
        stats = store.stats()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KIB
    taken = disk(Path(task.folder))
    if task.server:
        taken = {"disk in all": float(stats.bytes_on_disk or 0), "disk, the graph": stats.details["index_bytes"]}
    return {**taken, "memory peak while filling": peak, **times}


def _bulk(task: Task) -> dict[str, Any]:
    """Return the options under which a store makes no index."""
    config = get_registry().config_class("vector_store", task.name)
    if issubclass(config, LocalConfig):
        return {"exact_below": _NEVER}
    return {"index": "none"} if task.server else {}


def ask(task: Task) -> dict[str, float]:
    """Open what was filled, ask, and return bytes of memory and seconds."""
    folder = Path(task.folder)
    # The texts are not read here: what they leave free in Python's memory would take up what the store needs.
    questions = json.loads(task.questions.read_text(encoding="utf-8"))
    times: dict[str, float] = {}
    with _timed(times, "reopening to the first answer", task.server):
        memory = _opened(task, task.options)
        memory.query_memory(questions[0], K)
    with memory:
        for question in questions[:WARM]:
            memory.build(question)
        found = {**memory_of(folder), **(scale_server.memory(task.server) if task.server else {})}
        return {**found, **times, **_asked(memory, questions[WARM:], task.server)}


def disk(folder: Path) -> dict[str, float]:
    """Return the bytes of all files by their names, and those of SQLite's databases by table and index."""
    files = [each for each in folder.rglob("*") if each.is_file()]
    kinds: Counter[str] = Counter()
    for file in files:
        kinds[f"disk {file.name}"] += file.stat().st_size
    large = {name: count for name, count in sorted(kinds.items()) if count >= sum(kinds.values()) / 200}
    parts = {name: count for file in files if file.suffix in {".db", ".sqlite3"} for name, count in _tables(file)}
    return {"disk in all": sum(kinds.values()), **large, **parts}


def memory_of(folder: Path) -> dict[str, float]:
    """Return this process's own bytes, those of the store's files that are mapped, and its resident bytes, on Linux."""
    own = private_bytes(folder)
    rollup: Counter[str] = Counter()
    with suppress(OSError):
        for line in _ROLLUP.read_text(encoding="ascii").splitlines()[1:]:
            name, count, *_ = line.split()
            rollup[name.rstrip(":")] += int(count) * _KIB
    if own is None or not rollup:
        return {}
    mapped = max(rollup["Private_Clean"] + rollup["Private_Dirty"] - own, 0)
    return {"memory private": own, "memory mapped": mapped, "memory resident": rollup["Rss"]}


def _tables(file: Path) -> Iterator[tuple[str, float]]:
    with suppress(sqlite3.Error), closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
        found = connection.execute("SELECT name, pgsize FROM dbstat WHERE aggregate = TRUE").fetchall()
        whole = sum(count for _, count in found)
        yield from ((f"disk {file.name}, {name}", count) for name, count in found if count >= whole / 100)


def _opened(task: Task, options: dict[str, Any]) -> ContextManager:
    section = VectorStoreConfig.model_validate({"provider": task.name, **options})
    return ContextManager(Config(vector_store=section), path=task.place)


def _write(memory: ContextManager, texts: Iterator[str], times: dict[str, float], task: Task) -> list[str]:
    """Write the texts; return questions about some of them, spread over all."""
    vault, done, asked = memory.long_term_memory.vault, 0, []
    step = task.rows // (WARM + ASKED)
    if vault.embedder is None:
        raise SystemExit("there is no embedder: pip install ctxkit-static")
    while some := list(islice(texts, BATCH)):
        with _timed(times, "embedding"):
            vectors = vault.embedder.documents_unhurried(some)
        with _timed(times, "storing", task.server):
            vault.keep(
                [
                    Record(f"memory-{number:024d}", text, vector, _metadata(number))
                    for number, (text, vector) in enumerate(zip(some, vectors, strict=True), done)
                ]
            )
        asked += [f"{text[:80]}?" for text in some[-done % step :: step]]
        done += len(some)
        _send({"done": done, "what": "writing"})
    return asked


def _metadata(number: int) -> dict[str, Any]:
    return {KIND: MEMORY, "timestamp": 1_700_000_000.0 + number, LOT: number % LOTS}


def _asked(memory: ContextManager, questions: Sequence[str], server: int) -> dict[str, float]:
    vault = memory.long_term_memory.vault
    if vault.embedder is None:
        raise SystemExit("there is no embedder: pip install ctxkit-static")
    vectors = iter([vault.embedder.query(question) for question in questions] * 2)
    ways: dict[str, Callable[[str], object]] = {
        "query": lambda _: vault.store.query(next(vectors), K),
        "filtered query": lambda _: vault.store.query(next(vectors), K, where={LOT: 7}),
        "text query": lambda question: vault.store.text_query(question, K),
        "context": lambda question: memory.build(f"{question} "),
    }
    if not vault.store.capabilities.text_search:
        del ways["text query"]
    found: dict[str, float] = {}
    for name, way in ways.items():
        walls, processors = [], []
        for question in questions:
            spent: dict[str, float] = {}
            with _timed(spent, name, server):
                way(question)
            walls.append(spent[f"time {name}"])
            processors.append(spent[f"processor {name}"])
        found[f"time {name} p50"] = statistics.median(walls)
        found[f"time {name} p95"] = statistics.quantiles(walls, n=20)[-1]
        found[f"processor {name} p50"] = statistics.median(processors)
    return found


@contextmanager
def _timed(times: dict[str, float], name: str, server: int = 0) -> Iterator[None]:
    """Add the seconds of a clock, and those of processors that this process and a server had, whatever else is done."""
    begin, used = time.perf_counter(), _used(server)
    yield
    for kind, seconds in (("time", time.perf_counter() - begin), ("processor", _used(server) - used)):
        times[f"{kind} {name}"] = times.get(f"{kind} {name}", 0.0) + seconds


def _used(server: int) -> float:
    return time.process_time() + (scale_server.seconds(server) if server else 0.0)


def _send(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
