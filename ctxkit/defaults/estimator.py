"""A tokenizer that needs nothing installed and never counts fewer tokens than the models' own.

It cuts text exactly as cl100k_base and o200k_base do, bounds the tokens of each piece from above in each of the two
(see estimator_vocab), and answers the larger sum. Both expressions are those of tiktoken 0.14, with the possessive
quantifiers, which change nothing here, taken out for Python 3.10.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from typing import Literal

from ctxkit.defaults.estimator_vocab import PieceCosts, load_vocabulary
from ctxkit.errors import TokenizerError
from ctxkit.interfaces import BackendConfig, Tokenizer

__all__ = ["EstimateConfig", "EstimatingTokenizer"]

CONCATENATION_BOUND = 16
UNSETTLED_SURCHARGE = 2
_BLOCK = 1 << 10  # characters counted at a time
_SCAN = 256
_NEAR = 16  # characters beyond a cut in a long word that are tried too, up to a length of _FAR
_FAR = 4096
_TOPS = (0x7F, 0xFFFF, 0x10FFFF)
_SPACE = r"\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_SURROGATE = re.compile("[\ud800-\udfff]")
_BEYOND_BMP = re.compile("[\U00010000-\U0010ffff]")
# Places where both expressions begin a piece whatever stands elsewhere, and where what stands before is cut as if
# the text ended there: before a blank after ink, after a line, between a letter and a digit, and where a run of
# Chinese or Japanese letters meets punctuation.
_CUT = re.compile(
    rf"(?<=[^{_SPACE}])(?=[ \t])|(?<=\n)(?=[^/{_SPACE}])|(?<=[A-Za-z])(?=[0-9])|(?<=[0-9])(?=[A-Za-z])"
    r"|(?<=[\u3041-\u3096\u30a1-\u30fa\u4e00-\u9ffc])(?=[\u3001\u3002\uff01\uff0c\uff1f])"
)


class EstimateConfig(BackendConfig):
    """The estimating tokenizer has no options."""


@dataclass(frozen=True)
class _Encoding:
    """One vocabulary's way to cut text, and what its pieces cost."""

    expression: re.Pattern[str]
    costs: PieceCosts

    def count(self, text: str) -> int:
        pieces = self.expression.findall(text)
        total = sum(map(self.costs.__getitem__, pieces))
        # White space at the very end is one piece in tiktoken 0.14; releases before cut it after its last line
        # break. The expression here does the latter; the larger of the two is counted.
        if len(pieces) > 1 and pieces[-1].isspace() and pieces[-2].isspace():
            first, last = pieces[-2:]
            total += max(0, self.costs[first + last] - self.costs[first] - self.costs[last])
        return total


@cache
def _encodings(top: int) -> tuple[_Encoding, _Encoding]:
    """Return cl100k_base and o200k_base for text without code points above `top`: short classes match faster."""
    vocabulary = load_vocabulary()
    upper, lower, uncased, mark, number = (
        vocabulary.ranges(name, top) for name in ("upper", "lower", "uncased", "mark", "number")
    )
    letter = upper + lower + uncased
    prefix = rf"[^\r\n{letter}{number}]?"
    digits = rf"[{number}]{{1,3}}"
    signs = rf" ?[^{_SPACE}{letter}{number}]+"
    # The long s is an s to an expression that ignores case.
    ending = r"'(?:[sS\u017fdDmMtT]|[lL][lL]|[rR][eE]|[vV][eE])"
    blanks = rf"[{_SPACE}]*[\r\n]|[{_SPACE}]+(?![^{_SPACE}])|[{_SPACE}]"
    cl100k = rf"{ending}|{prefix}[{letter}]+|{digits}|{signs}[\r\n]*|{blanks}"
    word = rf"{prefix}[{upper}{uncased}{mark}]*[{lower}{uncased}{mark}]+(?:{ending})?"
    capitals = rf"{prefix}[{upper}{uncased}{mark}]+[{lower}{uncased}{mark}]*(?:{ending})?"
    o200k = rf"{word}|{capitals}|{digits}|{signs}[\r\n/]*|{blanks}"
    costs = vocabulary.costs
    return (
        _Encoding(re.compile(cl100k), costs["cl100k_base"]),
        _Encoding(re.compile(o200k), costs["o200k_base"]),
    )


@cache
def _unsettled(top: int) -> re.Pattern[str]:
    """Match code points whose class depends on the version of Unicode: they may be cut otherwise elsewhere."""
    return re.compile(f"[{load_vocabulary().ranges('unsettled', top)}]")


def _counts(text: str) -> tuple[int, int]:
    """Return the bound of each encoding for a text that begins and ends where both cut."""
    if text.isascii():
        first, second = _encodings(_TOPS[0])
        return first.count(text), second.count(text)
    if _SURROGATE.search(text):
        # As tiktoken does: a pair is its character, a lone one U+FFFD.
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    top = _TOPS[2] if _BEYOND_BMP.search(text) else _TOPS[1]
    first, second = _encodings(top)
    surcharge = UNSETTLED_SURCHARGE * len(_unsettled(top).findall(text))
    return first.count(text) + surcharge, second.count(text) + surcharge


def _blocks(text: str, size: int) -> Iterator[tuple[int, int]]:
    """Yield consecutive spans of `size` characters or a little more, each ending at a cut or at the end."""
    start = 0
    while start < len(text):
        cut = _CUT.search(text, start + size)
        stop = cut.start() if cut else len(text)
        yield start, stop
        start = stop


