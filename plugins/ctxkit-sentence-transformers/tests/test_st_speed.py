"""What makes a batch quick: texts of like length together, and linear layers that multiply by oneDNN."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from ctxkit_sentence_transformers.lengths import PASS, like_lengths
from ctxkit_sentence_transformers.packing import pack
from numpy.typing import NDArray


def model() -> torch.nn.Sequential:
    """Return two linear layers, one without a bias."""
    torch.manual_seed(1)
    return torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.Tanh(), torch.nn.Linear(16, 4, bias=False))


def rows(module: torch.nn.Module) -> NDArray[np.float32]:
    """Return what a model makes of a batch of three sequences."""
    with torch.inference_mode():
        found: NDArray[np.float32] = module(torch.linspace(-1, 1, 120).reshape(3, 5, 8)).numpy()
        return found


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


def test_packed_layers_give_the_same_and_hold_no_second_copy() -> None:
    """The vectors are the same but for the last bits, and the weights are in memory once."""
    plain, packed = model(), model()
    assert pack(packed, lambda: rows(packed))
    assert np.allclose(rows(packed), rows(plain), atol=1e-6)
    assert [parameter.numel() for parameter in packed.parameters() if parameter.ndim != 1] == [0, 0]


def test_what_cannot_be_packed_stays_as_it_was() -> None:
    """A probe that fails, or gives other vectors, puts everything back."""
    plain = model()

    def fails() -> NDArray[np.float32]:
        if any("forward" in vars(layer) for layer in plain):
            raise RuntimeError("a layer that wants the plain one")
        return rows(plain)

    def differs() -> NDArray[np.float32]:
        return rows(plain) + any("forward" in vars(layer) for layer in plain)

    before = rows(plain)
    probes: list[Any] = [fails, differs]
    for probe in probes:
        assert not pack(plain, probe)
        assert np.array_equal(rows(plain), before)
    half = model().to(torch.bfloat16)
    assert pack(half, lambda: np.zeros(1, np.float32))
    assert all(parameter.numel() for parameter in half.parameters()), "other precisions are left alone"
