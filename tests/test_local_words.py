"""The ranking by kept postings against FTS5's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from local_collections import SPEC, child, filled, sql

from ctxkit.defaults.exact import ExactConfig, ExactStore
from ctxkit.errors import StoreCorruptError
from ctxkit.filters import Where
from ctxkit.local import postings, text
from ctxkit.records import Record

VOCABULARY = (
    "tea",
    "teas",
    "TEA",
    "harbour",
    "running",
    "runs",
    "run",
    "caf\u00e9",
    "cafe\u0301",
    "can't",
    "a_b",
    "\u00b2",
    "\u5929\u6c14",
    "\u5929\u6c14\u597d",
    "\u597d",
    "na\u00efve",
    "",
)
TEXTS = st.lists(st.sampled_from(VOCABULARY), max_size=9).map(" ".join)
QUESTIONS = st.lists(st.sampled_from(VOCABULARY[:-1]), min_size=1, max_size=4).map(" ".join)
NAMES = [f"id{number}" for number in range(12)]


def by_fts5(store: ExactStore, question: str) -> list[tuple[str, float]]:
    """Return every hit as FTS5 ranks and scores it, ties by id."""
    expression = text.match_expression(question)
    if expression is None:
        return []
    with store._handle.reading(whole=True) as (connection, view):
        found = [(-score, view.ids_of([label])[0]) for label, score in text.ranked(connection, expression)]
    return [(name, -loss) for loss, name in sorted(found)]


def by_us(store: ExactStore, question: str, k: int = 1000, where: Where | None = None) -> list[tuple[str, float]]:
    """Return what the store finds."""
    return [(hit.id, hit.score) for hit in store.text_query(question, k, where=where)]


def assert_same(found: list[tuple[str, float]], expected: list[tuple[str, float]]) -> None:
    """Compare two rankings; a processor that rounds once for a product and a sum may differ in a score's last bit."""
    assert [name for name, _ in found] == [name for name, _ in expected]
    assert [score for _, score in found] == pytest.approx([score for _, score in expected], rel=1e-12)


class RankedAlike(RuleBasedStateMachine):
    """Whatever is written, removed, reopened or written by another handle, both rankings are one."""

    def __init__(self) -> None:
        super().__init__()
        self.store, self.other = self.opened(), self.opened()
        self.texts: dict[str, str] = {}

    directory: Path
    number = 0

    def opened(self) -> ExactStore:
        """Open another handle on this machine's collection."""
        path = self.directory / str(RankedAlike.number)
        return ExactStore.open(SPEC, ExactConfig(path=path, durability="normal"))

    def teardown(self) -> None:
        """Close both handles; the next machine gets a collection of its own."""
        self.store.close()
        self.other.close()
        RankedAlike.number += 1

    @rule(names=st.sets(st.sampled_from(NAMES), min_size=1, max_size=4), written=TEXTS, here=st.booleans())
    def write(self, names: set[str], written: str, *, here: bool) -> None:
        """Write or replace records, through either handle."""
        handle = self.store if here else self.other
        handle.upsert([Record(name, f"{written} {name}", None, {"n": int(name[2:])}) for name in sorted(names)])
        self.texts.update((name, f"{written} {name}") for name in names)

    @rule(name=st.sampled_from(NAMES), here=st.booleans())
    def remove(self, name: str, *, here: bool) -> None:
        """Delete a record, through either handle."""
        (self.store if here else self.other).delete([name])
        self.texts.pop(name, None)

    @rule()
    def reopen(self) -> None:
        """Go on with a handle that has kept nothing."""
        self.store.close()
        self.store = self.opened()

    @precondition(lambda self: self.texts)
    @rule(question=QUESTIONS, k=st.integers(1, 5), most=st.integers(0, 12))
    def ask(self, question: str, k: int, most: int) -> None:
        """Compare every hit, the best few, and those that a filter lets through."""
        expected = by_fts5(self.store, question)
        assert_same(by_us(self.store, question), expected)
        assert_same(by_us(self.other, question), expected)
        assert_same(by_us(self.store, question, k), expected[:k])
        passing = [hit for hit in expected if int(hit[0][2:]) < most]
        assert_same(by_us(self.store, question, k, {"n": {"$lt": most}}), passing[:k])

    @invariant()
    def words_of_each_record_find_it(self) -> None:
        """A record is found by its own name, and by what it says now."""
        assert {name for name, _ in by_us(self.store, " ".join(NAMES))} == self.texts.keys()


