"""Make the small tokenizer.json that the conformance suite examines: the same bytes every time.

python scripts/make_example.py
"""

from __future__ import annotations

from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

EXAMPLE = Path(__file__).parents[1] / "src" / "ctxkit_tiktoken" / "example.json"
VOCABULARY = 600
TEXTS = (
    "The harbour office opens at seven, and the ferry leaves when the tide allows it.",
    "She keeps the spare key under the third flower pot, where nobody has ever looked for it.",
    "for number, line in enumerate(lines):\n    print(number, line.strip())\n",
    "In 2024 the orchard gave 1380 kilograms of pears; in 2025 there were 967.",
    "Der Bus hielt an der Mühle, und niemand stieg aus.",
    "Whoever comes late to the rehearsal has to sing the second verse alone.",
)


def main() -> None:
    """Train the vocabulary and write the file."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        show_progress=False,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    EXAMPLE.write_text(tokenizer.to_str(pretty=False) + "\n", encoding="utf-8")
    print(f"{EXAMPLE.name}: {tokenizer.get_vocab_size()} tokens, {EXAMPLE.stat().st_size} bytes")


if __name__ == "__main__":
    main()
