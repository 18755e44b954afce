"""OpenAI's tokens, counted by tiktoken; where the vocabulary is missing, the estimate."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from ctxkit.defaults.estimator import EstimatingTokenizer
from ctxkit.errors import TokenizerError, UnsupportedError
from ctxkit.interfaces import Tokenizer
from ctxkit_tiktoken.config import TiktokenConfig
from ctxkit_tiktoken.cutting import Side, own_size, split_text, truncate_text
from ctxkit_tiktoken.encodings import DEFINITIONS
from ctxkit_tiktoken.pieces import LONG_RUN, blocks, first_cut, last_cut, long_runs
from ctxkit_tiktoken.vocabulary import find_vocabulary, how_to_get, load_encoding, missing

if TYPE_CHECKING:
    import tiktoken

CONCATENATION_BOUND = 16
_REMEMBERED = 16_384  # texts whose counts are remembered
_REMEMBERED_LENGTH = 4_096  # and their greatest length in characters
_MARGIN = 24  # characters between a cut and a guess, so that trying shorter parts rarely passes the cut
_SURROGATE = re.compile("[\ud800-\udfff]")
_log = logging.getLogger(__name__)
_warned: set[str] = set()
_warned_lock = threading.Lock()


class TiktokenTokenizer(Tokenizer):
    """Counts the tokens of one of OpenAI's encodings; the vocabulary is read at the first use and shared.

    Where the vocabulary is not on this machine, a warning says so once and the estimating tokenizer stands in; with
    the option `exact`, TokenizerError is raised. `name` and `exact` say which of the two counts. Nothing is downloaded.
    """

    def __init__(self, config: TiktokenConfig | None = None) -> None:
        self.config = config or TiktokenConfig()
        name = self.config.encoding_name()
        path = find_vocabulary(name, self.config.directory)
        self._engine = _Engine(name, path) if path is not None else None
        self._estimate = EstimatingTokenizer()
        if path is None:
            _report_missing(self.config, name)
        self._remembered = lru_cache(maxsize=_REMEMBERED)(self._count)

    @property
    def name(self) -> str:
        """The encoding, or "estimate"."""
        return self._estimate.name if self._engine is None else self._engine.name

    @property
    def exact(self) -> bool:
        """Whether the encoding itself counts."""
        return self._engine is not None

    @property
    def concatenation_bound(self) -> int:
        """A measured bound, for text that people write; made-up text can exceed any."""
        return CONCATENATION_BOUND

    def count(self, text: str) -> int:
        """Return the number of tokens; those of shorter texts are remembered, a bounded number of them."""
        return self._count(text) if len(text) > _REMEMBERED_LENGTH else self._remembered(text)

    def encode(self, text: str) -> list[int]:
        """Return the token ids; special-token text is plain text. Raises UnsupportedError where the estimate counts."""
        ids: list[int] = []
        for part in self._exactly().parts(text):
            ids += part
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text; bytes that are no text become U+FFFD. Raises TokenizerError for ids that are none."""
        return self._exactly().decode(ids)

    def truncate(self, text: str, max_tokens: int, side: Side = "right") -> str:
        """Return the longest beginning (side "right") or end (side "left") of `text` within `max_tokens` tokens.

        No part that is up to 16 characters longer fits. Raises TokenizerError if `max_tokens` is negative or `side` is
        neither.
        """
        if self._engine is None:
            return self._estimate.truncate(text, max_tokens, side)
        return truncate_text(text, max_tokens, side, self._engine)

    def split(self, text: str, max_tokens: int, overlap: int = 0) -> list[str]:
        """Return consecutive parts of at most `max_tokens` tokens, each beginning with the end of the one before.

        `overlap` is how many tokens of it at most; with 0, the parts joined are the text. Raises TokenizerError for
        numbers that leave no room, and for a character that has more tokens than a part may have.
        """
        return split_text(text, max_tokens, overlap, self.truncate)

    def _count(self, text: str) -> int:
        if self._engine is None:
            return self._estimate.count(text)
        return sum(map(len, self._engine.parts(text)))

    def _exactly(self) -> _Engine:
        if self._engine is None:
            raise UnsupportedError(
                f"there are no ids without the vocabulary of {self.config.encoding_name()}.",
                fix=f"{how_to_get(self.config.encoding_name())}.",
                backend="tiktoken",
            )
        return self._engine