def test_both_rankings_are_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Words that stem alike, phrases, one Chinese character, accents; with little room for what is kept."""
    monkeypatch.setattr(postings, "_FEW", 2)
    monkeypatch.setattr(postings, "_KEPT_BYTES", 2500)
    RankedAlike.directory = tmp_path
    RankedAlike.TestCase.settings = settings(max_examples=15, stateful_step_count=20, deadline=None)
    RankedAlike.TestCase("runTest").runTest()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ExactStore]:
    """A store of some texts on disk."""
    config = ExactConfig(path=tmp_path)
    filled(config)
    with ExactStore.open(SPEC, config) as opened:
        yield opened


def test_single_words_are_ranked_without_fts5(store: ExactStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """FTS5 walks its index row by row; it is left to what the postings of single words cannot tell."""

    def refuse(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(text, "ranked", refuse)
    assert len(store.text_query("number7 many", 100)) == 59
    store.upsert([Record("new", "many many", None), Record("r7", "another text", None)])
    assert [hit.id for hit in store.text_query("number7 many", 2)] == ["new", "r0"]
    with pytest.raises(AssertionError):
        store.text_query("many \u597d", 1)


def test_what_another_process_writes_is_ranked_at_once(store: ExactStore, tmp_path: Path) -> None:
    """Also by the postings that were read before it was written."""
    assert len(store.text_query("many", 100)) == 59
    code = """
    with ExactStore.open(spec, config) as store:
        store.upsert([Record('new', 'so many texts', None), Record('r1', 'few', None)])
        store.delete(['r2'])
    """
    done = child(dedent(code), tmp_path)
    assert done.returncode == 0, done.stderr
    assert_same(by_us(store, "many texts"), by_fts5(store, "many texts"))
    assert {"new", "r3"} <= {name for name, _ in by_us(store, "many")}
    assert not {"r1", "r2"} & {name for name, _ in by_us(store, "many")}


def test_endless_words_and_long_texts(tmp_path: Path) -> None:
    """FTS5 cuts words, and takes more than a byte to keep the length of a text of more than 127."""
    with ExactStore.open(SPEC, ExactConfig(path=tmp_path)) as store:
        endless = "x" * 40_000
        store.upsert([Record(f"r{n}", f"{endless} {'tea ' * n} harbour", None) for n in (1, 127, 128, 300, 20_000)])
        for question in (endless, "tea", "harbour tea", "x"):
            assert_same(by_us(store, question), by_fts5(store, question))
        assert len(by_us(store, endless[:-1])) == 5


def test_the_room_of_postings_is_bounded_and_told(store: ExactStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is asked, what is kept stays near its limit, and `stats` counts it."""
    assert len(store.query([1] * 8, 100)[0]) == 59  # from now on every text is kept
    before = store.stats().bytes_in_memory or 0
    store.text_query("many", 1)
    one = store.stats().bytes_in_memory or 0
    assert one > before
    monkeypatch.setattr(postings, "_KEPT_BYTES", 4000)
    monkeypatch.setattr(postings, "_WORDS_KEPT", 8)
    sizes = []
    for number in range(60):
        store.text_query(f"number{number} many text", 1)
        sizes.append(store.stats().bytes_in_memory or 0)
    assert max(sizes[30:]) <= max(sizes[:30])
    assert len(store.text_query("number7 many", 100)) == 59


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE words_docsize SET sz = NULL WHERE id = 3",
        "UPDATE words_docsize SET sz = x'81' WHERE id = 3",
        "UPDATE words_docsize SET sz = x'FFFFFFFFFF7F' WHERE id = 3",
        "UPDATE words_data SET block = NULL WHERE id = 1",
    ],
)
def test_a_damaged_length_is_named(store: ExactStore, tmp_path: Path, change: str) -> None:
    """Whatever stands in the index's tables, no error is Python's own."""
    sql(ExactConfig(path=tmp_path), change)
    with pytest.raises(StoreCorruptError, match="number of words belongs"):
        store.text_query("many", 1)


def test_an_interrupt_leaves_nothing_half_taken_in(store: ExactStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was added to the postings before it is not added once more after it."""
    real = postings.Words._add
    assert_same(by_us(store, "many text"), by_fts5(store, "many text"))

    def interrupted(self: postings.Words, *arguments: Any) -> bool:
        monkeypatch.setattr(postings.Words, "_add", real)
        assert real(self, *arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(postings.Words, "_add", interrupted)
    store.upsert([Record("new", "many many texts", None)])
    with pytest.raises(KeyboardInterrupt):
        store.text_query("many text", 1)
    assert_same(by_us(store, "many text"), by_fts5(store, "many text"))


@pytest.mark.parametrize("also", ["", "number7"])
def test_an_index_of_other_rows_is_damage(store: ExactStore, tmp_path: Path, also: str) -> None:
    """A row in the index that is no record: with it the index has one row too many, or as many as there are records."""
    config = ExactConfig(path=tmp_path)
    sql(config, "INSERT INTO words(rowid, text) VALUES(999, 'many')")
    if also:
        sql(config, "INSERT INTO words(words, rowid, text) VALUES('delete', 8, 'text number7 of many')")
    with pytest.raises(StoreCorruptError, match="rows that do not exist"):
        store.text_query("many", 100)
    store.optimize()
    assert len(store.text_query("many", 100)) == 59
