"""Which texts of a batch go through the model together."""

from __future__ import annotations

import pytest
from ctxkit_sentence_transformers.lengths import PASS, like_lengths


@pytest.mark.parametrize(
    ("lengths", "sizes"),
    [
        ([], []),
        ([0], [1]),
        ([30, 40, 35, 33], [4]),
        ([500, 20, 510, 25, 30, 490], [3, 3]),
        ([PASS + 1, 0], [1, 1]),
        ([PASS, 0], [2]),
        ([900, 400, 10, 400, 10, 10], [1, 2, 3]),
    ],
)
def test_texts_of_like_length_are_together(lengths: list[int], sizes: list[int]) -> None:
    """A text goes with longer ones as long as that costs less than another pass; none is left out, longest first."""
    texts = ["x" * length for length in lengths]
    groups = like_lengths(texts)
    assert [len(places) for places in groups] == sizes
    in_order = [place for places in groups for place in places]
    assert sorted(in_order) == list(range(len(texts)))
    assert [lengths[place] for place in in_order] == sorted(lengths, reverse=True)
