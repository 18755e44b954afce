"""Collections that run into each other, are forgotten, or are something else than their description."""

from __future__ import annotations

import contextlib
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy.typing as npt
from typing_extensions import Self, override

from ctxkit.defaults.exact import ExactConfig, ExactStore
from ctxkit.errors import CollectionNotFoundError
from ctxkit.filters import Where
from ctxkit.interfaces import BackendConfig, Capabilities, CollectionSpec
from ctxkit.records import Hit, Hits, Record
from ctxkit_conformance.mutants.bases import Mutated, Written

_PATH_SEPARATOR = "/"


class Renaming(ExactStore):
    """Keeps a collection under another name: `place`."""

    asked: str

    @classmethod
    @override
    def open(cls, spec: CollectionSpec, config: BackendConfig) -> Self:
        opened = super().open(spec.model_copy(update={"name": cls.place(spec.name)}), config)
        opened.asked = spec.name
        return opened

    @property
    @override
    def spec(self) -> CollectionSpec:
        return super().spec.model_copy(update={"name": self.asked})

    @classmethod
    def place(cls, name: str) -> str:
        """Return the name under which the collection is kept."""
        raise NotImplementedError


class NamesIgnoreCase(Renaming):
    """Two collections whose names differ by case are one, as on some file systems."""

    @classmethod
    @override
    def place(cls, name: str) -> str:
        return name.lower()


class NamesAreComposed(Renaming):
    """Two collections whose names are written with other Unicode characters for the same letter are one."""

    @classmethod
    @override
    def place(cls, name: str) -> str:
        return unicodedata.normalize("NFC", name)


class NamesAreCleaned(Renaming):
    """Two collections whose names differ in punctuation are one, since the backend allows letters only."""

    @classmethod
    @override
    def place(cls, name: str) -> str:
        return re.sub(r"\W", "_", name)


class NamesAreCut(Renaming):
    """Two collections whose long names begin alike are one."""

    @classmethod
    @override
    def place(cls, name: str) -> str:
        return name[:255]


class NamesArePaths(ExactStore):
    """A collection named "../x" is made outside of the folder."""

    @classmethod
    @override
    def open(cls, spec: CollectionSpec, config: BackendConfig) -> Self:
        folder = Path(str(getattr(config, "path", None)))
        place = (folder / spec.name.replace("\0", "_")[:200]).parent
        if _PATH_SEPARATOR in spec.name:
            with contextlib.suppress(OSError):
                return super().open(spec, config.model_copy(update={"path": place}))
        return super().open(spec, config)


class CollectionsShareIds(ExactStore):
    """A record of one collection is overwritten by that of another with the same id."""

    _records: ClassVar[dict[str, Record]] = {}

    @override
    def upsert(self, records: Written) -> None:
        super().upsert(records)
        self._records.update({record.id: record for record in records})

    @override
    def get(self, ids: Sequence[str], **options: Any) -> list[Record | None]:
        found = super().get(ids, **options)
        return [None if each is None else Record(each.id, self._records[each.id].text) for each in found]


class ListIsUnsorted(ExactStore):
    """Collections are listed in the order in which they lie on disk."""

    @classmethod
    @override
    def list_collections(cls, config: BackendConfig) -> list[str]:
        return super().list_collections(config)[::-1]


class ListKnowsOpenOnes(ExactStore):
    """Collections that were closed are not listed."""

    _open: ClassVar[list[str]] = []

    @classmethod
    @override
    def open(cls, spec: CollectionSpec, config: BackendConfig) -> Self:
        opened = super().open(spec, config)
        cls._open.append(spec.name)
        return opened

    @override
    def close(self) -> None:
        self._open[:] = [name for name in self._open if name != self.spec.name]
        super().close()

    @classmethod
    @override
    def list_collections(cls, config: BackendConfig) -> list[str]:
        return [name for name in super().list_collections(config) if name in cls._open]


class DescriptionLacksFields(ExactStore):
    """A collection's description has no declared fields."""

    @classmethod
    @override
    def describe_collection(cls, config: BackendConfig, name: str) -> CollectionSpec:
        return super().describe_collection(config, name).model_copy(update={"fields": {}})


class DescriptionLacksTheModel(ExactStore):
    """A collection's description does not name the embedding model, so it is opened with another one."""

    @classmethod
    @override
    def describe_collection(cls, config: BackendConfig, name: str) -> CollectionSpec:
        return super().describe_collection(config, name).model_copy(update={"fingerprint": None})


class DescribingMakesIt(ExactStore):
    """A mistyped name makes an empty collection."""

    @classmethod
    @override
    def describe_collection(cls, config: BackendConfig, name: str) -> CollectionSpec:
        with contextlib.suppress(CollectionNotFoundError):
            return super().describe_collection(config, name)
        with cls.open(CollectionSpec(name=name, dimension=3), config) as made:
            return made.spec


class DroppingNothingIsFine(ExactStore):
    """Dropping a collection that does not exist succeeds, so a mistyped name seems to be gone."""

    @classmethod
    @override
    def drop_collection(cls, config: BackendConfig, name: str) -> None:
        with contextlib.suppress(CollectionNotFoundError):
            super().drop_collection(config, name)


