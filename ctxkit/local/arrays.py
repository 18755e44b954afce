"""A numpy array that grows at its end."""

from __future__ import annotations

from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

ScalarT = TypeVar("ScalarT", bound=np.generic)
_LEAST = 64


class Growing(Generic[ScalarT]):
    """An array of shape (n, *tail) with room at its end, so that appending costs amortised constant time."""

    __slots__ = ("_array", "_size")

    def __init__(self, dtype: type[ScalarT], tail: tuple[int, ...] = ()) -> None:
        self._array: npt.NDArray[ScalarT] = np.empty((0, *tail), dtype=dtype)
        self._size = 0

    def __len__(self) -> int:
        return self._size

    @property
    def values(self) -> npt.NDArray[ScalarT]:
        """The filled part, not a copy: good until the next `extend`."""
        return self._array[: self._size]

    @property
    def nbytes(self) -> int:
        """Bytes held, room included."""
        return self._array.nbytes

    def reserve(self, size: int) -> None:
        """Make room for `size` rows in all."""
        if size <= len(self._array):
            return
        shape = (size, *self._array.shape[1:])
        try:
            # Large blocks are moved by the kernel's page tables, not copied; refused while somebody holds a part.
            self._array.resize(shape)
        except ValueError:
            grown = np.empty(shape, dtype=self._array.dtype)
            grown[: self._size] = self._array[: self._size]
            self._array = grown

    def extend(self, rows: npt.ArrayLike) -> None:
        """Append rows."""
        added = np.asarray(rows, dtype=self._array.dtype)
        end = self._size + len(added)
        if end > len(self._array):
            self.reserve(max(end, _LEAST, self._size + self._size // 4))
        self._array[self._size : end] = added
        self._size = end
