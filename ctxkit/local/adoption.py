"""Going over to another segment: what is made ready beside the searches of other threads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ctxkit.local.index import Slots
from ctxkit.local.layers import Layers


@dataclass(frozen=True, slots=True)
class Adoption:
    """A segment about to be searched: `rows` are those of the view's first `size` that have a vector, at `slots`.

    `before` is what was searched until then, where the same vectors are at `places`.
    """

    before: Layers
    layers: Layers
    size: int
    rows: npt.NDArray[np.int64]
    slots: Slots
    places: Slots

    def copy(self) -> None:
        """Copy what the segment lacks from what was searched before. Others may read and append to that meanwhile."""
        rest = self.slots < 0
        self.slots[rest] = self.layers.add_from(self.before, self.places[rest])
