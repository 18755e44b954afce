"""The checks of the asynchronous face: each broken face is caught, and the bridge to the other checks holds."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from ctxkit_conformance.marks import checks_of, marks_of
from ctxkit_conformance.mutants.faces import FACES
from ctxkit_conformance.stores.asynchronous import AsyncChecks
from ctxkit_conformance.stores.bridge import LoopThread, bridged, one_face
from ctxkit_conformance.stores.search import SearchChecks

from ctxkit.defaults.exact import ExactConfig, ExactStore
from ctxkit.errors import InvalidQueryError, StoreClosedError
from ctxkit.interfaces import CollectionSpec, asynchronous
from ctxkit.records import Record

HERE = Path(__file__).parent
SPEC = CollectionSpec(name="c", dimension=3)
OF_THE_FACE = {mutant.__name__: check for mutant, check in FACES.items() if hasattr(mutant, "async_class")}


Outcomes: TypeAlias = dict[str, dict[str, dict[str, set[str]]]]
Run: TypeAlias = Callable[..., tuple[Outcomes, str]]


@pytest.fixture(scope="module")
def outcomes(outcomes_of: Run) -> Outcomes:
    """Return how each mutant fares in its check, and the unbroken store in all of them."""
    pairs = [*OF_THE_FACE.items(), *(("ExactStore", check) for check in sorted(set(OF_THE_FACE.values())))]
    found, printed = outcomes_of(HERE, *(f"broken_faces.py::Test{owner}::test_{check}" for owner, check in pairs))
    assert set(found) == {*OF_THE_FACE, "ExactStore"}, printed
    return found


@pytest.mark.parametrize(("mutant", "check"), OF_THE_FACE.items(), ids=list(OF_THE_FACE))
def test_a_broken_face_is_caught(outcomes: Outcomes, mutant: str, check: str) -> None:
    """The check meant for the defect fails, and where the other face runs it too, only through the broken one."""
    cases = outcomes[mutant][check]
    assert set(cases) <= {"FAILED", "PASSED"}
    assert cases["FAILED"]
    assert all("async" in case for case in cases["FAILED"] if case)


def test_the_unbroken_face_passes(outcomes: Outcomes) -> None:
    """The checks that catch the broken ones pass where nothing is broken."""
    assert set(outcomes["ExactStore"]) == set(OF_THE_FACE.values())
    assert all(set(cases) == {"PASSED"} for cases in outcomes["ExactStore"].values())


def test_every_check_of_the_face_kills() -> None:
    """None is there that no defect has ever failed."""
    assert {marks.name for marks in checks_of(AsyncChecks).values()} <= set(FACES.values())


def test_a_case_through_the_face_belongs_to_its_tier() -> None:
    """The report shows it where asynchronous faces are judged."""
    for face, tier in (("sync", "T2"), ("async", "T8")):
        marks = marks_of(SearchChecks, SearchChecks.test_law_of_k, face=face)
        assert marks is not None
        assert marks.tier == tier


@pytest.fixture
def loop() -> Iterator[LoopThread]:
    """A loop in a thread of its own."""
    before = set(threading.enumerate())  # a contract that ran before keeps its loop until the session ends
    made = LoopThread(30.0)
    yield made
    made.close()
    started = set(threading.enumerate()) - before
    assert not [thread for thread in started if thread.name == "ctxkit-conformance-loop"]


def test_a_bridged_store_is_a_store(loop: LoopThread, tmp_path: Path) -> None:
    """Every method gets through, with its arguments, its answer and its error."""
    cls, config = bridged(asynchronous(ExactStore), loop), ExactConfig(path=tmp_path / "stores")
    assert (cls.__name__, cls.backend) == ("AsyncExactStore", "exact")
    with cls.open(SPEC, config) as store:
        assert (store.spec, store.capabilities) == (SPEC, config.capabilities())
        store.upsert([Record(f"r{i}", f"word{i}", [1, i, 0], {"n": i}) for i in range(100)])
        assert store.get(["r7"], include_vectors=True) == [Record("r7", "word7", [1, 7, 0], {"n": 7})]
        assert store.delete(["r1", "r2"], where={"n": 1}) == 1
        assert store.count({"n": {"$lt": 3}}) == 2
        assert store.query([1, 0, 0], 2, where={"n": {"$gt": 0}}, min_score=0.1)[0].ids == ["r2", "r3"]
        assert store.text_query("word5", 3).ids == ["r5"]
        assert [record.id for record in store.scan(order_by="n", descending=True, limit=40)][-1] == "r60"
        store.flush()
        store.optimize()
        assert (store.stats().rows, store.health().ok) == (99, True)
        with pytest.raises(InvalidQueryError):
            list(store.scan(limit=-1))
    with pytest.raises(StoreClosedError):
        store.count()
    assert cls.list_collections(config) == ["c"]
    assert cls.describe_collection(config, "c") == SPEC
    cls.drop_collection(config, "c")
    assert cls.list_collections(config) == []


def test_a_bridged_scan_is_no_list(loop: LoopThread) -> None:
    """Whoever stops early has not read everything, and writes may come between."""
    taken: list[str] = []

    class Counting(ExactStore):
        """Notes what is taken."""

        def scan(self, *arguments: Any, **options: Any) -> Iterator[Record]:
            """Note each record."""
            for record in super().scan(*arguments, **options):
                taken.append(record.id)
                yield record

    with bridged(asynchronous(Counting), loop).open(SPEC, ExactConfig()) as store:
        store.upsert([Record(f"r{i:04d}", "", [1, i, 0]) for i in range(1000)])
        records = store.scan()
        first = next(records)
        assert first.id == "r0000"
        assert len(taken) < 1000
        store.upsert([Record("late", "", [1, 0, 0])])
        assert len(list(records)) == 999


def test_a_face_that_never_answers_fails(loop: LoopThread) -> None:
    """A hanging call is a failed check, not a run that never ends; a timeout of the store's own stays what it is."""
    loop.patience = 0.05
    with pytest.raises(AssertionError, match="no answer within"):
        loop.run(asyncio.Event().wait())

    async def impatient() -> None:
        raise TimeoutError("the server's")

    loop.patience = 30.0
    with pytest.raises(TimeoutError, match="the server's"):
        loop.run(impatient())


