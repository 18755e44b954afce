"""Checks of collections: apart from each other, listed, described, dropped."""

from __future__ import annotations

from pathlib import Path

import pytest

from ctxkit.errors import CollectionNotFoundError, ConfigError
from ctxkit.interfaces import BackendConfig, Capabilities, CollectionSpec, Harness
from ctxkit.records import Metric, Record
from ctxkit_conformance.marks import covers
from ctxkit_conformance.stores import clauses
from ctxkit_conformance.stores.base import StoreChecks, found_by_words, must_refuse

NAMES = [
    *("a", "A", "é", "e\u0301", "../x", "a/b", "日本", ".", "con", " ", "a\0b"),
    *("x" * 512, "x" * 511 + "y", "\U0001f600" * 512),
]


class CollectionChecks(StoreChecks):
    """Names of any kind, isolation, the catalogue, configurations that do not fit."""

    tier = "T1"
    faces = ("sync", "async")

    @covers(clauses.COLLECTIONS)
    def test_collections_are_apart(self, config: BackendConfig, metric: Metric) -> None:
        """A failure means that two customers whose names differ by case or accent share one collection."""
        stores = [self.open(config, metric, 2, name) for name in NAMES]
        for name, store in zip(NAMES, stores, strict=True):
            store.upsert([Record("id", name, [1, 0])])
        assert [store.get(["id"])[0] for store in stores] == [Record("id", name) for name in NAMES]
        assert [store.spec.name for store in stores] == NAMES
        for store in stores:
            store.close()

    @covers(clauses.COLLECTIONS)
    def test_names_stay_inside_the_folder(self, config: BackendConfig, metric: Metric, tmp_path: Path) -> None:
        """A failure means that whoever may choose a collection's name may write and delete anywhere on the disk."""
        before = {path.name for path in tmp_path.iterdir()}
        with self.open(config, metric, name="in") as store:
            store.upsert([Record("a", "", [1, 0, 0])])
        folder = {path.name for path in tmp_path.iterdir()}
        for name in ("../out", "../../out", str(tmp_path / "out"), "..", "in/../../out"):
            with self.open(config, metric, name=name) as store:
                store.upsert([Record("a", "", [1, 0, 0])])
        assert {path.name for path in tmp_path.iterdir()} == folder, "a collection was made outside of the folder"
        assert len(folder - before) <= 1

    @covers(clauses.COLLECTIONS)
    def test_listed_and_described(self, config: BackendConfig, declared: Capabilities, metric: Metric) -> None:
        """A failure means that a collection cannot be found again, or is not what its description says.

        A store that is not `persistent` may leave its collections out of the list, but then all of them.
        """
        spec = CollectionSpec(name="é", dimension=2, metric=metric, fingerprint="model", fields={"n": "int"})
        stores = [self.open_spec(spec, config), *(self.open(config, metric, 2, name) for name in ("b", "A"))]
        listed = self.store_class.list_collections(config)
        assert listed == ["A", "b", "é"] or (listed == [] and not declared.persistent)
        if listed:
            assert self.store_class.describe_collection(config, "é") == spec
        else:
            with pytest.raises(CollectionNotFoundError):
                self.store_class.describe_collection(config, "é")
        assert stores[0].spec == spec
        for store in stores:
            store.close()

    @covers(clauses.COLLECTIONS)
    def test_dropped(self, config: BackendConfig, declared: Capabilities, metric: Metric) -> None:
        """A failure means that dropped data is still read, or that dropping one collection takes another along."""
        old, other = self.open(config, metric), self.open(config, metric, name="C")
        for store in (old, other):
            store.upsert([Record("a", "word", [1, 0, 0])])
        if "c" not in self.store_class.list_collections(config):
            assert not declared.persistent
            with pytest.raises(CollectionNotFoundError):
                self.store_class.drop_collection(config, "c")
        else:
            self.store_class.drop_collection(config, "c")
            assert self.store_class.list_collections(config) == ["C"]
            with self.open(config, metric) as new:
                assert (new.count(), new.get(["a"]), new.query([1, 0, 0], 1)[0].ids) == (0, [None], [])
                assert found_by_words(new, "word") == [], "the words of a dropped collection are still found"
                for call in (old.count, lambda: old.upsert([Record("b", "", [1, 0, 0])]), lambda: old.delete(["a"])):
                    with pytest.raises(CollectionNotFoundError):
                        call()
                assert new.count() == 0
        assert other.count() == 1
        for store in (old, other):
            store.close()

    @covers(clauses.COLLECTIONS)
    def test_unknown_collection(self, config: BackendConfig) -> None:
        """A failure means that a mistyped name makes an empty collection, or seems to have been dropped."""
        for call in (self.store_class.describe_collection, self.store_class.drop_collection):
            with pytest.raises(CollectionNotFoundError):
                call(config, "nobody")
        assert self.store_class.list_collections(config) == []

    @covers(clauses.COLLECTIONS)
    def test_another_folder_is_another_place(
        self, harness: Harness, config: BackendConfig, metric: Metric, tmp_path: Path
    ) -> None:
        """A failure means that two applications with their own folders read each other's records."""
        with self.open(config, metric) as here, self.open(harness.fresh(tmp_path / "other"), metric) as there:
            here.upsert([Record("a", "", [1, 0, 0])])
            assert there.count() == 0
            assert there.get(["a"]) == [None]

    @covers(clauses.ERRORS, clauses.CAPABILITIES)
    def test_foreign_configuration_and_options_are_refused(self, config: BackendConfig, metric: Metric) -> None:
        """A failure means that another backend's configuration, or a mistyped option, changes nothing unnoticed."""
        with pytest.raises(ConfigError):
            self.store_class.open(CollectionSpec(dimension=3, metric=metric), _ForeignConfig())
        with pytest.raises(ConfigError):
            self.open(config, metric, index_options={"no_such_option": 16})

    @covers(clauses.CAPABILITIES)
    def test_least_dimension(self, config: BackendConfig, declared: Capabilities, metric: Metric) -> None:
        """A failure means that vectors of a length which the backend cannot hold are found out at the first write."""
        least = declared.min_dimension
        if least > 1:
            must_refuse(lambda: self.open(config, metric, least - 1))
        with self.open(config, metric, least, "least") as store:
            store.upsert([Record("a", "", [1.0] * least)])
            assert store.query([1.0] * least, 1)[0].ids == ["a"]


class _ForeignConfig(BackendConfig):
    """A configuration that no backend knows."""
