"""The tokens of any model that comes with a tokenizer.json, counted by Hugging Face's tokenizers."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ctxkit.errors import TokenizerError
from ctxkit.interfaces import Tokenizer
from ctxkit_tiktoken.config import HuggingFaceConfig
from ctxkit_tiktoken.cutting import Side, own_size, split_text, truncate_text, well_formed
from ctxkit_tiktoken.tokenizer_file import gives_text_back, read_tokenizer_file, tokenizer_file

if TYPE_CHECKING:
    import tokenizers

_SURROGATE = re.compile("[\ud800-\udfff]")


class HuggingFaceTokenizer(Tokenizer):
    """Counts with a tokenizer.json, which is read at the first use; nothing is downloaded.

    What a model puts around a text is left out, limits and padding in the file are ignored, and special tokens are
    plain text. `encode` and `decode` are offered where ids give the text back: byte-level vocabularies without
    normalisation. Raises TokenizerError for a file that is missing or no tokenizer.
    """

    def __init__(self, config: HuggingFaceConfig) -> None:
        self.config = config
        self._file = tokenizer_file(config.file)
        if not self._file.is_file():
            read_tokenizer_file(config.file)  # says what is wrong
        self._encodes = gives_text_back(config.file)
        self._lock = threading.Lock()
        self._engine: tokenizers.Tokenizer | None = None

    @property
    def name(self) -> str:
        """The folder that holds the file, which models are kept under, or the file's own name."""
        return self._file.resolve().parent.name if self._file.name == "tokenizer.json" else self._file.stem

    @property
    def exact(self) -> bool:
        """The file is the model's own."""
        return True

    @property
    def concatenation_bound(self) -> int:
        """What the configuration says."""
        return self.config.concatenation_bound

    def count(self, text: str) -> int:
        """Return the number of tokens."""
        return len(self._encoding(text).ids)

    def encode(self, text: str) -> list[int]:
        """Return the token ids; raises UnsupportedError where they would not give the text back."""
        return self._encoding(text).ids if self._encodes else super().encode(text)

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of token ids; raises TokenizerError for ids that are none."""
        if not self._encodes:
            return super().decode(ids)
        engine = self._loaded()
        size = engine.get_vocab_size(with_added_tokens=True)
        if any(not 0 <= number < 1 << 32 or engine.id_to_token(number) is None for number in ids):
            raise TokenizerError(
                f"these ids are not all tokens of {self.name}.",
                fix=f"give ids as encode returns them; there are {size}.",
                backend="huggingface",
            )
        return engine.decode(list(ids), skip_special_tokens=False)

    def truncate(self, text: str, max_tokens: int, side: Side = "right") -> str:
        """Return the longest beginning (side "right") or end (side "left") of `text` within `max_tokens` tokens.

        No part that is up to 16 characters longer fits. Raises TokenizerError if `max_tokens` is negative or `side` is
        neither.
        """
        return truncate_text(text, max_tokens, side, self)

    def split(self, text: str, max_tokens: int, overlap: int = 0) -> list[str]:
        """Return consecutive parts of at most `max_tokens` tokens, each beginning with the end of the one before.

        `overlap` is how many tokens of it at most; with 0, the parts joined are the text. Raises TokenizerError for
        numbers that leave no room, and for a character that has more tokens than a part may have.
        """
        return split_text(text, max_tokens, overlap, self.truncate)

    def guess(self, text: str, max_tokens: int, side: Side) -> int:
        """Return where the tokens that are kept end, by the library's offsets."""
        offsets = self._encoding(text).offsets
        if len(offsets) <= max_tokens:
            return len(text)
        length = len(well_formed(text))
        size = offsets[max_tokens][0] if side == "right" else length - offsets[len(offsets) - max_tokens - 1][1]
        return min(own_size(text, size, side), len(text) - 1)

    def counter(self, text: str, guess: int, side: Side) -> Callable[[int], int]:  # noqa: ARG002 - cutting's interface
        """Return what counts parts, each whole: where text can be taken apart depends on the vocabulary."""
        if side == "right":
            return lambda size: self.count(text[:size])
        return lambda size: self.count(text[len(text) - size :])

    def _encoding(self, text: str) -> tokenizers.Encoding:
        if _SURROGATE.search(text):
            text = well_formed(text)
        return self._loaded().encode(text, add_special_tokens=False)

    def _loaded(self) -> tokenizers.Tokenizer:
        with self._lock:
            if self._engine is None:
                self._engine = self._load()
            return self._engine

    def _load(self) -> tokenizers.Tokenizer:
        import tokenizers  # noqa: PLC0415 - making the tokenizer needs no library

        found = read_tokenizer_file(self.config.file)
        try:
            made = tokenizers.Tokenizer.from_str(json.dumps({**found, "truncation": None, "padding": None}))
        except Exception as error:  # the library raises nothing narrower
            raise TokenizerError(
                f"{self._file} is no tokenizer that the library reads: {error}.",
                fix="upgrade tokenizers, or fetch the file again.",
                backend="huggingface",
            ) from error
        made.encode_special_tokens = True
        return made
