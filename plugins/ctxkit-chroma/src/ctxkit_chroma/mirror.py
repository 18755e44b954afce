"""What an embedded collection keeps in memory: which records there are, and the columns of filters."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ctxkit.filters import And, Filter
from ctxkit.local.parts import Columns, Growing, fields_of
from ctxkit.records import Metadata
from ctxkit_chroma import codec
from ctxkit_chroma.faults import Scene
from ctxkit_chroma.sidecar import Sidecar

Mask = npt.NDArray[np.bool_]
_TOMBSTONES_KEPT: Final = 1024
_TOMBSTONE_SHARE: Final = 0.3


class Mirror:
    """The records of a sidecar in the order of writing; a removed one stays as a tombstone until it is loaded anew."""

    def __init__(self, sidecar: Sidecar, declared: Collection[str], scene: Scene) -> None:
        self._sidecar = sidecar
        self._scene = scene
        self.ids: list[str] = []
        self.columns = Columns(declared)
        self._labels = Growing(np.int64)
        self._alive = Growing(np.bool_)
        self._row_of: dict[str, int] = {}
        for page in sidecar.labels():
            self._extend([label for label, _ in page], [record_id for _, record_id in page])

    def __len__(self) -> int:
        return len(self._row_of)

    @property
    def worn(self) -> bool:
        """Whether so much was removed that it should be loaded anew."""
        dead = len(self.ids) - len(self)
        return dead > _TOMBSTONES_KEPT and dead > _TOMBSTONE_SHARE * len(self.ids)

    @property
    def nbytes(self) -> int:
        """About how much memory it takes."""
        return self._labels.nbytes + self._alive.nbytes + self.columns.nbytes + 150 * len(self.ids)

    def known(self, ids: Iterable[str]) -> list[str]:
        """Return which of these ids there are, each once."""
        return [record_id for record_id in dict.fromkeys(ids) if record_id in self._row_of]

    def add(self, labels: Sequence[int], ids: Sequence[str], metadata: Sequence[Metadata]) -> None:
        """Append records; one with a known id turns the old one into a tombstone."""
        self.remove(ids)
        self._extend(labels, ids)
        self.columns.extend(metadata)

    def remove(self, ids: Iterable[str]) -> None:
        """Turn records into tombstones."""
        for record_id in ids:
            row = self._row_of.pop(record_id, None)
            if row is not None:
                self._alive.values[row] = False

    def mask(self, node: Filter) -> Mask:
        """Return which rows pass the filter and are no tombstones."""
        if node == And(()):
            everything: Mask = self._alive.values.copy()
            return everything
        fields = fields_of(node)
        self._load_columns(fields)
        found: Mask = self.columns.mask(node, len(self.ids)) & self._alive.values
        return found

    def selected(self, mask: Mask) -> list[str]:
        """Return the ids of marked rows in the order of writing."""
        ids = self.ids
        return [ids[row] for row in np.flatnonzero(mask).tolist()]

    def passing(self, ids: Sequence[str], mask: Mask) -> list[int]:
        """Return the places in `ids` of records that exist and are marked."""
        rows = [self._row_of.get(record_id, -1) for record_id in ids]
        return [place for place, row in enumerate(rows) if row >= 0 and mask[row]]

    def row_of_label(self, label: int) -> int | None:
        """Return the row of a label, None for a tombstone's or an unknown one."""
        labels = self._labels.values
        row = int(np.searchsorted(labels, label))
        return row if row < len(labels) and labels[row] == label and self._alive.values[row] else None

    def values_of(self, field: str, ids: Sequence[str]) -> dict[str, Any]:
        """Return the value that each of these records has in a field, without those that have none."""
        self._load_columns([field])
        column = self.columns.column(field)
        codes = column.codes
        found = ((record_id, int(codes[self._row_of[record_id]])) for record_id in ids)
        return {record_id: column.values[code] for record_id, code in found if code >= 0}

    def distinct(self, fields: Collection[str]) -> Iterator[tuple[str, str, Any]]:
        """Yield (id, field, value) once for each distinct value of these fields."""
        for field in fields:
            self._load_columns([field])
            column = self.columns.column(field)
            for code, value in enumerate(column.values):
                rows = np.flatnonzero((column.codes == code) & self._alive.values)
                if len(rows):
                    yield self.ids[int(rows[0])], field, value

    def _extend(self, labels: Sequence[int], ids: Sequence[str]) -> None:
        first = len(self.ids)
        self.ids += ids
        self._labels.extend(labels)
        self._alive.extend(np.ones(len(ids), dtype=np.bool_))
        self._row_of.update(zip(ids, range(first, first + len(ids)), strict=True))

    def _load_columns(self, fields: Collection[str]) -> None:
        missing = self.columns.missing(fields)
        if missing:
            self.columns.make(missing, self._metadata())
            self.columns.trim(fields)

    def _metadata(self) -> Iterator[list[Metadata]]:
        """Yield the metadata of all rows in row order, tombstones as empty ones."""
        wanted = self._labels.values.tolist()
        place = 0
        for page in self._sidecar.packs():
            block: list[Metadata] = []
            for label, pack in page:
                while wanted[place] != label:
                    block.append({})
                    place += 1
                block.append(codec.unpacked(pack, self.ids[place], self._scene)[0])
                place += 1
            yield block
        yield [{} for _ in range(len(wanted) - place)]
