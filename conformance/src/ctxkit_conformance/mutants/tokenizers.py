"""Tokenizers with one fault each, and the check that has to notice it."""

from __future__ import annotations

import threading
import time
import unicodedata
from collections.abc import Sequence
from typing import Any, ClassVar, Final

from pydantic import ConfigDict
from typing_extensions import override

from ctxkit.errors import TokenizerError
from ctxkit.interfaces import BackendConfig, TokenizerCapabilities
from ctxkit_conformance.mutants.tokenizer_bases import (
    HARMLESS_TOKENIZERS,
    Guess,
    GuessConfig,
    ToyConfig,
    ToyTokenizer,
    tokenizer_contract,
)
from ctxkit_conformance.tokenizers.base import Side
from ctxkit_conformance.tokenizers.samples import SPECIAL_TEXTS

__all__ = ["HARMLESS_TOKENIZERS", "TOKENIZERS", "tokenizer_contract"]


class CountsBytes(Guess):
    """Takes the number of bytes for an estimate: never too low, four times too high."""

    @override
    def count(self, text: str) -> int:
        return len(text.encode("utf-8", "surrogatepass"))


class QuartersCharacters(Guess):
    """Takes a token for four characters: too few for any script but Latin."""

    @override
    def count(self, text: str) -> int:
        return -(-len(text) // 4)


class CountsWords(Guess):
    """Takes four tokens for three words, which says nothing about scripts without blanks."""

    @override
    def count(self, text: str) -> int:
        return -(-4 * len(text.split()) // 3)


class UndercountsChinese(Guess):
    """Takes half a token for a character beyond Latin."""

    @override
    def count(self, text: str) -> int:
        wide = sum(character >= "\u0250" for character in text)
        return super().count("".join(character for character in text if character < "\u0250")) + -(-wide // 2)


class RefusesSpecialText(ToyTokenizer):
    """Raises for the text of a special token, as tiktoken does unless it is told otherwise."""

    @override
    def encode(self, text: str) -> list[int]:
        if "<|endoftext|>" in text:
            raise ValueError("disallowed special token '<|endoftext|>'")
        return super().encode(text)


class ObeysSpecialText(ToyTokenizer):
    """Turns the text of a special token into the token."""

    @override
    def encode(self, text: str) -> list[int]:
        for number, special in enumerate(SPECIAL_TEXTS):
            before, found, after = text.partition(special)
            if found:
                return [*self.encode(before), 5000 + number, *self.encode(after)]
        return super().encode(text)

    @override
    def decode(self, ids: Sequence[int]) -> str:
        parts = [SPECIAL_TEXTS[each - 5000] if 5000 <= each < 5100 else each for each in ids]
        text, plain = "", []
        for part in parts:
            if isinstance(part, int):
                plain.append(part)
            else:
                text, plain = text + super().decode(plain) + part, []
        return text + super().decode(plain)


class CutsIds(ToyTokenizer):
    """Cuts the ids instead of the text, through the middle of an emoji."""

    @override
    def truncate(self, text: str, max_tokens: int, side: Side = "right") -> str:
        super().truncate("", max_tokens, side)
        ids = self.encode(text)
        kept = ids[:max_tokens] if side == "right" else ids[max(0, len(ids) - max_tokens) :]
        return b"".join(self._texts.get(each) or bytes([each]) for each in kept).decode("utf-8", "replace")


class LeavesOneOut(ToyTokenizer):
    """Is off by one: the last token that fits is left out."""

    @override
    def truncate(self, text: str, max_tokens: int, side: Side = "right") -> str:
        return super().truncate(text, max_tokens - 1 if 0 < max_tokens < self.count(text) else max_tokens, side)


class TakesOneMore(ToyTokenizer):
    """Is off by one: a token too many is left."""

    @override
    def truncate(self, text: str, max_tokens: int, side: Side = "right") -> str:
        return super().truncate(text, max_tokens + 1 if max_tokens > 0 else max_tokens, side)


class CutsAtBlanks(ToyTokenizer):
    """Cuts between words only, and leaves the room for half a word empty."""

    @override
    def truncate(self, text: str, max_tokens: int, side: Side = "right") -> str:
        kept = super().truncate(text, max_tokens, side)
        if kept == text:
            return kept
        return kept.rpartition(" ")[0] if side == "right" else kept.partition(" ")[2]


class StopsAtTheFirstMiss(ToyTokenizer):
    """Takes counts for monotone: a word that costs less whole than cut is never reached."""

    @override
    def truncate(self, text: str, max_tokens: int, side: Side = "right") -> str:
        if len(text) > 1000 or max_tokens < 0:
            return super().truncate(text, max_tokens, side)
        size = 0
        while size < len(text) and self.count(self._part(text, size + 1, side)) <= max_tokens:
            size += 1
        return self._part(text, size, side)

    @staticmethod
    def _part(text: str, size: int, side: Side) -> str:
        return text[:size] if side == "right" else text[len(text) - size :]


class IgnoresTheSide(ToyTokenizer):
    """Always keeps the beginning."""

    @override
    def truncate(self, text: str, max_tokens: int, side: Side = "right") -> str:
        super().truncate("", max_tokens, side)
        return super().truncate(text, max_tokens, "right")


class AddsDots(ToyTokenizer):
    """Marks the cut with an ellipsis that nobody wrote."""

    @override
    def truncate(self, text: str, max_tokens: int, side: Side = "right") -> str:
        kept = super().truncate(text, max_tokens, side)
        return kept if kept == text or len(kept) < 4 else kept[:-3] + "\u2026"


class SlicesFromTheEnd(ToyTokenizer):
    """Takes a negative budget for a slice."""

    @override
    def truncate(self, text: str, max_tokens: int, side: Side = "right") -> str:
        return text[:max_tokens] if max_tokens < 0 else super().truncate(text, max_tokens, side)


class CutsWhatJustFits(ToyTokenizer):
    """Compares with less-than: a text that fills the budget is cut."""

    @override
    def truncate(self, text: str, max_tokens: int, side: Side = "right") -> str:
        if self.count(text) == max_tokens > 0:
            return super().truncate(text, max_tokens - 1, side)
        return super().truncate(text, max_tokens, side)


class WalksThroughBlanks(ToyTokenizer):
    """Strips blanks one by one, copying the rest each time: quadratic."""

    patience = 5.0  # it takes far longer anywhere; nobody has to wait a minute to see it hang

    @override
    def encode(self, text: str) -> list[int]:
        rest, blanks = text, 0
        while rest.startswith(" "):
            rest, blanks = rest[1:], blanks + 1
        return [32] * blanks + super().encode(rest)


class SharesStateAmongThreads(ToyTokenizer):
    """Keeps the text of the call on the instance, while another call replaces it."""

    _text = ""

    @override
    def encode(self, text: str) -> list[int]:
        self._text = text
        time.sleep(0)
        return super().encode(self._text)


class LoadsHalfway(ToyTokenizer):
    """Says that it is loaded before it is."""

    _loading = False

    @override
    def encode(self, text: str) -> list[int]:
        if not self._loading:
            self._loading = True
            self._ready = False
            time.sleep(0.02)
            self._ready = True
        return super().encode(text) if self._ready else list(text.encode("utf-8", "surrogatepass"))


class ChokesOnSurrogates(ToyTokenizer):
    """Encodes the text without a thought for what cannot be encoded."""

    @override
    def encode(self, text: str) -> list[int]:
        return super().encode(text.encode().decode())


class AddsABeginning(ToyTokenizer):
    """Counts the token that a model puts before each text."""

    @override
    def count(self, text: str) -> int:
        return super().count(text) + 1


class CountsBeforeMerging(ToyTokenizer):
    """Counts characters where there are ids for words."""

    @override
    def count(self, text: str) -> int:
        return len(text.encode("utf-8", "replace"))


class Normalizes(ToyTokenizer):
    """Composes accents before it encodes, so that the text does not come back."""

    @override
    def encode(self, text: str) -> list[int]:
        return super().encode(unicodedata.normalize("NFC", text))


class LowersCase(ToyTokenizer):
    """Folds case before it encodes."""

    @override
    def encode(self, text: str) -> list[int]:
        return super().encode(text.lower())


class EncodesUndeclared(Guess):
    """Declares no ids and makes some up."""

    @override
    def encode(self, text: str) -> list[int]:
        return list(range(self.count(text)))


class LiesAboutTheBound(Guess):
    """Declares that counts add up."""

    @property
    @override
    def concatenation_bound(self) -> int:
        return 0


class NumbersByHash(ToyTokenizer):
    """Numbers its words by hash() of a str, which every process salts anew."""

    def __init__(self, config: Any = None) -> None:
        super().__init__(config)
        order = sorted(self._ids, key=hash)
        self._ids = {word: 256 + number for number, word in enumerate(order)}
        self._texts = {number: word.encode() for word, number in self._ids.items()}


class HandsOutItsCache(ToyTokenizer):
    """Remembers ids and returns the very list that it remembers."""

    def __init__(self, config: Any = None) -> None:
        super().__init__(config)
        self._known: dict[str, list[int]] = {}

    @override
    def encode(self, text: str) -> list[int]:
        return self._known.setdefault(text, super().encode(text))


class RemembersByBeginning(ToyTokenizer):
    """Remembers counts under the first characters of the text."""

    def __init__(self, config: Any = None) -> None:
        super().__init__(config)
        self._known: dict[str, int] = {}
        self._lock = threading.Lock()

    @override
    def count(self, text: str) -> int:
        with self._lock:
            return self._known.setdefault(text[:48], super().count(text))


class DecodesAnything(ToyTokenizer):
    """Passes over ids that it does not know."""

    @override
    def decode(self, ids: Sequence[int]) -> str:
        return super().decode([each for each in ids if each in self._texts or 0 <= each < 256])


class RaisesTheLibrarysErrors(ToyTokenizer):
    """Lets the exceptions of its library through."""

    @override
    def decode(self, ids: Sequence[int]) -> str:
        try:
            return super().decode(ids)
        except TokenizerError as error:
            raise error.__cause__ or error from None


class ClaimsToBeExact(Guess):
    """Declares an estimate and says on the instance that it is exact."""

    @property
    @override
    def exact(self) -> bool:
        return True


class ClaimsAName(ToyTokenizer):
    """Says that it counts cl100k_base, and counts something else."""

    @property
    @override
    def name(self) -> str:
        return "cl100k_base"


class AnnouncesAnEstimate(ToyTokenizer):
    """The announcement was copied from an estimating tokenizer."""

    capabilities_of_spec = TokenizerCapabilities(exact=False)


class HasNoName(ToyTokenizer):
    """Leaves the name empty."""

    @property
    @override
    def name(self) -> str:
        return ""


class LooseConfig(ToyConfig):
    """Takes any option."""

    model_config = ConfigDict(extra="ignore")


class IgnoresOptions(ToyTokenizer):
    """Has a configuration that passes over what it does not know."""

    config_class: ClassVar[type[BackendConfig]] = LooseConfig


class BoastingConfig(GuessConfig):
    """Declares what the tokenizer does not offer."""

    @override
    def capabilities(self) -> TokenizerCapabilities:
        return TokenizerCapabilities(exact=False, encodes=True)


class BoastsOfEncoding(Guess):
    """Declares ids and has none."""

    config_class = BoastingConfig


TOKENIZERS: Final[dict[type, str]] = {
    CountsBytes: "mean_excess",
    QuartersCharacters: "corpus_is_not_undercounted",
    CountsWords: "corpus_is_not_undercounted",
    UndercountsChinese: "corpus_is_not_undercounted",
    RefusesSpecialText: "special_token_text_is_plain_text",
    ObeysSpecialText: "special_token_text_is_plain_text",
    CutsIds: "truncation_keeps_a_part",
    LeavesOneOut: "truncation_is_maximal",
    TakesOneMore: "truncation_never_exceeds",
    CutsAtBlanks: "truncation_is_maximal",
    StopsAtTheFirstMiss: "truncation_is_maximal",
    IgnoresTheSide: "truncation_keeps_a_part",
    AddsDots: "truncation_keeps_a_part",
    SlicesFromTheEnd: "impossible_cuts_are_refused",
    CutsWhatJustFits: "what_fits_stays_whole",
    WalksThroughBlanks: "long_text_ends",
    SharesStateAmongThreads: "threads_agree",
    LoadsHalfway: "first_use_by_several_threads",
    ChokesOnSurrogates: "odd_text_is_counted",
    AddsABeginning: "no_text_has_no_tokens",
    CountsBeforeMerging: "count_is_the_number_of_ids",
    Normalizes: "ids_come_back_as_text",
    LowersCase: "ids_come_back_as_text",
    EncodesUndeclared: "count_is_the_number_of_ids",
    LiesAboutTheBound: "concatenation_at_every_split",
    NumbersByHash: "another_process_counts_alike",
    HandsOutItsCache: "ids_belong_to_the_caller",
    RemembersByBeginning: "counts_do_not_depend_on_the_past",
    DecodesAnything: "impossible_ids_are_refused",
    RaisesTheLibrarysErrors: "impossible_ids_are_refused",
    ClaimsToBeExact: "tokenizer_is_what_it_declares",
    ClaimsAName: "corpus_is_not_undercounted",
    AnnouncesAnEstimate: "announced_as_configured",
    HasNoName: "tokenizer_is_what_it_declares",
    IgnoresOptions: "unknown_options_are_refused",
    BoastsOfEncoding: "count_is_the_number_of_ids",
}