class DroppingTakesOthers(ExactStore):
    """Dropping "c" drops "C" too."""

    @classmethod
    @override
    def drop_collection(cls, config: BackendConfig, name: str) -> None:
        super().drop_collection(config, name)
        for other in cls.list_collections(config):
            if other.casefold() == name.casefold():
                super().drop_collection(config, other)


class DroppedHandlesAnswer(ExactStore):
    """A handle on a dropped collection says that it is empty, and swallows what is written."""

    @override
    def count(self, where: Where | None = None) -> int:
        with contextlib.suppress(CollectionNotFoundError):
            return super().count(where)
        return 0

    @override
    def upsert(self, records: Written) -> None:
        with contextlib.suppress(CollectionNotFoundError):
            super().upsert(records)


class DroppedHandlesBringItBack(Mutated):
    """Writing through an old handle makes a dropped collection again."""

    @classmethod
    @override
    def open(cls, spec: CollectionSpec, config: BackendConfig) -> Self:
        opened = super().open(spec, config)
        opened.notes["again"] = (spec, config)
        return opened

    @override
    def upsert(self, records: Written) -> None:
        try:
            super().upsert(records)
        except CollectionNotFoundError:
            with ExactStore.open(*self.notes["again"]) as again:
                again.upsert(records)


class WordsOutliveTheCollection(Mutated):
    """A collection that was dropped and made anew is still searched by its old words."""

    _left: ClassVar[dict[str, list[Record]]] = {}

    @classmethod
    @override
    def drop_collection(cls, config: BackendConfig, name: str) -> None:
        with ExactStore.open(cls.describe_collection(config, name), config) as dying:
            cls._left[name] = list(dying.scan())
        super().drop_collection(config, name)

    @override
    def text_query(self, text: str, k: int, *, where: Where | None = None) -> Hits:
        found = super().text_query(text, k, where=where)
        left = [Hit(each.id, 1e-9, each.text) for each in self._left.get(self.spec.name, []) if text in each.text]
        return Hits([*found, *left][:k])


class OneFolderForAll(ExactStore):
    """Two applications with folders of their own share one place."""

    @classmethod
    @override
    def open(cls, spec: CollectionSpec, config: BackendConfig) -> Self:
        return super().open(spec, _shared(config))


class AnyConfigurationIsTaken(ExactStore):
    """Another backend's configuration is taken for the defaults, and the data goes elsewhere."""

    @classmethod
    @override
    def open(cls, spec: CollectionSpec, config: BackendConfig) -> Self:
        return super().open(spec, config if isinstance(config, ExactConfig) else ExactConfig())


class IndexOptionsAreIgnored(ExactStore):
    """A mistyped index option changes nothing, without a word."""

    @classmethod
    @override
    def open(cls, spec: CollectionSpec, config: BackendConfig) -> Self:
        return super().open(spec.model_copy(update={"index_options": {}}), config)


class TwoDimensionsConfig(ExactConfig):
    """The configuration of a store that needs two dimensions."""

    @override
    def capabilities(self) -> Capabilities:
        return super().capabilities().model_copy(update={"min_dimension": 2})


class TooFewDimensionsShowLate(ExactStore):
    """At least two dimensions are declared; a collection of one opens, and its searches fail."""

    config_class: ClassVar[type[ExactConfig]] = TwoDimensionsConfig

    @override
    def query(self, vectors: npt.ArrayLike, k: int, **options: Any) -> list[Hits]:
        if self.spec.dimension < 2:
            raise AssertionError("d >= 2")
        return super().query(vectors, k, **options)


def _shared(config: BackendConfig) -> BackendConfig:
    path = getattr(config, "path", None)
    return config if path is None else config.model_copy(update={"path": Path(path).parent / "shared"})


COLLECTIONS: dict[type, str] = {
    NamesIgnoreCase: "collections_are_apart",
    NamesAreComposed: "collections_are_apart",
    NamesAreCleaned: "collections_are_apart",
    NamesAreCut: "collections_are_apart",
    NamesArePaths: "names_stay_inside_the_folder",
    CollectionsShareIds: "collections_are_apart",
    ListIsUnsorted: "listed_and_described",
    ListKnowsOpenOnes: "close_and_reopen",
    DescriptionLacksFields: "listed_and_described",
    DescriptionLacksTheModel: "listed_and_described",
    DescribingMakesIt: "unknown_collection",
    DroppingNothingIsFine: "unknown_collection",
    DroppingTakesOthers: "dropped",
    DroppedHandlesAnswer: "dropped",
    DroppedHandlesBringItBack: "dropped",
    WordsOutliveTheCollection: "dropped",
    OneFolderForAll: "another_folder_is_another_place",
    AnyConfigurationIsTaken: "foreign_configuration_and_options_are_refused",
    IndexOptionsAreIgnored: "foreign_configuration_and_options_are_refused",
    TooFewDimensionsShowLate: "least_dimension",
}
