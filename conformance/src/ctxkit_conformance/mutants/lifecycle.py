"""Handles that answer after they were closed, wrong figures, and errors that help nobody."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, ClassVar

import numpy.typing as npt
from typing_extensions import override

from ctxkit.defaults.exact import ExactStore
from ctxkit.errors import StoreClosedError, StoreUnavailableError
from ctxkit.filters import Where
from ctxkit.interfaces import Capabilities, StoreHealth, StoreStats
from ctxkit.records import Hits, Record, RecordBatch
from ctxkit_conformance.mutants.bases import Mutated, Remembering, Written


class PromisesOneThingHoldsAnother(ExactStore):
    """An open store declares something else than its configuration did."""

    @property
    @override
    def capabilities(self) -> Capabilities:
        return super().capabilities.model_copy(update={"max_batch": 100_000})


class StatsCountTombstones(Remembering):
    """`stats` counts deleted records too."""

    @override
    def stats(self) -> StoreStats:
        right = super().stats()
        return right.model_copy(update={"rows": right.rows + len(self.buried)})


class StatsCountRowsAsVectors(ExactStore):
    """`stats` says that every record has a vector."""

    @override
    def stats(self) -> StoreStats:
        right = super().stats()
        return right.model_copy(update={"vectors": right.rows})


class VersionOverlooksDeletions(ExactStore):
    """`version` is the number of the newest record, so a deletion leaves it as it was."""

    _newest = 0

    @override
    def upsert(self, records: Sequence[Record] | RecordBatch) -> None:
        super().upsert(records)
        self._newest += 1

    @override
    def version(self) -> int:
        return self._newest


class VersionCountsReads(ExactStore):
    """`version` is another number each time it is asked for."""

    _asked = 0

    @override
    def version(self) -> int:
        self._asked += 1
        return self._asked


class HealthIsAlwaysBad(ExactStore):
    """`health` finds a problem in a new, empty store."""

    @override
    def health(self) -> StoreHealth:
        return super().health().model_copy(update={"ok": False})


class OptimizeForgetsTheNewest(ExactStore):
    """`optimize` builds the index from a list that lacks the newest record."""

    @override
    def optimize(self) -> None:
        super().optimize()
        self.delete([record.id for record in self.scan(descending=True, limit=1)])


class OptimizeBringsBack(Remembering):
    """`optimize` brings deleted records back."""

    @override
    def optimize(self) -> None:
        super().optimize()
        alive = {record.id for record in self.scan()}
        gone = {record.id: record for record in self.buried if record.id not in alive}
        ExactStore.upsert(self, list(gone.values()))


class OptimizeDropsVectorless(ExactStore):
    """`optimize` drops the records without a vector."""

    @override
    def optimize(self) -> None:
        super().optimize()
        self.delete([record.id for record in self.scan(include_vectors=True) if record.vector is None])


class OptimizeFreezesTheIndex(Mutated):
    """After `optimize` new records are stored but not found by a query."""

    @override
    def optimize(self) -> None:
        super().optimize()
        self.notes["indexed"] = {record.id for record in self.scan()}

    @override
    def query(self, vectors: npt.ArrayLike, k: int, **options: Any) -> list[Hits]:
        indexed = self.notes.get("indexed")
        found = super().query(vectors, k, **options)
        return [Hits([hit for hit in hits if indexed is None or hit.id in indexed]) for hits in found]


class FlushEmptiesTheWords(Mutated):
    """`flush` loses the words that were not yet merged, so a search by words finds nothing."""

    @override
    def flush(self) -> None:
        super().flush()
        self.notes["flushed"] = True

    @override
    def text_query(self, text: str, k: int, *, where: Where | None = None) -> Hits:
        found = super().text_query(text, k, where=where)
        return Hits() if self.notes.get("flushed") else found


class CountsAfterClose(ExactStore):
    """A closed handle says that the collection is empty."""

    @override
    def count(self, where: Where | None = None) -> int:
        with contextlib.suppress(StoreClosedError):
            return super().count(where)
        return 0


class WritesAfterCloseAreLost(ExactStore):
    """What is written to a closed handle is lost without an error."""

    @override
    def upsert(self, records: Written) -> None:
        with contextlib.suppress(StoreClosedError):
            super().upsert(records)


class NothingWrittenAfterClose(ExactStore):
    """An empty batch is accepted by a closed handle."""

    @override
    def upsert(self, records: Written) -> None:
        if len(records):
            super().upsert(records)


class ScansAfterClose(ExactStore):
    """A scan of a closed handle yields nothing."""

    @override
    def scan(self, where: Where | None = None, **options: Any) -> Iterator[Record]:
        with contextlib.suppress(StoreClosedError):
            return super().scan(where, **options)
        return iter(())


class HealthyAfterClose(ExactStore):
    """A closed handle says that it is healthy."""

    @override
    def health(self) -> StoreHealth:
        with contextlib.suppress(StoreClosedError):
            return super().health()
        return StoreHealth(ok=True)


class ClosesOnceOnly(Mutated):
    """Closing twice raises."""

    @override
    def close(self) -> None:
        if self.notes.setdefault("closed", False):
            raise StoreClosedError("the store was closed.", fix="close it once.", backend=self.backend, collection="c")
        self.notes["closed"] = True
        super().close()


class LibraryErrorsLeak(ExactStore):
    """A closed handle raises the library's own error, which no caller of ctxkit catches."""

    leaks: ClassVar[tuple[type[Exception], ...]] = (sqlite3.ProgrammingError,)

    @override
    def get(self, ids: Sequence[str], **options: Any) -> list[Record | None]:
        try:
            return super().get(ids, **options)
        except StoreClosedError:
            raise sqlite3.ProgrammingError("Cannot operate on a closed database.") from None


