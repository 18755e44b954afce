"""Checks of search by words, and of its refusal where it is not declared."""

from __future__ import annotations

import pytest

from ctxkit.errors import InvalidQueryError
from ctxkit.interfaces import VectorStore
from ctxkit.records import Hits, Record
from ctxkit_conformance.marks import covers
from ctxkit_conformance.stores import clauses
from ctxkit_conformance.stores.base import StoreChecks, check_order, fill, must_refuse


class TextChecks(StoreChecks):
    """Whole words, limits, filters. How words are stemmed or cut is the backend's own business."""

    tier = "T2"
    faces = ("sync", "async")

    @covers(clauses.TEXT_SEARCH)
    def test_text_query(self, store: VectorStore, bare: list[float] | None) -> None:
        """A failure means that a search by words misses records that hold the word, or finds others."""
        texts = {
            "fox": "the quick brown fox",
            "b": "same sentence here",
            "a": "same sentence here",
            "code": "error E4711 in parser",
            "empty": "",
        }
        store.upsert([Record(name, text, bare, {"name": name}) for name, text in texts.items()])
        if store.capabilities.text_search is None:
            must_refuse(lambda: store.text_query("fox", 5))
            must_refuse(lambda: store.text_query("", 5))
            return
        expected = {
            "fox": ["fox"],
            "E4711": ["code"],
            "sentence": ["a", "b"],
            'fox" OR "x* NEAR(': ["fox"],
            "": [],
            "?!* \0 ()": [],
            "absent": [],
        }
        assert {text: sorted(store.text_query(text, 5).ids) for text in expected} == expected
        hits = store.text_query("sentence fox", 9)
        assert isinstance(hits, Hits)
        assert sorted(hits.ids) == ["a", "b", "fox"]
        assert (hits[0].distance, hits[0].metric) == (None, None)
        assert {hit.id: hit.text for hit in hits} == {name: texts[name] for name in hits.ids}
        assert [hit.metadata for hit in hits] == [{"name": name} for name in hits.ids]
        assert len(store.text_query("sentence", 1)) == 1
        if store.capabilities.text_search == "bm25":
            assert (hits.scores > 0).all()
            check_order(hits)
            assert store.text_query("sentence", 1).ids == ["a"]

    @covers(clauses.TEXT_SEARCH, clauses.READ_WRITES)
    def test_text_follows_writes(self, store: VectorStore, bare: list[float] | None) -> None:
        """A failure means that a search by words finds what was replaced or deleted, or misses what is new."""
        if store.capabilities.text_search is None:
            must_refuse(lambda: store.text_query("word", 5))
            return
        store.upsert([Record("a", "walnut", bare), Record("b", "walnut", bare)])
        assert sorted(store.text_query("walnut", 5).ids) == ["a", "b"]
        store.upsert([Record("a", "hazelnut", bare)])
        assert store.text_query("walnut", 5).ids == ["b"]
        assert store.text_query("hazelnut", 5).ids == ["a"]
        store.delete(["b"])
        assert store.text_query("walnut", 5).ids == []

    @covers(clauses.TEXT_SEARCH)
    def test_text_query_filters_inside(self, store: VectorStore, bare: list[float] | None) -> None:
        """A failure means that a strict filter starves the search by words, because it is applied afterwards."""
        fill(store, [Record(f"r{i:03d}", "common word", bare, {"late": i >= 650}) for i in range(700)])
        if store.capabilities.text_search is None:
            must_refuse(lambda: store.text_query("common", 3, where={"late": True}))
            return
        found = store.text_query("common", 3, where={"late": True}).ids
        assert len(found) == 3
        assert all(name >= "r650" for name in found)
        if store.capabilities.text_search == "bm25":
            assert found == ["r650", "r651", "r652"], "equal scores come by id"
        assert len(store.text_query("common", 1000)) == 700
        assert len(store.text_query("common", 1000, where={"late": True})) == 50
        store.delete([f"r{i:03d}" for i in range(695)])
        assert sorted(store.text_query("word", 9).ids) == [f"r{i}" for i in range(695, 700)]
        assert store.health().ok

    @covers(clauses.TEXT_SEARCH, clauses.QUERIES)
    def test_bad_text_queries_are_refused(self, store: VectorStore) -> None:
        """A failure means that a search for something that is no text, or for no hits, gets an answer."""
        if store.capabilities.text_search is None:
            must_refuse(lambda: store.text_query("a", 1))
            return
        with pytest.raises(InvalidQueryError):
            store.text_query(5, 1)  # type: ignore[arg-type]
        for k in (0, -1, True, 1.5):
            with pytest.raises(InvalidQueryError):
                store.text_query("a", k)  # type: ignore[arg-type]
