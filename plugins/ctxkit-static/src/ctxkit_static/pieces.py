"""Cutting text into the model's pieces: the teacher's own normalisation and WordPiece, without a limit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

UNKNOWN = 0  # the row of the piece that stands for every word outside the vocabulary
_SPAN = 16_384  # characters that are tokenized at once; bounds the memory that a long text takes
_NEAR = 256  # how far before the end of a span to look for white space to cut at
_LONGEST_WORD = 100  # a longer one is unknown to the teacher, and so to us


class UnknownWord(NamedTuple):
    """A word outside the vocabulary: normalised, and whether the next one follows without a gap."""

    text: str
    joined: bool


class PieceTokenizer:
    """all-MiniLM-L6-v2's tokenizer over the shipped vocabulary; no special tokens, no truncation."""

    def __init__(self, pieces: Sequence[str]) -> None:
        vocabulary = {piece: row for row, piece in enumerate(pieces)}
        model = WordPiece(vocabulary, unk_token=pieces[UNKNOWN], max_input_chars_per_word=_LONGEST_WORD)
        self._tokenizer = Tokenizer(model)
        self._normalizer = BertNormalizer(
            clean_text=True, handle_chinese_chars=True, strip_accents=None, lowercase=True
        )
        self._tokenizer.normalizer = self._normalizer
        self._tokenizer.pre_tokenizer = BertPreTokenizer()

    def to_json(self) -> str:
        """Return the tokenizer as the contents of a tokenizer.json."""
        return str(self._tokenizer.to_str())

    def rows(self, spans: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the rows of all pieces of all spans in order, and how many each span has."""
        found = [encoding.ids for encoding in self._tokenizer.encode_batch_fast(list(spans))]
        counts = np.fromiter(map(len, found), np.int64, len(found))
        return np.fromiter(chain.from_iterable(found), np.int64, int(counts.sum())), counts

    def unknown_words(self, span: str) -> list[UnknownWord]:
        """Return the words of a span that are outside the vocabulary, in order.

        Slower than `rows`, because it asks the tokenizer for offsets; only for spans that need it.
        """
        encoding = self._tokenizer.encode(span)
        places = [offset for row, offset in zip(encoding.ids, encoding.offsets, strict=True) if row == UNKNOWN]
        words = [span[start:end] for start, end in places]
        normal = {word: self._normalizer.normalize_str(word).strip() for word in set(words)}
        following = [start for start, _ in places[1:]] + [-1]
        joined = [end == start for (_, end), start in zip(places, following, strict=True)]
        return [UnknownWord(normal[word], joins) for word, joins in zip(words, joined, strict=True)]


def well_formed(text: str) -> str:
    """Return the text with surrogate pairs joined and lone surrogates replaced by U+FFFD."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def spans_of(text: str) -> Iterator[str]:
    """Yield the text in spans of bounded length, cut at white space where there is some near the end."""
    start = 0
    while len(text) - start > _SPAN:
        end = start + _SPAN
        near = next((place for place in range(end, end - _NEAR, -1) if text[place].isspace()), end)
        yield text[start:near]
        start = near
    yield text[start:]
