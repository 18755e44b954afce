"""Measure the embedder against the library it stands on, in one process and in turns, so that load hits both alike.

    python scripts/measure_embedding.py throughput --model FOLDER --texts turns.txt --count 5000
    python scripts/measure_embedding.py concurrency --model FOLDER --texts questions.txt --callers 16

`--texts` is a file with one text a line, or conversations in LoCoMo's JSON, whose turns are taken in their order, again
from the first where `--count` is larger. `throughput` embeds them as documents with this embedder and by calling
`SentenceTransformer.encode`, and prints the ratio of the times: 1.03 means three per cent slower. `concurrency` has
many threads ask for one text each, again and again: with this embedder; with the library, all threads calling it at
once; and with the library, one call at a time. It prints how many times quicker the embedder is. Rounds alternate;
medians count, and the spread is shown, because a busy machine has a wide one; seconds of the processor, shown beside
them, are steadier there.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import statistics
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import torch
from ctxkit_sentence_transformers.config import SentenceTransformersConfig
from ctxkit_sentence_transformers.embedder import SentenceTransformersEmbedder
from sentence_transformers import SentenceTransformer

Work = Callable[[], Any]


class Seconds(NamedTuple):
    """How long one run took: by the clock, and of the processor in all threads."""

    clock: float
    processor: float


def read_texts(path: Path, count: int) -> list[str]:
    """Return so many texts of a file, in their order, from the first again when all were taken."""
    if path.suffix == ".json":
        talks = [one["conversation"] for one in json.loads(path.read_text(encoding="utf-8"))]
        sessions = [part for talk in talks for name, part in talk.items() if re.fullmatch(r"session_\d+", name)]
        found = [f"{turn['speaker']}: {turn['text']}" for session in sessions for turn in session]
    else:
        found = [line for line in path.read_text(encoding="utf-8").splitlines() if line]
    return list(itertools.islice(itertools.cycle(found), count))


def timed(work: Work) -> Seconds:
    """Return the seconds that one run takes."""
    clock, processor = time.perf_counter(), time.process_time()
    work()
    return Seconds(time.perf_counter() - clock, time.process_time() - processor)


def in_turns(works: dict[str, Work], rounds: int) -> dict[str, list[Seconds]]:
    """Return the seconds of every round of every work; each goes first as often as the others."""
    found: dict[str, list[Seconds]] = {name: [] for name in works}
    names = list(works)
    for number in range(rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            found[name].append(timed(works[name]))
    return found


def show(found: dict[str, list[Seconds]], texts: int) -> None:
    """Print the median and the spread of each."""
    for name, rounds in found.items():
        clock = sorted(each.clock for each in rounds)
        middle, processor = middles(rounds)
        print(
            f"{name:>24}: {middle:7.3f} s ({clock[0]:.3f} to {clock[-1]:.3f}), {texts / middle:5.0f} texts/s,"
            f" processor {processor:7.3f} s"
        )


def middles(rounds: list[Seconds]) -> Seconds:
    """Return both medians."""
    return Seconds(*(statistics.median(values) for values in zip(*rounds, strict=True)))


def throughput(
    embedder: SentenceTransformersEmbedder, model: SentenceTransformer, texts: list[str], rounds: int
) -> None:
    """Compare one call with all texts."""
    found = in_turns(
        {
            "sentence-transformers": lambda: model.encode(texts, show_progress_bar=False, normalize_embeddings=True),
            "this embedder": lambda: embedder.embed_documents(texts),
        },
        rounds,
    )
    show(found, len(texts))
    pairs = list(zip(found["this embedder"], found["sentence-transformers"], strict=True))
    for name, place in (("clock", 0), ("processor", 1)):
        ratios = sorted(ours[place] / theirs[place] for ours, theirs in pairs)
        spread = f"{ratios[0]:.3f} to {ratios[-1]:.3f}"
        print(f"this embedder / sentence-transformers, by {name}: {statistics.median(ratios):.3f} ({spread})")


def concurrency(
    embedder: SentenceTransformersEmbedder,
    model: SentenceTransformer,
    texts: list[str],
    rounds: int,
    callers: int,
    each: int,
) -> None:
    """Compare many callers with one text each."""
    one_at_a_time = threading.Lock()
    asked = [texts[number % len(texts)] for number in range(callers * each)]

    def library(text: str) -> None:
        model.encode([text], show_progress_bar=False, normalize_embeddings=True)

    def library_alone(text: str) -> None:
        with one_at_a_time:
            library(text)

    def by(embed: Callable[[str], Any]) -> None:
        def caller(first: int) -> None:
            for text in asked[first::callers]:
                embed(text)

        with ThreadPoolExecutor(callers) as pool:
            list(pool.map(caller, range(callers)))

    works: dict[str, Work] = {
        "all threads at once": lambda: by(library),
        "one call at a time": lambda: by(library_alone),
        "this embedder": lambda: by(embedder.embed_query),
    }
    found = in_turns(works, rounds)
    show(found, len(asked))
    ours = middles(found.pop("this embedder"))
    for name, rounds_of in found.items():
        theirs = middles(rounds_of)
        by_processor = theirs.processor / ours.processor
        print(f"times quicker than {name}: {theirs.clock / ours.clock:.1f}, by processor {by_processor:.1f}")


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description="measure the embedder against sentence-transformers")
    parser.add_argument("what", choices=["throughput", "concurrency"])
    parser.add_argument("--model", required=True, help="a folder or a name")
    parser.add_argument("--texts", type=Path, required=True, help="one text a line, or LoCoMo's JSON")
    parser.add_argument("--count", type=int, default=5000, help="how many texts")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--callers", type=int, default=16)
    parser.add_argument("--each", type=int, default=8, help="calls of each caller in a round")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="threads of torch")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    texts = read_texts(options.texts, options.count)
    model = SentenceTransformer(options.model, device="cpu", local_files_only=True)
    with SentenceTransformersEmbedder(SentenceTransformersConfig(model=options.model, device="cpu")) as embedder:
        embedder.embed_documents(texts[:64])
        model.encode(texts[:64], show_progress_bar=False)
        print(f"{len(texts)} texts, {options.threads} threads of torch, {options.rounds} rounds")
        if options.what == "throughput":
            throughput(embedder, model, texts, options.rounds)
        else:
            concurrency(embedder, model, texts, options.rounds, options.callers, options.each)


if __name__ == "__main__":
    main()
