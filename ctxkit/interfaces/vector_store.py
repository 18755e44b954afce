"""The vector store interface: records in, the nearest ones out, filters inside the search."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Annotated, Any, ClassVar, TypeVar

import numpy.typing as npt
from pydantic import AfterValidator, Field
from typing_extensions import Self

from ctxkit.filters import Where
from ctxkit.interfaces.capabilities import Capabilities
from ctxkit.interfaces.config import BackendConfig, FrozenModel
from ctxkit.records import FieldType, Hits, Metric, Record, RecordBatch

StoreT = TypeVar("StoreT", bound="VectorStore")


class FrozenDict(dict[str, Any]):
    """A dict that cannot be changed: what keeps a frozen model frozen all the way down."""

    def _refuse(self, *_args: object, **_kwargs: object) -> Any:
        """Raise TypeError: a specification does not change."""
        msg = "this mapping is immutable; make a new specification instead."
        raise TypeError(msg)

    __setitem__ = __delitem__ = update = pop = popitem = clear = setdefault = _refuse
    __ior__ = _refuse

    def __hash__(self) -> int:  # type: ignore[override]  # immutable, so hashable
        return hash(tuple(sorted(self.items(), key=lambda item: item[0])))


class CollectionSpec(FrozenModel):
    """What a collection is: fixed when it is made, checked when it is opened again.

    `fingerprint` names the embedding model (None: the opener does not say). `fields` declares metadata fields
    and their types; fields can be added later, never retyped. `index_options` are the backend's own.
    """

    name: str = Field(default="default", min_length=1, max_length=512)
    dimension: int = Field(ge=1, le=65_536)
    metric: Metric = "cosine"
    fingerprint: str | None = None
    fields: Annotated[Mapping[str, FieldType], AfterValidator(FrozenDict)] = Field(default_factory=dict)
    index_options: Annotated[Mapping[str, Any], AfterValidator(FrozenDict)] = Field(default_factory=dict)


class StoreStats(FrozenModel):
    """Figures about one collection: rows, rows with a vector, bytes, and whatever else the backend knows."""

    rows: int = Field(ge=0)
    vectors: int = Field(ge=0)
    bytes_in_memory: int | None = None
    bytes_on_disk: int | None = None
    details: Annotated[Mapping[str, Any], AfterValidator(FrozenDict)] = Field(default_factory=dict)


class StoreHealth(FrozenModel):
    """The verdict on one collection: `ok`, and each problem with what to do about it."""

    ok: bool
    problems: tuple[str, ...] = ()


class VectorStore(ABC):
    """A handle on one collection. Use it as a context manager, or call `close`.

    Every method raises StoreClosedError after `close` and CollectionNotFoundError once the collection was
    dropped. Reads see every write that returned before them, as far as the declared concurrency goes.
    """

    backend: ClassVar[str] = ""

    @classmethod
    @abstractmethod
    def open(cls: type[StoreT], spec: CollectionSpec, config: BackendConfig) -> StoreT:
        """Open the collection, making it when it does not exist.

        Raises DimensionMismatchError, MetricMismatchError or FingerprintMismatchError when it exists and
        differs, ConfigError when a field is declared with another type than before, and InvalidRecordError when a
        field is new and values of another type are stored; it is never made anew for that reason.
        """

    @classmethod
    @abstractmethod
    def list_collections(cls, config: BackendConfig) -> list[str]:
        """Return the names of all collections, sorted."""

    @classmethod
    @abstractmethod
    def describe_collection(cls, config: BackendConfig, name: str) -> CollectionSpec:
        """Return what the collection was made with, or raise CollectionNotFoundError."""

    @classmethod
    @abstractmethod
    def drop_collection(cls, config: BackendConfig, name: str) -> None:
        """Delete the collection and everything in it, or raise CollectionNotFoundError."""

    @property
    @abstractmethod
    def spec(self) -> CollectionSpec:
        """What this collection is."""

    @property
    @abstractmethod
    def capabilities(self) -> Capabilities:
        """What this store can do as it is configured."""

    @abstractmethod
    def upsert(self, records: Sequence[Record] | RecordBatch) -> None:
        """Write a batch, all of it or nothing; a record with a known id is replaced whole.

        Raises InvalidRecordError for the first bad record and for an id that stands twice.
        """

    @abstractmethod
    def get(self, ids: Sequence[str], *, include_vectors: bool = False) -> list[Record | None]:
        """Return the records in the order of `ids`, repeats included, None where there is none."""

    @abstractmethod
    def delete(self, ids: Sequence[str] | None = None, *, where: Where | None = None) -> int:
        """Delete by id, by filter, or the intersection; return how many existed.

        Neither given is refused, and so is an empty filter: emptying a collection is `drop_collection`.
        """

    @abstractmethod
    def count(self, where: Where | None = None) -> int:
        """Return the number of records that pass the filter."""

    @abstractmethod
    def query(
        self,
        vectors: npt.ArrayLike,
        k: int,
        *,
        where: Where | None = None,
        min_score: float | None = None,
        include_vectors: bool = False,
    ) -> list[Hits]:
        """Return, for each query vector, the k nearest records that pass the filter.

        `vectors` is (d,) for one query or (n, d) for n; the result has one Hits each. Exactly min(k, records
        with a vector that pass `where`) come back, then those below `min_score` (inclusive) are dropped.
        Scores: cosine in [-1, 1]; dot: the product; l2: 1 / (1 + Euclidean distance).
        """

    @abstractmethod
    def text_query(self, text: str, k: int, *, where: Where | None = None) -> Hits:
        """Return up to k records whose text shares words with `text`, best first.

        Capability text_search; raises UnsupportedError where it is not declared.
        """

    @abstractmethod
    def scan(
        self,
        where: Where | None = None,
        *,
        order_by: str | None = None,
        descending: bool = False,
        limit: int | None = None,
        include_vectors: bool = False,
    ) -> Iterator[Record]:
        """Yield every record that passes the filter, each exactly once.

        `order_by` a metadata field: numbers, then strings, then records without it; ties by id (capability
        ordered_scan; `descending` turns the values round, records without the field stay last).
        """

    @abstractmethod
    def flush(self) -> None:
        """Return once everything that was written is as durable as the backend can make it."""

    @abstractmethod
    def optimize(self) -> None:
        """Do the housekeeping that makes later reads faster or the store smaller."""

    @abstractmethod
    def stats(self) -> StoreStats:
        """Return figures about the collection."""

    def version(self) -> int | None:
        """Return a number that every write changes, of whatever process; None where the store has none.

        A store that can tell it quickly does: it is asked before and after what rests on nothing having been written.
        """
        found = self.stats().details.get("seq")
        return found if isinstance(found, int) else None

    @abstractmethod
    def health(self) -> StoreHealth:
        """Check what is stored and say what is wrong with it."""

    @abstractmethod
    def close(self) -> None:
        """Release everything; closing twice is fine."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
