"""Records that are let in though they have to be refused, and the other way round."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from typing_extensions import override

from ctxkit.defaults.exact import ExactStore
from ctxkit.errors import InvalidRecordError
from ctxkit.records import Record, RecordBatch
from ctxkit_conformance.mutants.bases import Lenient, Written


class IdLimitCountsCharacters(Lenient):
    """An id of 512 letters that take 1024 bytes is let in, where the next backend refuses it."""

    @override
    def mended(self, record: Record) -> Record:
        too_long = len(record.id) <= 512 < len(record.id.encode("utf-8", "replace"))
        return replace(record, id=record.id[:128]) if too_long else record


class SurrogatesAreReplaced(Lenient):
    """A broken id or text is let in and comes back with question marks."""

    @override
    def mended(self, record: Record) -> Record:
        name, text = (each.encode("utf-8", "replace").decode() for each in (record.id, record.text))
        return replace(record, id=name, text=text)


class NoneIsDropped(Lenient):
    """A metadata field that is None is left out without a word, so filters on it miss the record."""

    @override
    def mended(self, record: Record) -> Record:
        return replace(record, metadata={k: v for k, v in record.metadata.items() if v is not None})


class NestedIsFlattened(Lenient):
    """A dict in metadata is spread over fields with dots in their names."""

    @override
    def mended(self, record: Record) -> Record:
        flat: dict[str, Any] = {}
        for key, value in record.metadata.items():
            flat |= (
                {f"{key}.{inner}": each for inner, each in value.items()} if isinstance(value, dict) else {key: value}
            )
        return replace(record, metadata=flat)


class MixedListsBecomeText(Lenient):
    """A list of ints and strings is let in as a list of strings."""

    @override
    def mended(self, record: Record) -> Record:
        def as_text(value: Any) -> Any:
            mixed = isinstance(value, list) and len({type(item) for item in value}) > 1
            return [str(item) for item in value] if mixed else value

        return replace(record, metadata={key: as_text(value) for key, value in record.metadata.items()})


class NumpyScalarsBecomeText(Lenient):
    """Metadata computed with numpy comes back as strings, from a JSON encoder told to use str for the unknown."""

    @override
    def mended(self, record: Record) -> Record:
        def as_text(value: Any) -> Any:
            return str(value) if isinstance(value, np.generic) else value

        return replace(record, metadata={key: as_text(value) for key, value in record.metadata.items()})


class NanBecomesZero(Lenient):
    """A vector with NaN from a broken embedder is stored with zeros in its place."""

    @override
    def mended(self, record: Record) -> Record:
        if record.vector is None or np.asarray(record.vector).dtype.kind != "f":
            return record
        return replace(record, vector=np.where(np.isnan(record.vector), 0.0, record.vector))


class InfinityIsClamped(Lenient):
    """A vector with infinity is stored with a large number in its place."""

    @override
    def mended(self, record: Record) -> Record:
        if record.vector is None or np.asarray(record.vector).dtype.kind != "f":
            return record
        return replace(record, vector=np.clip(np.asarray(record.vector, dtype=np.float64), -1e37, 1e37))


class ShortVectorsArePadded(Lenient):
    """A vector of another model is filled up with zeros instead of being refused."""

    @override
    def mended(self, record: Record) -> Record:
        missing = 0 if record.vector is None else self.spec.dimension - len(np.asarray(record.vector))
        return replace(record, vector=np.pad(np.asarray(record.vector), (0, missing))) if missing > 0 else record


class LongVectorsAreCut(Lenient):
    """A vector of another model is cut to length instead of being refused."""

    @override
    def mended(self, record: Record) -> Record:
        return (
            record
            if record.vector is None
            else replace(record, vector=np.asarray(record.vector)[: self.spec.dimension])
        )


class ZeroVectorsAreAccepted(Lenient):
    """The embedding of an empty page is let in under cosine, where it has no direction."""

    @override
    def mended(self, record: Record) -> Record:
        if self.spec.metric != "cosine" or record.vector is None or np.any(record.vector):
            return record
        return replace(record, vector=[1e-30] * self.spec.dimension)


class FieldTypesAreIgnored(ExactStore):
    """A field declared as a number fills with text."""

    @override
    def upsert(self, records: Written) -> None:
        handle, spec = self._handle, self.spec
        handle.spec = spec.model_copy(update={"fields": {}})
        try:
            super().upsert(records)
        finally:
            handle.spec = spec


class FieldTypesAreCoerced(Lenient):
    """A value of another type in a declared field is converted instead of refused."""

    @override
    def mended(self, record: Record) -> Record:
        makers: dict[str, Callable[[Any], Any]] = {
            "int": int,
            "float": float,
            "number": float,
            "str": str,
            "bool": bool,
        }
        makers["list"] = lambda value: [value]
        fields = self.spec.fields
        items = record.metadata.items()
        return replace(record, metadata={k: makers[fields[k]](v) if k in fields else v for k, v in items})


class FillerIsStored(ExactStore):
    """In a batch of columns the filler of a missing vector is stored as if it were one."""

    @override
    def upsert(self, records: Written) -> None:
        if isinstance(records, RecordBatch) and records.present is not None:
            filled = np.nan_to_num(np.asarray(records.vectors), nan=1.0)
            records = replace(records, vectors=filled, present=None)
        super().upsert(records)


class ColumnsAreZipped(ExactStore):
    """A batch whose columns differ in length is written as far as the shortest one goes."""

    @override
    def upsert(self, records: Written) -> None:
        if isinstance(records, RecordBatch):
            columns: list[Any] = [records.ids, records.vectors, records.texts, records.metadata]
            least = min(len(column) for column in columns if column is not None)
            ids, vectors, texts, metadata = (None if column is None else column[:least] for column in columns)
            records = RecordBatch(ids or [], vectors, texts, metadata, records.present)
        super().upsert(records)


class NumpyScalarsAreRefused(Lenient):
    """Metadata computed with numpy has to be converted by hand first."""

    @override
    def mended(self, record: Record) -> Record:
        if any(isinstance(value, np.generic) for value in record.metadata.values()):
            raise InvalidRecordError("the metadata holds a numpy scalar.", fix="convert it with item().")
        return record


REFUSALS: dict[type, str] = {
    IdLimitCountsCharacters: "one_bad_record_writes_nothing",
    SurrogatesAreReplaced: "one_bad_record_writes_nothing",
    NoneIsDropped: "one_bad_record_writes_nothing",
    NestedIsFlattened: "one_bad_record_writes_nothing",
    MixedListsBecomeText: "one_bad_record_writes_nothing",
    NumpyScalarsBecomeText: "numpy_scalars_become_pythons",
    NumpyScalarsAreRefused: "numpy_scalars_become_pythons",
    NanBecomesZero: "one_bad_record_writes_nothing",
    InfinityIsClamped: "one_bad_record_writes_nothing",
    ShortVectorsArePadded: "one_bad_record_writes_nothing",
    LongVectorsAreCut: "one_bad_record_writes_nothing",
    ZeroVectorsAreAccepted: "zero_vectors",
    FieldTypesAreIgnored: "declared_fields",
    FieldTypesAreCoerced: "declared_fields",
    FillerIsStored: "columns_without_some_vectors",
    ColumnsAreZipped: "columns_of_unequal_length_are_refused",
}
