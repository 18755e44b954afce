"""Upper bounds on the tokens of one piece of text, from parts of two published vocabularies.

A byte-level BPE encoder cuts text into pieces by an expression. A piece that is a token as a whole costs one. In any
other it merges, again and again, the leftmost adjacent pair whose concatenation is the token of least rank, until no
adjacent pair makes a token. Three facts bound the result without the whole vocabulary:

1. Merges of rank below r come before all others, so the encoder's work on a piece begins with exactly the work of an
   encoder that knows only those; every merge after that lowers the count. Tokens made of bytes which a piece does not
   hold change nothing. So it suffices to know the tokens below some rank, over the bytes of the piece.
2. What remains at the end has no adjacent pair that makes a token, hence none that makes a token in a known part of
   the vocabulary. The longest way to join the segments of (1) that keeps this law is an upper bound.
3. If each adjacent pair of a segmentation, encoded alone, gives that pair, the segmentation is what the encoder gives:
   the first merge across one of its cuts would also happen in that pair alone. So a long piece can be encoded in
   windows, as long as each seam passes this test.
4. Where no token reaches from one byte to the next, no merge does. cl100k_base has no token that reaches from a Latin
   letter to a character of SCRIPTS or back, but for a few that begin with the last byte of any character and go on
   with one of the class `bridge`. So a word is bounded in parts that end there, and how little is known of the tokens
   of one part does not loosen the bound of the next.

The data file is one zlib stream: a line of JSON, then the sections that it gives the lengths of. The strings are
sorted; `shared` holds the length of the prefix that each shares with the one before it, `lengths` the length of the
rest, `rests` these rests, `flags` bit 0 for a token of both vocabularies and bits 1 and 2 for a ranked token of the
first and of the second. A section per vocabulary holds the places of its ranked tokens in the order of rank, low
bytes first, then high bytes. `limits` are the places below which every token with an ASCII letter, and every other, is
ranked; those of ASCII white space are all ranked. `classes` are runs of code points: gap, length, gap, ...
"""

from __future__ import annotations

import json
import re
import zlib
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from itertools import accumulate, pairwise

from ctxkit.errors import TokenizerError

DATA_FILE = "estimator_vocab.bin"
WINDOW = 128  # bytes of a long piece that are merged at a time
_MARGIN = 32  # bytes at the end of a window whose segments are not yet trusted
_BACK = 16  # segments taken back where a seam fails
_NO_MERGE = 1 << 30
_CACHED_PIECES = 1 << 16
_CACHED_LENGTH = 64
# An ASCII letter, or the first bytes of what LATIN holds.
_LETTER = re.compile(rb"[A-Za-z\xc2-\xcc]|\xcd[\x80-\xaf]|\xe1[\xb8-\xbb]")
LATIN = r"\u0080-\u036f\u1e00-\u1eff"
SCRIPTS = (
    r"\u0370-\u1dff\u1f00-\u1fff\u2070-\u2dff\u3040-\ud7ff\uf900-\ufdff\ufe70-\ufefc\uff21-\uffdc"
    r"\U00010000-\U0010ffff"
)


class PieceCosts(dict[str, int]):
    """Maps a piece to an upper bound on its tokens in one vocabulary, worked out when first asked for."""

    def __init__(
        self, known: frozenset[bytes], ranks: dict[bytes, int], limits: tuple[int, int], cuts: re.Pattern[str] | None
    ) -> None:
        super().__init__()
        self._known = known
        self._ranks = ranks
        self._letter_limit, self._other_limit = limits
        self._cuts = cuts
        self._window = lru_cache(maxsize=1 << 12)(self._merge)

    def __missing__(self, piece: str) -> int:
        if piece.encode() in self._known:
            cost = 1
        else:
            parts = self._cuts.split(piece) if self._cuts and not piece.isascii() else (piece,)
            cost = sum(longest_coarsening(self.segments(part.encode()), self._known) for part in parts)
        if len(piece) <= _CACHED_LENGTH:
            if len(self) >= _CACHED_PIECES:
                self.clear()
            self[piece] = cost
        return cost

    def segments(self, raw: bytes) -> Sequence[bytes]:
        """Return what the encoder's ranked merges make of a piece (fact 1)."""
        limit = self._limit(raw)
        return self._merge(raw, limit) if len(raw) <= WINDOW else self._merge_long(raw, limit)

    def _limit(self, raw: bytes) -> int:
        """Return the place below which every token over the bytes of a piece is ranked."""
        if raw.isspace():
            return _NO_MERGE
        return self._letter_limit if _LETTER.search(raw) else self._other_limit

    def _merge(self, raw: bytes, limit: int) -> tuple[bytes, ...]:
        """Merge by least rank, leftmost first. Quadratic: for windows."""
        rank_of = self._ranks.get
        parts = [raw[i : i + 1] for i in range(len(raw))]
        ranks = [rank_of(raw[i : i + 2], limit) for i in range(len(raw) - 1)]
        while ranks:
            least = min(ranks)
            if least >= limit:
                break
            i = ranks.index(least)
            parts[i : i + 2] = [parts[i] + parts[i + 1]]
            del ranks[i]
            if i < len(ranks):
                ranks[i] = rank_of(parts[i] + parts[i + 1], limit)
            if i:
                ranks[i - 1] = rank_of(parts[i - 1] + parts[i], limit)
        return tuple(parts)

    def _merge_long(self, raw: bytes, limit: int) -> Sequence[bytes]:
        """Merge window by window, testing each seam (fact 3); the plain bytes if that fails too often."""
        done: list[bytes] = []
        position, width, failures = 0, WINDOW, 0
        while position < len(raw):
            parts = self._window(raw[position : position + width], limit)
            if position + width < len(raw):
                parts = parts[: _trusted(parts, width - _MARGIN)]
            if not parts:  # one token fills the window
                width *= 2
                continue
            if not done or self._window(done[-1] + parts[0], limit) == (done[-1], parts[0]):
                done += parts
                position += sum(map(len, parts))
                continue
            failures += 1
            if failures > 8 + len(raw) // WINDOW:
                return [raw[i : i + 1] for i in range(len(raw))]
            position -= sum(map(len, done[-_BACK:]))
            del done[-_BACK:]
            width = min(2 * width, 16 * WINDOW)
        return done


