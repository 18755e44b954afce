"""The plain values that travel between callers and backends, and the rules they obey."""

from __future__ import annotations

from ctxkit.records.hits import Hit, Hits
from ctxkit.records.record import (
    FieldType,
    FloatVector,
    FloatVectors,
    Metadata,
    MetadataScalar,
    MetadataValue,
    Metric,
    Record,
    RecordBatch,
)
from ctxkit.records.validation import (
    MAX_ID_BYTES,
    check_id,
    check_k,
    check_metadata,
    check_text,
    check_vectors,
    normalize_batch,
)

__all__ = [
    "MAX_ID_BYTES",
    "FieldType",
    "FloatVector",
    "FloatVectors",
    "Hit",
    "Hits",
    "Metadata",
    "MetadataScalar",
    "MetadataValue",
    "Metric",
    "Record",
    "RecordBatch",
    "check_id",
    "check_k",
    "check_metadata",
    "check_text",
    "check_vectors",
    "normalize_batch",
]
