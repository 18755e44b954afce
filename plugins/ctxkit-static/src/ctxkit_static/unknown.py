"""Vectors for words outside the vocabulary: CJK, emoji, other scripts, endless strings.

The teacher maps all of them to one unknown piece, so that every Chinese text would have one and the same vector.
Here a word is the sum of pseudo-random vectors, one for the word itself and one for each pair of neighbouring
code points - also across the border of two words that touch, as the single characters of CJK text do. Equal words
get equal vectors, words that share stretches get near ones, and unrelated words are almost orthogonal. Meaning
is beyond it: this is lexical matching in the shape of a vector.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ctxkit_static.pieces import UnknownWord

_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_PAIR_SALT = np.uint64(0xD6E8FEB86659FD93)
_WORDS_AT_ONCE = 8_192
_FEATURES_AT_ONCE = 4_096


def hashed_sum(words: Sequence[UnknownWord], components: int) -> NDArray[np.float32]:
    """Return the sum of the words' pseudo-vectors, float32 of shape (components,).

    Each component of one word's vector has mean 0 and variance about 1; the same word always gives the same.
    """
    total = np.zeros(components, np.float64)
    for part in _parts(words):
        features, weights = _features(part)
        for start in range(0, len(features), _FEATURES_AT_ONCE):
            stop = start + _FEATURES_AT_ONCE
            total += _signed_sum(features[start:stop], weights[start:stop], components)
    return total.astype(np.float32)


def _parts(words: Sequence[UnknownWord]) -> Iterator[Sequence[UnknownWord]]:
    for start in range(0, len(words), _WORDS_AT_ONCE):
        yield words[start : start + _WORDS_AT_ONCE]


def _features(words: Sequence[UnknownWord]) -> tuple[NDArray[np.uint64], NDArray[np.float64]]:
    """Return the distinct features - words and pairs of code points, hashed - and the weight of each."""
    points = np.frombuffer("".join(word.text for word in words).encode("utf-32-le"), np.uint32)
    codes = points.astype(np.uint64)
    lengths = np.array([len(word.text) for word in words], np.int64)
    owner = np.repeat(np.arange(len(words)), lengths)
    ends = np.cumsum(lengths)
    place = (np.arange(len(codes)) - (ends - lengths)[owner]).astype(np.uint64)
    # Unsigned sums wrap around, so a difference of running totals is the exact sum of one word.
    running = np.concatenate([np.zeros(1, np.uint64), np.cumsum(_mixed(codes + place * _GOLDEN))])
    whole = _mixed(running[ends] - running[ends - lengths])

    joined = np.array([word.joined for word in words], np.bool_)
    linked = (owner[:-1] == owner[1:]) | joined[owner[:-1]]
    pairs = _mixed(_mixed(codes[:-1] + _PAIR_SALT) + codes[1:])[linked]
    pair_owner = owner[:-1][linked]
    pair_counts = np.bincount(pair_owner, minlength=len(words))
    # Half of the variance for the word itself and half for its pairs; all of it where there are no pairs.
    word_weights = np.where(pair_counts > 0, np.sqrt(0.5), 1.0)
    pair_weights = np.sqrt(0.5 / np.maximum(pair_counts, 1))[pair_owner]
    features, which = np.unique(np.concatenate([whole, pairs]), return_inverse=True)
    weights = np.concatenate([word_weights, pair_weights])
    return features, np.bincount(which.ravel(), weights=weights).astype(np.float64)


def _signed_sum(features: NDArray[np.uint64], weights: NDArray[np.float64], components: int) -> NDArray[np.float64]:
    """Return the weighted sum of the features' pseudo-random signs; fewer components are a prefix of more."""
    words = np.arange(1, components // 64 + 1, dtype=np.uint64)
    random = _mixed(features[:, None] + words[None, :] * _GOLDEN)
    bits = np.unpackbits(random.astype("<u8").view(np.uint8), axis=1)
    signed: NDArray[np.float64] = 2.0 * (weights.astype(np.float32) @ bits.astype(np.float32)) - weights.sum()
    return signed


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Scramble 64-bit values (the finaliser of splitmix64: Steele, Lea and Flood, OOPSLA 2014)."""
    values = values + _GOLDEN
    values = (values ^ (values >> np.uint64(30))) * _MIX_1
    values = (values ^ (values >> np.uint64(27))) * _MIX_2
    mixed: NDArray[np.uint64] = values ^ (values >> np.uint64(31))
    return mixed
