"""Which texts of a batch go through the model together: those of like length, where padding costs more than a pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

# Characters of padding that cost as much as one more pass. A pass reads every weight once and multiplies by it once a
# token, so the two costs keep their proportion from model to model: about 35 tokens on the processors tried.
PASS: Final = 160


def like_lengths(texts: Sequence[str]) -> list[list[int]]:
    """Return the places of the texts in groups, the longest first, so that little of a group is padding."""
    order = np.argsort([-len(text) for text in texts], kind="stable")
    lengths = np.array([len(texts[place]) for place in order], np.int64)
    groups: list[list[int]] = []
    first = 0
    for size in _sizes(lengths):
        groups.append(order[first : first + size].tolist())
        first += size
    return groups


def _sizes(lengths: NDArray[np.int64]) -> list[int]:
    """Return how many texts of falling length belong together, cut where that spares most padding."""
    if not len(lengths):
        return []
    spared = (len(lengths) - np.arange(len(lengths))) * (lengths[0] - lengths)
    cut = int(spared.argmax())
    if spared[cut] <= PASS:
        return [len(lengths)]
    return _sizes(lengths[:cut]) + _sizes(lengths[cut:])