def _trusted(parts: Sequence[bytes], length: int) -> int:
    """Return how many of the first segments end within `length` bytes."""
    return bisect_right(list(accumulate(map(len, parts))), length)


def longest_coarsening(parts: Sequence[bytes], known: frozenset[bytes]) -> int:
    """Return an upper bound on the segments left when adjacent `parts` are joined until no pair is `known` (fact 2).

    The law is asked of parts that stay single; a segment of two or more parts is let off it, which can only raise the
    bound.
    """
    mergeable = [a + b in known for a, b in pairwise(parts)]
    if True not in mergeable:
        return len(parts)
    # The most segments up to a part that stays single, and up to one that is joined to the part before it.
    single, joined = 1, 0
    before = 0  # the better of the two, one part earlier
    for must_merge in mergeable:
        best = max(single, joined)
        single, joined, before = (joined if must_merge else best) + 1, before + 1, best
    return max(single, joined)


@dataclass(frozen=True)
class Vocabulary:
    """What the data file holds: costs by vocabulary name, and runs of code points by character class."""

    costs: dict[str, PieceCosts]
    classes: dict[str, list[tuple[int, int]]]

    def ranges(self, name: str, top: int) -> str:
        """Return a class up to the code point `top` as it stands between the brackets of an expression."""
        runs = ((first, min(last, top)) for first, last in self.classes[name] if first <= top)
        return "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in runs)


@cache
def load_vocabulary() -> Vocabulary:
    """Read the data file, once; raises TokenizerError where it is missing or damaged."""
    try:
        content = zlib.decompress(resources.files(__package__).joinpath(DATA_FILE).read_bytes())
        return _parse(content)
    except (OSError, zlib.error, ValueError, KeyError) as error:
        raise TokenizerError(
            f"the estimating tokenizer cannot read its data file {DATA_FILE} ({error}).", fix="reinstall ctxkit-core."
        ) from error


def _parse(content: bytes) -> Vocabulary:
    line, _, body = content.partition(b"\n")
    head = json.loads(line)
    if head["format"] != 1:
        raise ValueError(f"format {head['format']}")
    sections: dict[str, bytes] = {}
    start = 0
    for name, length in head["sections"].items():
        sections[name] = body[start : start + length]
        start += length
    if start != len(body):
        raise ValueError(f"{len(body)} bytes where {start} were announced")
    strings = list(_strings(sections["shared"], sections["lengths"], sections["rests"]))
    flags = sections["flags"]
    known = frozenset(string for string, flag in zip(strings, flags, strict=True) if flag & 1)
    vocabulary = Vocabulary({}, {name: list(_runs(steps)) for name, steps in head["classes"].items()})
    bridge = vocabulary.ranges("bridge", 0x10FFFF)
    script_change = re.compile(
        rf"(?<=[A-Za-z])(?=[{SCRIPTS}])|(?<=[{LATIN}])(?=[{SCRIPTS}])(?![{bridge}])|(?<=[{SCRIPTS}])(?=[A-Za-z{LATIN}])"
    )
    for bit, (name, (letters, others)) in enumerate(head["limits"].items(), 1):
        ranked = (string for string, flag in zip(strings, flags, strict=True) if flag >> bit & 1)
        low = sections[name][: len(sections[name]) // 2]
        places = (low[i] | sections[name][len(low) + i] << 8 for i in range(len(low)))
        ranks = dict(zip(ranked, places, strict=True))
        # Under one limit for all text there is nothing to tell apart, and fact 4 is not said of that vocabulary.
        cuts = None if letters == others else script_change
        vocabulary.costs[name] = PieceCosts(known, ranks, (letters, others), cuts)
    return vocabulary


def _strings(shared: bytes, lengths: bytes, rests: bytes) -> Iterator[bytes]:
    """Yield the front-coded strings."""
    previous, start = b"", 0
    for size, length in zip(shared, lengths, strict=True):
        previous = previous[:size] + rests[start : start + length]
        start += length
        yield previous


def _runs(steps: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield the first and the last code point of each run."""
    code = 0
    for gap, length in zip(steps[::2], steps[1::2], strict=True):
        yield code + gap, code + gap + length - 1
        code += gap + length
