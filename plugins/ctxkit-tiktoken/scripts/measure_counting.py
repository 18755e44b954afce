"""Compare with tiktoken itself: a long text, and the turns of a long conversation counted again.

    python scripts/measure_counting.py [ENCODING]

The vocabulary has to be on this machine (see the README). Times are those of the core, the best of several rounds in
which both sides take turns, so that a busy machine disturbs both alike; the ratios are what can be compared.
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from ctxkit_tiktoken.config import TiktokenConfig
from ctxkit_tiktoken.tokenizer import TiktokenTokenizer
from ctxkit_tiktoken.vocabulary import find_vocabulary, load_encoding

from ctxkit.tokens import RememberingTokenizer

LONG = 5_000_000
TURNS = 10_000
ROUNDS = 7
WORDS = (
    *("the", "boat", "was", "moored", "at", "berth", "14,", "and", "nobody", "had", "seen", "its", "owner", "since"),
    *(
        "Tuesday;",
        "she'd",
        "asked",
        "twice.",
        "F\u00fcr",
        "380.50",
        "EUR",
        "gab",
        "es",
        "ein",
        "neues",
        "Segel!",
        "def",
    ),
    *("area(radius):", "return", "3.14159", "*", "radius", "**", "2\n", "今天的天气很好\uff0c我们去公园散步。"),
)


def text_of(characters: int, seed: int) -> str:
    """Return mixed text of about this length."""
    chance = random.Random(seed)  # noqa: S311 - the same text every time
    return " ".join(chance.choices(WORDS, k=characters // 6))[:characters]


def seconds(call: Callable[[], Any]) -> float:
    """Return how much of a core's time a call takes."""
    begin = time.thread_time()
    call()
    return time.thread_time() - begin


def compared(name: str, ours: Callable[[], Any], theirs: Callable[[], Any], rounds: int = ROUNDS) -> None:
    """Print both times and their ratio."""
    pairs = [(seconds(ours), seconds(theirs)) for _ in range(rounds)]
    best, base = (min(times) for times in zip(*pairs, strict=True))
    middle = statistics.median(own / other for own, other in pairs)
    print(f"{name:44} {best * 1e3:9.1f} ms {base * 1e3:9.1f} ms  ratio {best / base:5.2f}  median {middle:5.2f}")


def main() -> None:
    """Measure one encoding."""
    name = sys.argv[1] if len(sys.argv) > 1 else "o200k_base"
    path = find_vocabulary(name)
    if path is None:
        sys.exit(f"the vocabulary of {name} is not on this machine")
    encoding = load_encoding(name, path)

    def own_count(text: str) -> int:
        return len(encoding.encode(text, disallowed_special=()))

    tokenizer = TiktokenTokenizer(TiktokenConfig(encoding=name))
    plain, mixed = text_of(LONG, 1).encode("ascii", "ignore").decode(), text_of(LONG, 2)
    print(f"{name:44} {'ctxkit':>12} {'tiktoken':>12}")
    for kind, text in (("5 MB, ASCII", plain), ("5 MB, mixed scripts", mixed)):
        compared(f"count {kind}", partial(counts, tokenizer.count, [text]), partial(counts, own_count, [text]))
    turns = [text_of(20 + 40 * (number % 10), number) for number in range(TURNS)]
    for each in (tokenizer, RememberingTokenizer(tokenizer)):
        counts(each.count, turns)
        kind = f"count {TURNS} turns again, {type(each).__name__}"
        compared(kind, partial(counts, each.count, turns), partial(counts, own_count, turns))


def counts(count: Callable[[str], int], texts: list[str]) -> list[int]:
    """Count every text."""
    return list(map(count, texts))


if __name__ == "__main__":
    main()
