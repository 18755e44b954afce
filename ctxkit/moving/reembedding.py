"""Records whose vectors are made anew by another model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ctxkit.errors import CtxkitError, EmbedderError
from ctxkit.interfaces import CollectionSpec, Embedder
from ctxkit.memory.entries import PENDING, SPLIT
from ctxkit.memory.vault import embedding_text, with_vector
from ctxkit.moving.digests import record_digest
from ctxkit.moving.origins import is_memory
from ctxkit.records import FloatVectors, Record


class Reembedding:
    """Texts and metadata as they are, vectors of this embedder.

    Of a memory each record gets one that memory itself would give one; of another collection each that had one. Raises
    EmbedderError when the model fails; what was made until then stays, and the same command goes on.
    """

    def __init__(self, embedder: Embedder, source: CollectionSpec) -> None:
        self._embedder = embedder
        self._memory = is_memory(source)

    def spec(self, source: CollectionSpec) -> CollectionSpec:
        """Return the source's with the embedder's dimension and fingerprint."""
        changed = {"dimension": self._embedder.dimension, "fingerprint": self._embedder.fingerprint}
        return CollectionSpec.model_validate({**source.model_dump(), "index_options": {}, **changed})

    def identity(self, record: Record) -> bytes:
        """Return the digest of what stays: all but the vector, and that it is waited for."""
        metadata = {key: value for key, value in record.metadata.items() if key != PENDING}
        return record_digest(Record(record.id, record.text, None, metadata))

    def made(self, records: Sequence[Record]) -> list[Record]:
        """Return the records with new vectors."""
        wanted = [SPLIT not in each.metadata if self._memory else each.vector is not None for each in records]
        texts = [
            embedding_text(record) if self._memory else record.text
            for record, want in zip(records, wanted, strict=True)
            if want
        ]
        rows = iter(self._embedded(texts) if texts else ())
        return [
            with_vector(record, next(rows)) if want else replace(record, vector=None)
            for record, want in zip(records, wanted, strict=True)
        ]

    def _embedded(self, texts: Sequence[str]) -> FloatVectors:
        try:
            return self._embedder.embed_documents(texts)
        except CtxkitError:
            raise
        except Exception as exc:
            # Another library's words stay in the cause: they may quote a key.
            raise EmbedderError(
                f"the embedder failed with {type(exc).__name__}.",
                fix="see the cause of this error with --debug; the same command goes on from here.",
            ) from exc
