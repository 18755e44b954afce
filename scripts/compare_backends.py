"""Measure several stores with the same rows, in one process and in turns, and print them as one table in Markdown.

    python scripts/compare_backends.py --rows 20000 --data vectors.npy --texts texts.jsonl.gz
    python scripts/compare_backends.py exact faiss:index_type=HNSW chroma --rows 5000

`ctxkit bench vector-store` says what each store costs beside its own raw library; this says which of several to choose.
All are filled, indexed and open at once; then each round asks every store the same question, so that what else the
machine does falls on all of them, and the quickest answer of all rounds counts. A store is opened anew in a process of
its own. Files lie below `--folder` and are gone afterwards.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from ctxkit_conformance.bench.data import RANK, Dataset, load
from ctxkit_conformance.bench.job import Job
from ctxkit_conformance.bench.naming import parsed
from ctxkit_conformance.bench.probe import probed
from ctxkit_conformance.bench.show import shown
from ctxkit_conformance.bench.stage import K, Stage
from ctxkit_conformance.bench.timing import in_turns
from ctxkit_conformance.bench.truth import last_similarities, recall

from ctxkit.cli.output import progress
from ctxkit.errors import CtxkitError

STORES: Final = ("exact", "faiss", "faiss:index_type=HNSW", "hnswlib", "chroma", "pgvector")
SHARES: Final = (1.0, 0.1, 0.01, 0.001)
_CALLS: Final = 3
_OPENINGS: Final = 3
_PROCESSES: Final = {
    "single-process": "one",
    "single-writer": "one writes, others read",
    "multi-writer": "any number",
}


class Contestant:
    """One store, filled: its figures by the name of the row of the table."""

    def __init__(self, name: str, data: Dataset, folder: Path) -> None:
        named = parsed(name)
        job = Job(name=named.name, title=name, options=named.options, folder=str(folder), rows=len(data))
        self.name, self.data = name, data
        self.stage = Stage(job, job.subject(), data, lambda _: None)
        begin = time.perf_counter()
        self.stage.fill()
        written = len(data) / (time.perf_counter() - begin)
        self.store = self.stage.store
        self.figures = {"rows written a second, 1 000 at once": shown(written, "/s")}

    def ask(self, share: float, number: int) -> list[list[Any]]:
        """Ask one question under a filter that passes that share of the rows; text and metadata are in hand."""
        return self.stage.ask(self.stage.query(number), **_filter(share, len(self.data)))

    def look(self) -> None:
        """Take down what needs no clock: what is found under each filter, bytes on disk, what is declared."""
        without, *under = (self._recall(share) for share in SHARES)
        self.figures["recall@10"] = shown(without, "share")
        self.figures["recall@10, the least under a filter"] = shown(min(under), "share")
        size = self.store.stats().bytes_on_disk
        self.figures["bytes on disk, a row"] = "" if size is None else f"{size / len(self.data):,.0f}"
        declared = self.stage.declared
        self.figures["a killed process loses nothing that was acknowledged"] = _yes(declared.crash_safe)
        self.figures["damaged files are noticed"] = _yes(declared.detects_corruption)
        self.figures["processes at once"] = _PROCESSES[declared.concurrency]

    def reopen(self, times: int) -> None:
        """Open the store in a new process: until its first answer, and the private memory after twenty."""
        with self.stage.closed():
            opened = min((probed(self.stage, raw=False) for _ in range(times)), key=lambda each: each.seconds)
        self.figures["opening, until the first answer"] = shown(opened.seconds, "s")
        private = opened.private
        self.figures["private memory, bytes a row"] = "" if private is None else f"{private / len(self.data):,.0f}"

    def _recall(self, share: float) -> float:
        """Return recall@10; raises ValueError when an answer has fewer than min(k, rows that pass) hits."""
        data, place = self.data, {id_: row for row, id_ in enumerate(self.data.ids)}
        mask = np.ones(len(data), dtype=np.bool_)
        if share < 1:
            mask = data.column(RANK) < _limit(share, len(data))
        queries = data.queries[:100]
        true = last_similarities(queries, data.vectors, K, [mask] * len(queries))
        answers = [[place[row[0]] for row in self.ask(share, number)[0]] for number in range(len(queries))]
        if any(len(answer) != wanted for answer, (_, wanted) in zip(answers, true, strict=True)):
            raise ValueError(f"{self.name} gave fewer hits than pass the filter.")
        return recall(queries, [data.vectors[answer] for answer in answers], true)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print the table."""
    asked = _parsed(arguments)
    try:
        with tempfile.TemporaryDirectory(dir=asked.folder) as folder, ExitStack() as stack:
            data = load(asked.data, asked.texts, asked.rows, 0)
            names, contestants = asked.store or STORES, []
            with progress("measuring") as tell:
                for number, name in enumerate(names):
                    tell(number, len(names), f"filling {name}")
                    place = Path(folder) / str(number)
                    place.mkdir()
                    contestants.append(Contestant(name, data, place))
                    stack.enter_context(closing(contestants[-1].stage))
                _compare(contestants, asked.rounds)
                for number, each in enumerate(contestants):
                    tell(number, len(names), f"opening {each.name}")
                    each.look()
                    each.reopen(min(_OPENINGS, asked.rounds))
            print(_table(contestants))
    except CtxkitError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _compare(contestants: Sequence[Contestant], rounds: int) -> None:
    """Time every kind of question, all stores in turns."""
    for share in SHARES:
        turns = in_turns([partial(each.ask, share) for each in contestants], rounds=rounds, calls=_CALLS)
        for each, times in zip(contestants, turns.times, strict=True):
            each.figures[f"a query{_said(share)}"] = shown(min(min(calls) for calls in times), "s")


def _table(contestants: Sequence[Contestant]) -> str:
    names = " | ".join(f"`{each.name.replace(':', '` ', 1)}{'' if ':' in each.name else '`'}" for each in contestants)
    rows = [f"| {row} | {' | '.join(each.figures[row] for each in contestants)} |" for row in contestants[0].figures]
    return "\n".join([f"| | {names} |", "|---" * (len(contestants) + 1) + "|", *rows])


def _filter(share: float, rows: int) -> dict[str, Any]:
    return {} if share == 1 else {"where": {RANK: {"$lt": _limit(share, rows)}}}


def _limit(share: float, rows: int) -> int:
    return max(1, round(rows * share))


def _said(share: float) -> str:
    return "" if share == 1 else f", filter {100 * share:g} %"


def _yes(declared: bool) -> str:  # noqa: FBT001 - the one thing that is said
    return "yes" if declared else "not declared"


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare stores, in turns.")
    parser.add_argument("store", nargs="*", metavar="STORE", help=f"as NAME:KEY=VALUE,...; {', '.join(STORES)}")
    parser.add_argument("--rows", type=int, default=20_000, help="how many rows to store")
    parser.add_argument("--data", type=Path, help="vectors, .npy; made up by default")
    parser.add_argument("--texts", type=Path, help="their texts, lines or JSON objects; also .gz")
    parser.add_argument("--rounds", type=int, default=15, help="rounds of each question")
    parser.add_argument("--folder", type=Path, help="where the stores lie meanwhile")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