class _Budget:
    """Adds up the two bounds and says how many tokens are left."""

    def __init__(self, tokens: int) -> None:
        self._first = tokens
        self._second = tokens

    def left(self, text: str = "") -> int:
        """Return the tokens that would be left after `text`; negative if it does not fit."""
        first, second = _counts(text)
        return min(self._first - first, self._second - second)

    def take(self, text: str) -> bool:
        """Spend the tokens of a text if it fits."""
        first, second = _counts(text)
        if first > self._first or second > self._second:
            return False
        self._first -= first
        self._second -= second
        return True


def _longest(length: int, left: Callable[[int], int]) -> int:
    """Return a size up to `length` that fits, the next of which, if there is one, does not.

    `left(size)` is the number of tokens left. It falls with size but for short dips, where a word becomes a token, so
    up to _SCAN every size is tried, longest first. Beyond, each look is dear: the search doubles, guesses where a
    straight line would end, strides from there, then halves; up to _FAR it looks across the dip where it ended.
    """
    if length <= _SCAN:
        return next((size for size in range(length, 0, -1) if left(size) >= 0), 0)
    low, high = 0, _SCAN
    spare = left(0)
    while (lack := left(high)) >= 0:
        if high == length:
            return length
        low, high, spare = high, min(2 * high, length), lack
    guess, stride = low + (high - low) * spare // (spare - lack), _SCAN // 8
    while high - low > 1:
        middle = guess if low < guess < high else (low + high) // 2
        if left(middle) >= 0:
            low, guess = middle, middle + stride
        else:
            high, guess = middle, middle - stride
        stride *= 2
    if length <= _FAR:
        while more := next((size for size in range(min(low + _NEAR, length), low, -1) if left(size) >= 0), 0):
            low = more
    return low


def _kept(text: str, budget: _Budget, size: int, *, backwards: bool) -> int:
    """Return how many characters from the beginning, or backwards from the end, fit; spend their tokens.

    The counts of blocks add up, so whole blocks are taken while they fit, then smaller ones, then characters.
    """
    blocks = _blocks(text, size)
    kept = 0
    for start, stop in reversed(list(blocks)) if backwards else blocks:
        block = text[start:stop]
        length = len(block)
        # What is long and has no cut may be far longer than what fits: it is searched, not counted.
        if length <= 2 * _BLOCK and budget.take(block):
            kept += length
            continue
        if size > 1:
            more = _kept(block, budget, 1, backwards=backwards)
        else:
            more = _longest(length, partial(_left, block, budget, backwards))
            if more == length:
                budget.take(block)
        kept += more
        if more < length:
            break
    return kept


def _left(block: str, budget: _Budget, backwards: bool, size: int) -> int:  # noqa: FBT001  # bound by position
    """Return the tokens left after `size` characters, or one less where that would split a surrogate pair."""
    at = len(block) - size if backwards else size
    if _splits_pair(block, at):
        at += 1 if backwards else -1
    return budget.left(block[at:] if backwards else block[:at])


def _splits_pair(text: str, at: int) -> bool:
    return "\ud800" <= text[at - 1 : at] <= "\udbff" and "\udc00" <= text[at : at + 1] <= "\udfff"


class EstimatingTokenizer(Tokenizer):
    """Counts at least as many tokens as cl100k_base and as o200k_base, for every text, and few more.

    Measured excess over the larger of the two: about 1 % on English, code, Chinese, Japanese and Korean, less on white
    space, none on digits and emoji (`python scripts/estimator_excess.py` prints the table). It has no token ids. Code
    points that Unicode assigned after version 14, or has not yet, cost two tokens more each, since releases of tiktoken
    may class them differently.
    """

    def __init__(self, config: EstimateConfig | None = None) -> None:
        self.config = config or EstimateConfig()

    @property
    def name(self) -> str:
        """The name of the estimate."""
        return "estimate"

    @property
    def exact(self) -> bool:
        """False: never below the models' own number."""
        return False

    @property
    def concatenation_bound(self) -> int:
        """How much a text may count beyond the sum of its two halves.

        A measured bound, for text that people write: the most seen is 8. Where tokens begin in a run of digits of other
        scripts, or in a very long word, depends on where the run begins, in the real encodings too, so no constant
        holds for every text that can be made up.
        """
        return CONCATENATION_BOUND

    def count(self, text: str) -> int:
        """Return an upper bound on the tokens of `text` in cl100k_base and o200k_base."""
        first = second = 0
        for start, end in _blocks(text, _BLOCK):
            counts = _counts(text[start:end])
            first += counts[0]
            second += counts[1]
        return max(first, second)

    def truncate(self, text: str, max_tokens: int, side: Literal["left", "right"] = "right") -> str:
        """Return the longest beginning (side "right") or end (side "left") of `text` within `max_tokens` tokens.

        One more character would not fit. A still longer part that counts less can be missed only where more than 256
        characters in a row hold no blank, no line break and no change between letters and digits; up to 4096 of them,
        only if it is more than 16 characters longer. A surrogate pair is kept or dropped whole. Raises TokenizerError
        if `max_tokens` is negative or `side` is neither.
        """
        if max_tokens < 0:
            raise TokenizerError(f"max_tokens is {max_tokens}.", fix="give a budget of 0 or more.")
        if side not in ("left", "right"):
            raise TokenizerError(f"side is {side!r}.", fix='cut away the "left" or the "right" side.')
        kept = _kept(text, _Budget(max_tokens), _BLOCK, backwards=side == "left")
        if side == "left":
            start = len(text) - kept
            return text[start + _splits_pair(text, start) :]
        return text[: kept - _splits_pair(text, kept)]
