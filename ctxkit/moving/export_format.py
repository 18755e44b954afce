"""The format of an export: a folder of plain files that any language reads.

    manifest.json             what the collection is, and each part with its sizes and SHA-256; written last
    records-00000.jsonl.gz    a record a line: {"id", "text", "metadata", "vector": row in the part's vectors or null}
    vectors-00000.npy         float32, little-endian, C order, of shape (rows, dimension); missing where no row is

Records stand in the order of their ids by code point, so that equal collections make equal files. docs/moving.md says
the same for readers without ctxkit.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Final, Literal

from pydantic import Field, ValidationError, model_validator
from typing_extensions import Self

from ctxkit.errors import FormatVersionError, StoreCorruptError
from ctxkit.interfaces import CollectionSpec
from ctxkit.interfaces.config import FrozenModel
from ctxkit.records import FieldType, Metric

FORMAT: Final = "ctxkit-export"
VERSION: Final = 1
MANIFEST: Final = "manifest.json"
RECORDS: Final = "records-*.jsonl.gz"  # what a part's files are called
VECTORS: Final = "vectors-*.npy"
MOST_RECORDS: Final = 100_000  # in one part
MOST_BYTES: Final = 1 << 30  # of one part's lines
_SEAL: Final = "manifest_sha256"

Count = Annotated[int, Field(ge=0, lt=1 << 63)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Part(FrozenModel):
    """One part: its number, how many records and vectors it has, the bytes of its lines unpacked, and its checksums."""

    number: int = Field(ge=0, lt=10**9)
    records: int = Field(ge=1, le=MOST_RECORDS)
    vectors: int = Field(ge=0, le=MOST_RECORDS)
    text_bytes: int = Field(ge=1, le=MOST_BYTES)
    records_sha256: Digest
    vectors_sha256: Digest | None = None
    last_id: str

    @property
    def records_file(self) -> str:
        """The name of its file of records; names are made of the number, never read."""
        return RECORDS.replace("*", f"{self.number:05d}")

    @property
    def vectors_file(self) -> str:
        """The name of its file of vectors."""
        return VECTORS.replace("*", f"{self.number:05d}")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.vectors > self.records or (self.vectors > 0) != (self.vectors_sha256 is not None):
            raise ValueError("its vectors do not fit its records")
        return self


class Exported(FrozenModel):
    """The collection that an export holds, as in CollectionSpec."""

    name: str = Field(min_length=1, max_length=512)
    dimension: int = Field(ge=1, le=65_536)
    metric: Metric
    fingerprint: str | None
    fields: dict[str, FieldType]


class Manifest(FrozenModel):
    """What an export holds; `digest` is that of the collection (see `digests`), the file ends with its own checksum."""

    format: Literal["ctxkit-export"] = FORMAT
    version: Literal[1] = VERSION
    collection: Exported
    records: Count
    vectors: Count
    digest: Digest
    parts: tuple[Part, ...]

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if [part.number for part in self.parts] != list(range(len(self.parts))):
            raise ValueError("its parts are not numbered one after the other")
        if (sum(part.records for part in self.parts), sum(part.vectors for part in self.parts)) != (
            self.records,
            self.vectors,
        ):
            raise ValueError("its parts do not add up to its counts")
        return self

    @property
    def spec(self) -> CollectionSpec:
        """The collection as a store is asked for it."""
        return CollectionSpec.model_validate(self.collection.model_dump())

    def sealed(self) -> dict[str, Any]:
        """Return what is written: all of it, and the checksum by which a damaged manifest is told from a sound one."""
        content = self.model_dump()
        return {**content, _SEAL: _checksum(content)}


def manifest_from(content: Any, place: str) -> Manifest:
    """Return a checked manifest; raises FormatVersionError and StoreCorruptError naming what is wrong."""
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise StoreCorruptError(f"{place} is no export of ctxkit.", fix="name the folder of an export.")
    if content.get("version") != VERSION:
        raise FormatVersionError(
            f"{place} has version {content.get('version')!r:.20}; this ctxkit reads {VERSION}.",
            fix="import it with the ctxkit that made it, or a newer one.",
        )
    sealed = dict(content)
    seal = sealed.pop(_SEAL, None)
    if not isinstance(seal, str) or seal != _checksum(sealed):
        raise StoreCorruptError(
            f"{place} is damaged: its checksum is not that of its content.", fix="export the collection again."
        )
    try:
        return Manifest.model_validate(sealed)
    except ValidationError as exc:
        first = exc.errors()[0]
        where = ".".join(str(each) for each in first["loc"])
        raise StoreCorruptError(
            f"{place} is damaged: {where}{': ' if where else ''}{first['msg']}.", fix="export the collection again."
        ) from exc


def _checksum(content: dict[str, Any]) -> str | None:
    try:
        written = json.dumps(content, sort_keys=True, separators=(",", ":"))
    except RecursionError:
        return None
    return hashlib.sha256(written.encode()).hexdigest()