class _Engine:
    """An encoding, loaded when it is first needed."""

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self._path = path
        self._breaks_lines = DEFINITIONS[name].breaks_lines

    def parts(self, text: str) -> Iterator[list[int]]:
        """Yield the ids of the text, part by part."""
        if len(text) < LONG_RUN:
            yield self._encode(text)
            return
        for block in blocks(text):
            yield from self._around_runs(block)

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ids."""
        encoding = self._encoding()
        try:
            # Numbers beyond what the library can hold are its OverflowError, those between tokens its KeyError.
            return encoding.decode(list(ids))
        except (KeyError, OverflowError, TypeError) as error:
            raise TokenizerError(
                f"these ids are not all tokens of {self.name}.",
                fix=f"give numbers from 0 to {encoding.max_token_value}, as encode returns them.",
                backend="tiktoken",
            ) from error

    def guess(self, text: str, max_tokens: int, side: Side) -> int:
        """Return how many characters stand for the first, or the last, tokens."""
        ids = [number for part in self.parts(text) for number in part]
        if len(ids) <= max_tokens:
            return len(text)
        kept = ids[:max_tokens] if side == "right" else ids[len(ids) - max_tokens :]
        size = len(self._encoding().decode_bytes(kept).decode("utf-8", "ignore"))
        return own_size(text, size, side) if _SURROGATE.search(text) else size

    def counter(self, text: str, guess: int, side: Side) -> Callable[[int], int]:
        """Return what counts parts near the guess: only what lies beyond a place where text can be taken apart."""
        length = len(text)
        if side == "right":
            fixed = last_cut(text, guess - _MARGIN)
            known = self._count(text[:fixed])

            def count_beginning(size: int) -> int:
                return known + self._count(text[fixed:size]) if size > fixed else self._count(text[:size])

            return count_beginning
        fixed = first_cut(text, length - guess + _MARGIN)
        known = self._count(text[fixed:])

        def count_end(size: int) -> int:
            start = length - size
            return self._count(text[start:fixed]) + known if start < fixed else self._count(text[start:])

        return count_end

    def _count(self, text: str) -> int:
        return sum(map(len, self.parts(text)))

    def _around_runs(self, text: str) -> Iterator[list[int]]:
        """Yield the ids of text in which there may be endless blanks, each stretch of them encoded as the one piece."""
        end = 0
        if len(text) >= LONG_RUN:
            for start, stop in long_runs(text, breaks_lines=self._breaks_lines):
                yield self._encode(text[end:start])
                yield load_encoding(self.name, self._path, whole=True).encode_ordinary(text[start:stop])
                end = stop
        yield self._encode(text[end:] if end else text)

    def _encode(self, text: str) -> list[int]:
        try:
            return self._encoding().encode_ordinary(text)
        except BaseException as error:
            # A panic of the library is no Exception, and would end whatever catches only those.
            if type(error).__name__ != "PanicException":
                raise
            raise TokenizerError(
                f"tiktoken broke down over a text of {len(text)} characters: {error}.",
                fix="shorten the text, or count it with the tokenizer estimate.",
                backend="tiktoken",
            ) from error

    def _encoding(self) -> tiktoken.Encoding:
        return load_encoding(self.name, self._path)


def _report_missing(config: TiktokenConfig, name: str) -> None:
    """Raise where exactness was asked for, otherwise say once in this process that counts are estimates."""
    cause = missing(name, config.directory)
    if config.exact:
        raise TokenizerError(f"{cause}.", fix=f"{how_to_get(name)}.", backend="tiktoken")
    with _warned_lock:
        if cause in _warned:
            return
        _warned.add(cause)
    _log.warning("%s: tokens are estimated, never too few. Fix: %s.", cause, how_to_get(name))
