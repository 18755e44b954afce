"""Make the data file of the estimating tokenizer from the vocabularies that tiktoken knows.

    python scripts/make_estimator_vocab.py            write ctxkit/defaults/estimator_vocab.bin
    python scripts/make_estimator_vocab.py --check    fail unless the file is what would be written

The result depends only on the two published vocabularies and on two versions of the Unicode tables, that of
tiktoken's expression engine and that of Python's unicodedata (14.0: run it with Python 3.11). The vocabularies are
read from TIKTOKEN_CACHE_DIR or, unless that is set, from the copies inside llama-index-core. The layout is described
in ctxkit/defaults/estimator_vocab.py.
"""

from __future__ import annotations

import json
import os
import sys
import unicodedata
import zlib
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

import tiktoken

TARGET = Path(__file__).parent.parent / "ctxkit" / "defaults" / "estimator_vocab.bin"
UNICODE_OF_PYTHON = "14.0.0"
LETTERS = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
EVERYTHING = 1 << 30
# Ranks below these are stored, for tokens with an ASCII letter and for others; those of white space are all stored.
# cl100k_base holds few tokens beyond ASCII, and decides the count of such text.
LIMITS = {"cl100k_base": (25_000, EVERYTHING), "o200k_base": (32_000, 32_000)}
NARROW = "cl100k_base"  # the vocabulary whose words are bounded script by script
CLASSES = {
    "upper": r"[\p{Lu}\p{Lt}]",
    "lower": r"\p{Ll}",
    "uncased": r"[\p{Lm}\p{Lo}]",
    "mark": r"\p{M}",
    "number": r"\p{N}",
}


def characters_of(expression: str) -> set[str]:
    """Return every character that matches `expression` in tiktoken's own engine."""
    # With one token a byte, and no token for what does not match, encoding is a filter.
    ranks = {bytes([byte]): byte for byte in range(256)}
    engine = tiktoken.Encoding("classes", pat_str=expression, mergeable_ranks=ranks, special_tokens={})
    everything = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x110000)]))
    return set(bytes(engine.encode_ordinary(everything)).decode())


def as_steps(characters: Iterable[str]) -> list[int]:
    """Return code points as first, length, gap, length, gap ... of their runs."""
    steps: list[int] = []
    end = 0
    for code in sorted(map(ord, characters)):
        if steps and code == end:
            steps[-1] += 1
        else:
            steps += [code - end, 1]
        end = code + 1
    return steps


def bridged(ranks: Iterable[bytes]) -> set[str]:
    """Return the characters that some token joins to the last byte of the character before them."""
    found: set[str] = set()
    for token in ranks:
        start = next((i for i, byte in enumerate(token) if not is_tail(byte)), len(token))
        if 0 < start < len(token):
            size = next(
                size for size, first in ((1, 0), (2, 0xC0), (3, 0xE0), (4, 0xF0))[::-1] if token[start] >= first
            )
            head = token[start : start + size]
            low, high = (head.ljust(size, fill).decode("utf-8", "surrogatepass") for fill in (b"\x80", b"\xbf"))
            found.update(map(chr, range(ord(low), ord(high) + 1)))
    return found


def is_tail(byte: int) -> bool:
    """Whether a byte continues a character in UTF-8."""
    return byte & 0xC0 == 0x80  # noqa: PLR2004


def character_classes() -> dict[str, list[int]]:
    """Return the runs of each class that the splitting expressions name, and of the unsettled code points."""
    classes = {name: characters_of(expression) for name, expression in CLASSES.items()}
    young = {
        character for members in classes.values() for character in members if unicodedata.category(character) == "Cn"
    }
    classes["unsettled"] = young | characters_of(r"\p{Cn}")
    classes["bridge"] = bridged(tiktoken.get_encoding(NARROW)._mergeable_ranks)  # noqa: SLF001
    return {name: as_steps(members) for name, members in classes.items()}


def stored_ranks(ranks: dict[bytes, int], limits: tuple[int, int]) -> tuple[dict[bytes, int], list[int]]:
    """Return the stored tokens with their place among the stored, and the limits in such places."""
    letters, others = limits
    kept = {
        token: rank
        for token, rank in ranks.items()
        if rank < (letters if LETTERS.intersection(token) else others) or token.isspace()
    }
    order = sorted(kept, key=kept.__getitem__)
    places = [sum(rank < limit for rank in kept.values()) for limit in limits]
    return {token: place for place, token in enumerate(order)}, places


def payload() -> bytes:
    """Return the content of the data file before compression."""
    spec = find_spec("llama_index.core")
    if spec is not None and spec.origin is not None:
        os.environ.setdefault("TIKTOKEN_CACHE_DIR", str(Path(spec.origin).parent / "_static" / "tiktoken_cache"))
    vocabularies = {name: tiktoken.get_encoding(name)._mergeable_ranks for name in LIMITS}  # noqa: SLF001  # no public name
    common = set.intersection(*(set(ranks) for ranks in vocabularies.values()))
    stored = {name: stored_ranks(ranks, LIMITS[name]) for name, ranks in vocabularies.items()}
    strings = sorted(common.union(*(places for places, _ in stored.values())))
    shared, rests, flags = bytearray(), [], bytearray()
    previous = b""
    for string in strings:
        size = next((i for i, (a, b) in enumerate(zip(previous, string, strict=False)) if a != b), len(previous))
        shared.append(size)
        rests.append(string[size:])
        flags.append(
            (string in common) + sum(2 << i for i, (places, _) in enumerate(stored.values()) if string in places)
        )
        previous = string
    sections = {
        "shared": bytes(shared),
        "lengths": bytes(map(len, rests)),
        "flags": bytes(flags),
        "rests": b"".join(rests),
    }
    for name, (places, _) in stored.items():
        order = [places[string] for string in strings if string in places]
        sections[name] = b"".join(bytes(place >> shift & 0xFF for place in order) for shift in (0, 8))
    head = {
        "format": 1,
        "limits": {name: places for name, (_, places) in stored.items()},
        "sections": {name: len(section) for name, section in sections.items()},
        "classes": character_classes(),
    }
    return json.dumps(head, separators=(",", ":")).encode() + b"\n" + b"".join(sections.values())


def main() -> int:
    """Write or check the data file; return the exit code."""
    if unicodedata.unidata_version != UNICODE_OF_PYTHON:
        print(f"needs a Python with Unicode {UNICODE_OF_PYTHON}; this one has {unicodedata.unidata_version}")
        return 2
    content = payload()
    if "--check" in sys.argv[1:]:
        # Compare what is inside: two builds of zlib may pack the same bytes differently.
        same = TARGET.exists() and zlib.decompress(TARGET.read_bytes()) == content
        print(f"{TARGET.name} is {'up to date' if same else 'NOT what this script makes'}")
        return 0 if same else 1
    TARGET.write_bytes(zlib.compress(content, 9))
    print(f"{TARGET.name}: {TARGET.stat().st_size:,} bytes, {len(content):,} before compression")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