SUITE = """
from ctxkit_conformance.marks import covers
from ctxkit_conformance.stores.base import StoreChecks
from ctxkit_conformance.stores.bridge import one_face
from ctxkit.defaults.exact import ExactConfig, ExactStore
from ctxkit.interfaces import asynchronous

class Own(asynchronous(ExactStore)):
    pass

class Group(StoreChecks):
    tier = "T1"
    faces = ("sync", "async")

    @covers()
    def test_name(self, store):
        assert type(store).__name__ == self.expected

    @covers()
    @one_face
    def test_long(self, store):
        assert type(store) is ExactStore

class Other(StoreChecks):
    tier = "T1"

    @covers()
    def test_other(self, store):
        assert type(store) is ExactStore

class Both(Group, Other):
    store_class = ExactStore

    def make_config(self, folder):
        return ExactConfig()

class TestWrapped(Both):
    expected = "AsyncExactStore"

class TestNative(Both):
    expected = "Own"
    async_class = Own
    faces = ("sync",)  # a test file cannot leave the other face out
"""


def test_a_group_says_which_faces_it_examines(tmp_path: Path, outcomes_of: Run) -> None:
    """Its checks run through each, with the class that was named or the one that every store has; others once."""
    file = tmp_path / "test_faces.py"
    file.write_text(SUITE, encoding="utf-8")
    found, printed = outcomes_of(tmp_path, file.name)
    for owner in ("Wrapped", "Native"):
        assert found[owner]["name"] == {"FAILED": {_SYNC}, "PASSED": {"async"}}, printed
        assert found[owner]["long"] == found[owner]["other"] == {"PASSED": {""}}


_SYNC = "" if hasattr(pytest, "HIDDEN_PARAM") else "sync"


def test_a_check_is_marked_in_place() -> None:
    """The mark gives back the very function."""

    def check() -> None:
        """Do nothing."""

    assert one_face(check) is check
