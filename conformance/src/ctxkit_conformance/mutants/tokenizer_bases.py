"""Two small tokenizers that keep the contract, exact and estimating, and harmless variants of them: odd, but right."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final

from typing_extensions import override

from ctxkit.defaults.estimator import EstimatingTokenizer
from ctxkit.errors import TokenizerError
from ctxkit.interfaces import BackendConfig, Tokenizer, TokenizerCapabilities
from ctxkit_conformance.tokenizers.base import Side
from ctxkit_conformance.tokenizers.contract import TokenizerContract
from ctxkit_conformance.tokenizers.samples import well_formed

_BYTES: Final = 256
_WORDS: Final = tuple(
    word
    for line in (
        "the and for that with was are not you have this from they will his her its one all out who has more when",
        "there were been what would their which about into than them only some time could other boat berth moored def",
        "return import class self ing tion ed er es en at on in an re st th ou le is to of it as be we he by or so no",
    )
    for word in line.split()
)
_NEAR: Final = 16


class ToyConfig(BackendConfig):
    """The exact one has no options."""

    def capabilities(self) -> TokenizerCapabilities:
        """Declare what is so."""
        return TokenizerCapabilities(exact=True, encodes=True)


class ToyTokenizer(Tokenizer):
    """Takes the longest known stretch of letters at each place, and otherwise the bytes of one character."""

    config_class: ClassVar[type[BackendConfig]] = ToyConfig
    patience: ClassVar[float] = TokenizerContract.patience
    capabilities_of_spec: ClassVar[TokenizerCapabilities | None] = None

    def __init__(self, config: Any = None) -> None:
        self.config = config
        by_length = sorted(_WORDS, key=len, reverse=True)
        self._ids = {word: _BYTES + number for number, word in enumerate(by_length)}
        self._texts = {number: word.encode() for word, number in self._ids.items()}
        # A stretch without small letters holds no word and is one piece, which makes it quick.
        self._pieces = re.compile("|".join(["[^a-z]+", *by_length, "."]))

    @property
    def name(self) -> str:
        """The name of the toy."""
        return "toy"

    @property
    def exact(self) -> bool:
        """As declared."""
        return True

    @property
    def concatenation_bound(self) -> int:
        """What a word that is cut at another place may cost."""
        return 8

    def count(self, text: str) -> int:
        """Count the ids."""
        return len(self.encode(text))

    def encode(self, text: str) -> list[int]:
        """Cut the text and look each piece up."""
        ids: list[int] = []
        for piece in self._pieces.findall(well_formed(text)):
            known = self._ids.get(piece)
            ids += piece.encode() if known is None else [known]
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Put the bytes together."""
        try:
            return b"".join(self._texts.get(each) or bytes([each]) for each in ids).decode()
        except ValueError as error:
            raise TokenizerError(f"these are no ids of text: {error}.", fix="pass what encode returned.") from error

    def truncate(self, text: str, max_tokens: int, side: Side = "right") -> str:
        """Search for the longest part that fits."""
        if max_tokens < 0 or side not in {"left", "right"}:
            fix = 'give 0 or more, and cut the "left" or the "right" side.'
            raise TokenizerError(f"max_tokens is {max_tokens} and side {side!r}.", fix=fix)

        def part(size: int) -> str:
            return text[:size] if side == "right" else text[len(text) - size :]

        return part(longest(len(text), lambda size: self.count(part(size)) <= max_tokens))


def longest(length: int, fits: Callable[[int], bool]) -> int:
    """Return a size that fits and is followed by a few that do not, by halving and then by looking ahead."""
    if fits(length):
        return length
    low, high = 0, length
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    while more := next((size for size in range(min(low + _NEAR, length), low, -1) if fits(size)), 0):
        low = more
    return low


class GuessConfig(BackendConfig):
    """The estimating one has no options."""

    def capabilities(self) -> TokenizerCapabilities:
        """Declare what is so."""
        return TokenizerCapabilities(exact=False, encodes=False)


class Guess(ToyTokenizer):
    """An estimate by the core's own estimator, cut by searching."""

    config_class = GuessConfig

    def __init__(self, config: Any = None) -> None:
        super().__init__(config)
        self._estimator = EstimatingTokenizer()

    @property
    @override
    def name(self) -> str:
        return "guess"

    @property
    @override
    def exact(self) -> bool:
        return False

    @property
    @override
    def concatenation_bound(self) -> int:
        return self._estimator.concatenation_bound

    @override
    def count(self, text: str) -> int:
        return self._estimator.count(text)

    @override
    def encode(self, text: str) -> list[int]:
        return Tokenizer.encode(self, text)

    @override
    def decode(self, ids: Sequence[int]) -> str:
        return Tokenizer.decode(self, ids)


class GuessesHigher(Guess):
    """Adds a tenth for safety."""

    @property
    @override
    def concatenation_bound(self) -> int:
        return 2 * super().concatenation_bound

    @override
    def count(self, text: str) -> int:
        return math.ceil(super().count(text) * 1.1)


class BoundsGenerously(ToyTokenizer):
    """Declares a bound that is never reached."""

    @property
    @override
    def concatenation_bound(self) -> int:
        return 1000


class YieldsToOthers(ToyTokenizer):
    """Lets other threads run in the middle of its work."""

    @override
    def encode(self, text: str) -> list[int]:
        found = super().encode(text)
        time.sleep(0)
        return found


class CountingConfig(BackendConfig):
    """Declares an exact count without ids."""

    def capabilities(self) -> TokenizerCapabilities:
        """Declare what is so."""
        return TokenizerCapabilities(exact=True, encodes=False)


class CharactersAreTokens(ToyTokenizer):
    """Counts characters, as models do that read them one by one, and has no ids."""

    config_class = CountingConfig

    @property
    @override
    def concatenation_bound(self) -> int:
        return 0

    @override
    def count(self, text: str) -> int:
        return len(text)

    @override
    def encode(self, text: str) -> list[int]:
        return Tokenizer.encode(self, text)

    @override
    def decode(self, ids: Sequence[int]) -> str:
        return Tokenizer.decode(self, ids)


class KeepsPairsWhole(ToyTokenizer):
    """Does not part the two halves of a surrogate pair."""

    @override
    def truncate(self, text: str, max_tokens: int, side: Side = "right") -> str:
        kept = super().truncate(text, max_tokens, side)
        at = len(kept) if side == "right" else len(text) - len(kept)
        if "\ud800" <= text[at - 1 : at] <= "\udbff" and "\udc00" <= text[at : at + 1] <= "\udfff":
            return kept[:-1] if side == "right" else kept[1:]
        return kept


HARMLESS_TOKENIZERS: Final[list[type[ToyTokenizer]]] = [
    ToyTokenizer,
    Guess,
    GuessesHigher,
    BoundsGenerously,
    YieldsToOthers,
    CharactersAreTokens,
    KeepsPairsWhole,
]


def tokenizer_contract(tokenizer: type[ToyTokenizer], name: str = "") -> type[TokenizerContract]:
    """Return the contract as a test class for one of the tokenizers here."""

    def make_config(_: object) -> BackendConfig:
        return tokenizer.config_class()

    members: dict[str, Any] = {"tokenizer_class": tokenizer, "make_config": make_config, "__module__": __name__}
    members |= {"patience": tokenizer.patience, "capabilities": tokenizer.capabilities_of_spec}
    return type(name or f"Test{tokenizer.__name__}", (TokenizerContract,), members)