class ErrorsAreAllOneKind(ExactStore):
    """A closed handle raises a general error, which a caller takes for a broken disk."""

    @override
    def count(self, where: Where | None = None) -> int:
        try:
            return super().count(where)
        except StoreClosedError as error:
            raise StoreUnavailableError(
                error.message, fix=error.fix, backend=error.backend, collection=error.collection
            ) from error


class ErrorsNameNothing(ExactStore):
    """An error does not say which backend and collection it is about."""

    @override
    def count(self, where: Where | None = None) -> int:
        try:
            return super().count(where)
        except StoreClosedError as error:
            raise StoreClosedError(error.message, fix=error.fix) from error


class ErrorsHaveNoFix(ExactStore):
    """An error does not say what to do."""

    @override
    def count(self, where: Where | None = None) -> int:
        try:
            return super().count(where)
        except StoreClosedError as error:
            raise StoreClosedError(error.message, backend=error.backend, collection=error.collection) from error


class LeavingDoesNotClose(ExactStore):
    """`with` leaves the handle open."""

    @override
    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.flush()


class LeavingSwallowsErrors(ExactStore):
    """`with` swallows whatever its body raises."""

    @override
    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> Any:
        self.close()
        return True


LIFECYCLE: dict[type, str] = {
    PromisesOneThingHoldsAnother: "capabilities",
    StatsCountTombstones: "housekeeping_changes_nothing",
    StatsCountRowsAsVectors: "housekeeping_changes_nothing",
    VersionOverlooksDeletions: "version_follows_writes",
    VersionCountsReads: "version_follows_writes",
    HealthIsAlwaysBad: "empty_store_answers",
    OptimizeForgetsTheNewest: "housekeeping_changes_nothing",
    OptimizeBringsBack: "housekeeping_changes_nothing",
    OptimizeDropsVectorless: "housekeeping_changes_nothing",
    OptimizeFreezesTheIndex: "housekeeping_changes_nothing",
    FlushEmptiesTheWords: "housekeeping_changes_nothing",
    CountsAfterClose: "closed_store",
    WritesAfterCloseAreLost: "closed_store",
    NothingWrittenAfterClose: "closed_store",
    ScansAfterClose: "closed_store",
    HealthyAfterClose: "closed_store",
    ClosesOnceOnly: "closed_store",
    LibraryErrorsLeak: "closed_store",
    ErrorsAreAllOneKind: "closed_store",
    ErrorsNameNothing: "errors_name_backend_and_collection",
    ErrorsHaveNoFix: "errors_name_backend_and_collection",
    LeavingDoesNotClose: "leaving_the_context_closes",
    LeavingSwallowsErrors: "leaving_the_context_closes",
}
