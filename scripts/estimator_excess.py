"""Print, as Markdown tables, how far the estimating tokenizer is above the two real ones: by text, and by kind.

python scripts/estimator_excess.py
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path
from statistics import mean

sys.path[:0] = [str(Path(__file__).parent.parent), str(Path(__file__).parent.parent / "tests")]

from estimator_corpora import table  # noqa: E402  # the path comes first
from tiktoken_vocab import NAMES, real_counts  # noqa: E402

from ctxkit.defaults.estimator import EstimatingTokenizer  # noqa: E402


def main() -> None:
    """Print both tables."""
    tokenizer = EstimatingTokenizer()
    excesses: defaultdict[str, list[float]] = defaultdict(list)
    print(f"| kind | text | characters | estimate | {' | '.join(NAMES)} | excess over the larger |")
    print("|---|---|--:|--:|--:|--:|--:|")
    for kind, name, text in table():
        real = real_counts(text)
        estimate = tokenizer.count(text)
        excess = estimate / max(real.values()) - 1
        excesses[kind].append(excess)
        numbers = " | ".join(f"{real[vocabulary]:,}" for vocabulary in NAMES)
        print(f"| {kind} | {name} | {len(text):,} | {estimate:,} | {numbers} | {excess:.1%} |")
    print("\n| kind | texts | least excess | mean | most |")
    print("|---|--:|--:|--:|--:|")
    for kind, found in excesses.items():
        print(f"| {kind} | {len(found)} | {min(found):.1%} | {mean(found):.1%} | {max(found):.1%} |")


if __name__ == "__main__":
    main()
