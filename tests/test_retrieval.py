"""Fusion, smoothing and ranking on candidates made by hand."""

from __future__ import annotations

import math

import pytest

from ctxkit.retrieval import Candidate, fuse, half_life_decay, missing_neighbors, rank, smooth


def candidate(name: str, **values: object) -> Candidate:
    """Return a candidate with the given fields."""
    made = Candidate(name, f"text of {name}")
    for field, value in values.items():
        setattr(made, field, value)
    return made


def test_fusion_weighs_two_scales_alike() -> None:
    """BM25 runs to 20 and cosine to 1; standardised, the best of each search weighs by the weights only."""
    a = candidate("a", dense=0.9, lexical=0.0)
    b = candidate("b", dense=0.1, lexical=20.0)
    fuse([a, b], lexical_weight=0.5)
    assert a.fused == pytest.approx(b.fused)
    fuse([a, b], lexical_weight=0.4)
    assert a.fused > b.fused > 0.0


def test_what_the_vectors_did_not_find_counts_as_their_lowest() -> None:
    """Missing from the vector search is no better and no worse than its last result."""
    a, b, c = candidate("a", dense=0.9), candidate("b", dense=0.5, lexical=3.0), candidate("c", lexical=3.0)
    fuse([a, b, c], lexical_weight=0.4)
    assert b.fused == pytest.approx(c.fused)
    assert a.fused > b.fused


def test_what_the_words_did_not_find_shares_none_of_them() -> None:
    """The only memory with the rare word of the question wins, though nothing else has a BM25 score to compare."""
    rare = candidate("rare", dense=0.52, lexical=8.0)
    others = [candidate(str(i), dense=0.5 + i / 100) for i in range(5)]
    fuse([rare, *others], lexical_weight=0.4)
    assert rare.fused > max(each.fused for each in others)


def test_one_search_alone_has_the_whole_weight() -> None:
    """Without an embedder, or without a word in common, the other search decides."""
    a, b = candidate("a", lexical=2.0), candidate("b", lexical=1.0)
    fuse([a, b], lexical_weight=0.4)
    assert a.fused == pytest.approx(2 * b.fused)
    assert b.fused > 0


def test_fusing_nothing_or_only_equals_is_quiet() -> None:
    """No division by a deviation of zero."""
    fuse([], lexical_weight=0.4)
    same = [candidate("a", dense=0.5), candidate("b", dense=0.5)]
    fuse(same, lexical_weight=0.4)
    assert [each.fused for each in same] == [1.0, 1.0]
    bare = [candidate("a")]
    fuse(bare, lexical_weight=0.4)
    assert bare[0].fused == 0.0


def test_smoothing_gives_a_share_of_the_neighbours() -> None:
    """Weights go by distance, on both sides, inside one thread."""
    turns = [candidate(str(i), thread="t", position=i, fused=float(i == 2)) for i in range(5)]
    stranger = candidate("x", thread="other", position=2, fused=5.0)
    alone = candidate("y", position=2, fused=5.0)
    smooth([*turns, stranger, alone], (0.3, 0.15))
    assert [each.neighbor for each in turns] == pytest.approx([0.15, 0.3, 0.0, 0.3, 0.15])
    assert stranger.neighbor == alone.neighbor == 0.0


def test_two_memories_at_one_position_count_once() -> None:
    """The best of them is the neighbour."""
    pair = [candidate("a", thread="t", position=1, fused=1.0), candidate("b", thread="t", position=1, fused=3.0)]
    beside = candidate("c", thread="t", position=2)
    smooth([*pair, beside], (0.5,))
    assert beside.neighbor == pytest.approx(1.5)


def test_missing_neighbors_are_those_beside_the_best() -> None:
    """Only what is not a candidate yet, never a negative position."""
    found = [candidate("a", thread="t", position=0, fused=2.0), candidate("b", thread="t", position=9, fused=1.0)]
    assert missing_neighbors(found, reach=2, top=1) == {"t": [1, 2]}
    assert missing_neighbors(found, reach=1, top=2) == {"t": [1, 8, 10]}
    assert missing_neighbors([candidate("c", fused=1.0)], reach=3, top=5) == {}


def test_half_life() -> None:
    """Half after one half-life; the future counts as now."""
    assert half_life_decay(10, 10) == 0.5
    assert half_life_decay(-5, 10) == 1.0
    assert math.isclose(half_life_decay(20, 10), 0.25)


def test_rank_adds_recency_and_importance_by_weight() -> None:
    """Weights of zero leave both out; ties go by id."""
    old = candidate("old", fused=1.0, timestamp=0.0)
    new = candidate("new", fused=0.9, timestamp=1000.0, metadata={"importance": 2})
    odd = candidate("odd", fused=0.9, metadata={"importance": "high"})
    assert [each.id for each in rank([new, odd, old], now=1000.0)] == ["old", "new", "odd"]
    ranked = rank([old, new, odd], now=1000.0, recency_weight=1.0, importance_weight=0.5, half_life_seconds=1000.0)
    assert [each.id for each in ranked] == ["new", "old", "odd"]
    assert new.final == pytest.approx(0.9 + 1.0 + 1.0)
    assert old.final == pytest.approx(1.0 + 0.5)
