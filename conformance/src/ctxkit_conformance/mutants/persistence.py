"""Collections that are something else after they were closed and opened again."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import ClassVar

from typing_extensions import Self, override

from ctxkit.defaults.exact import ExactConfig, ExactStore
from ctxkit.errors import (
    ConfigError,
    DimensionMismatchError,
    FingerprintMismatchError,
    MetricMismatchError,
    StoreClosedError,
)
from ctxkit.interfaces import BackendConfig, Capabilities, CollectionSpec
from ctxkit.records import Record
from ctxkit_conformance.mutants.bases import Mutated, Remembering, Restarting, mapped, shortened


class LosesTheLastWrite(ExactStore):
    """The newest record is lost when the store is closed, though its write was acknowledged."""

    @override
    def close(self) -> None:
        with contextlib.suppress(StoreClosedError):
            self.delete([record.id for record in self.scan(descending=True, limit=1)])
        super().close()


class LosesTheLastHundred(ExactStore):
    """A buffer of records that never became full is lost when the store is closed."""

    @override
    def close(self) -> None:
        with contextlib.suppress(StoreClosedError):
            ids = [record.id for record in self.scan()]
            self.delete(ids[len(ids) // 50 * 50 :])
        super().close()


class DeletedRecordsComeBack(Remembering):
    """Deleted records are there again after a restart, because the deletion was never written to the log."""

    @override
    def close(self) -> None:
        with contextlib.suppress(StoreClosedError):
            alive = {record.id for record in self.scan()}
            gone = {record.id: record for record in self.buried if record.id not in alive}
            ExactStore.upsert(self, list(gone.values()))
        super().close()


class ReplacedRecordsComeBack(Remembering):
    """A replaced record is the old one again after a restart."""

    @override
    def close(self) -> None:
        with contextlib.suppress(StoreClosedError):
            alive = {record.id for record in self.scan()}
            old = {record.id: record for record in self.buried if record.id in alive}
            ExactStore.upsert(self, list(old.values()))
        super().close()


class TypesAreLostInTheFile(Restarting):
    """After a restart 1.0 has become 1, which memory had hidden so far."""

    @classmethod
    @override
    def restored(cls, record: Record) -> Record:
        return replace(record, metadata={key: shortened(value) for key, value in record.metadata.items()})


class FlagsAreLostInTheFile(Restarting):
    """After a restart True has become 1."""

    @classmethod
    @override
    def restored(cls, record: Record) -> Record:
        return replace(record, metadata=mapped(record.metadata, lambda v: int(v) if isinstance(v, bool) else v))


class NulsEndTextsInTheFile(Restarting):
    """After a restart texts end at their first NUL."""

    @classmethod
    @override
    def restored(cls, record: Record) -> Record:
        return replace(record, text=record.text.partition("\0")[0])


class VectorlessAreLostInTheFile(Restarting):
    """After a restart the records without a vector are gone."""

    @classmethod
    @override
    def restored(cls, record: Record) -> Record | None:
        return None if record.vector is None else record


class PromisesToKeepConfig(ExactConfig):
    """The configuration of a store that says it keeps what it holds in memory."""

    @override
    def capabilities(self) -> Capabilities:
        return super().capabilities().model_copy(update={"persistent": True})


class PromisesToKeep(ExactStore):
    """Persistence is declared, and a closed collection is gone."""

    config_class: ClassVar[type[ExactConfig]] = PromisesToKeepConfig

    @classmethod
    @override
    def open(cls, spec: CollectionSpec, config: BackendConfig) -> Self:
        return super().open(spec, config.model_copy(update={"path": None}))

    @classmethod
    @override
    def list_collections(cls, config: BackendConfig) -> list[str]:
        return super().list_collections(config.model_copy(update={"path": None}))


class StartsAnew(ExactStore):
    """A collection is emptied when it is opened with another dimension."""

    @classmethod
    @override
    def open(cls, spec: CollectionSpec, config: BackendConfig) -> Self:
        try:
            return super().open(spec, config)
        except DimensionMismatchError:
            cls.drop_collection(config, spec.name)
            return super().open(spec, config)


class MetricIsNotCompared(ExactStore):
    """A collection made for another metric opens, and its scores mean something else."""

    @classmethod
    @override
    def open(cls, spec: CollectionSpec, config: BackendConfig) -> Self:
        try:
            return super().open(spec, config)
        except MetricMismatchError:
            return super().open(cls.describe_collection(config, spec.name), config)


class ModelIsNotCompared(ExactStore):
    """A collection embedded by another model opens, and its vectors are mixed with others."""

    @classmethod
    @override
    def open(cls, spec: CollectionSpec, config: BackendConfig) -> Self:
        try:
            return super().open(spec, config)
        except FingerprintMismatchError:
            return super().open(spec.model_copy(update={"fingerprint": None}), config)


class FieldsAreRetyped(ExactStore):
    """A field declared as int is opened as str, and new records do not fit the old ones."""

    @classmethod
    @override
    def open(cls, spec: CollectionSpec, config: BackendConfig) -> Self:
        try:
            return super().open(spec, config)
        except ConfigError:
            return super().open(spec.model_copy(update={"fields": {}}), config)


class AddedFieldsAreForgotten(Mutated):
    """A field declared later is checked until the next restart, then no more."""

    @classmethod
    @override
    def open(cls, spec: CollectionSpec, config: BackendConfig) -> Self:
        opened = super().open(spec.model_copy(update={"fields": {}}), config)
        opened._handle.spec = opened._handle.spec.model_copy(update={"fields": spec.fields})  # noqa: SLF001
        return opened


class PlaceIsPartOfTheName(ExactStore):
    """The path is written into the data: a folder that was moved opens empty."""

    asked: str

    @classmethod
    @override
    def open(cls, spec: CollectionSpec, config: BackendConfig) -> Self:
        opened = super().open(spec.model_copy(update={"name": f"{spec.name}\0{getattr(config, 'path', '')}"}), config)
        opened.asked = spec.name
        return opened

    @property
    @override
    def spec(self) -> CollectionSpec:
        return super().spec.model_copy(update={"name": self.asked})

    @classmethod
    @override
    def list_collections(cls, config: BackendConfig) -> list[str]:
        return [name.partition("\0")[0] for name in super().list_collections(config)]


PERSISTENCE: dict[type, str] = {
    LosesTheLastWrite: "close_and_reopen",
    LosesTheLastHundred: "close_and_reopen",
    DeletedRecordsComeBack: "close_and_reopen",
    ReplacedRecordsComeBack: "close_and_reopen",
    TypesAreLostInTheFile: "values_survive_a_restart",
    FlagsAreLostInTheFile: "close_and_reopen",
    NulsEndTextsInTheFile: "values_survive_a_restart",
    VectorlessAreLostInTheFile: "values_survive_a_restart",
    PromisesToKeep: "close_and_reopen",
    StartsAnew: "reopen_mismatches",
    MetricIsNotCompared: "reopen_mismatches",
    ModelIsNotCompared: "reopen_mismatches",
    FieldsAreRetyped: "reopen_mismatches",
    AddedFieldsAreForgotten: "fields_can_be_added",
    PlaceIsPartOfTheName: "moved_folder",
}
