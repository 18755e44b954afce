"""Faster multiplication on a processor: by oneDNN, which torch brings along, instead of what it uses by default.

For a batch of a dozen texts that default multiplies at half the speed of oneDNN on AMD's processors with AVX-512.
Sums come out in another order, so vectors differ in the last bits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

_ALIKE = 1e-5


def pack(model: Module, probe: Callable[[], NDArray[np.float32]]) -> bool:
    """Let the linear layers of a model multiply by oneDNN; returns whether they do now.

    `probe` embeds something. Where it then fails or gives other vectors, as a layer may that reads the weights of
    another one, the model is left as it was. A second copy of the weights exists only until then.
    """
    import torch  # noqa: PLC0415 - seconds, but it is there already

    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return False
    layers: list[Any] = [layer for layer in model.modules() if type(layer) is torch.nn.Linear]
    layers = [layer for layer in layers if layer.weight.dtype == torch.float32 and layer.weight.device.type == "cpu"]
    expected = probe()
    for layer in layers:
        layer.forward = _packed(layer)
    try:
        alike = bool(np.allclose(probe(), expected, atol=_ALIKE))
    except (AttributeError, RuntimeError, TypeError):
        alike = False
    for layer in layers:
        if alike:
            layer.weight.data = torch.empty(0)
        else:
            del layer.forward
    return alike


def _packed(layer: Any) -> Callable[[Tensor], Tensor]:
    """Return what a linear layer does, by oneDNN."""
    import torch  # noqa: PLC0415 - as above

    weight = layer.weight.detach().to_mkldnn()
    bias = None if layer.bias is None else layer.bias.detach().to_mkldnn()

    def forward(given: Tensor) -> Tensor:
        return torch.nn.functional.linear(given.to_mkldnn(), weight, bias).to_dense()

    return forward
