"""Print, as a Markdown table, how far the estimating tokenizer is above the two real ones.

python scripts/estimator_excess.py
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent.parent), str(Path(__file__).parent.parent / "tests")]

from estimator_corpora import table  # noqa: E402  # the path comes first
from tiktoken_vocab import NAMES, real_counts  # noqa: E402

from ctxkit.defaults.estimator import EstimatingTokenizer  # noqa: E402


def main() -> None:
    """Print the table."""
    tokenizer = EstimatingTokenizer()
    print(f"| kind | text | characters | estimate | {' | '.join(NAMES)} | excess over the larger |")
    print("|---|---|--:|--:|--:|--:|--:|")
    for kind, name, text in table():
        real = real_counts(text)
        estimate = tokenizer.count(text)
        excess = estimate / max(real.values()) - 1
        numbers = " | ".join(f"{real[vocabulary]:,}" for vocabulary in NAMES)
        print(f"| {kind} | {name} | {len(text):,} | {estimate:,} | {numbers} | {excess:.1%} |")


if __name__ == "__main__":
    main()
