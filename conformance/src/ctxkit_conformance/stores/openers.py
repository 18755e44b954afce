"""Checks of who else may open what is stored: another process, another handle, another version."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from ctxkit.errors import CollectionNotFoundError, FormatVersionError, StoreCorruptError, StoreLockedError
from ctxkit.interfaces import BackendConfig, Capabilities, Harness, VectorStore
from ctxkit.records import Metric
from ctxkit_conformance.marks import covers, not_applicable
from ctxkit_conformance.stores import clauses
from ctxkit_conformance.stores.answers import numbered
from ctxkit_conformance.stores.elsewhere import ElsewhereChecks, refusal_of, settled
from ctxkit_conformance.stores.remote import Remote


class OpenerChecks(ElsewhereChecks):
    """What is declared as `concurrency` is either there or refused with StoreLockedError, never half there."""

    tier = "T5"

    @covers(clauses.SECOND_OPENER, clauses.PROCESSES)
    def test_second_opener(self, config: BackendConfig, declared: Capabilities, metric: Metric) -> None:
        """A failure means that starting an application twice loses what one of the two remembers."""
        with self.open(config, metric) as store, self.process() as other:
            store.upsert([numbered("a", 1)])
            refusal = refusal_of(lambda: other.call("open", self.spec_of(metric), config), StoreLockedError)
            if refusal is None:
                _check_shared(store, other, declared)
            else:
                assert declared.concurrency == "single-process", f"{declared.concurrency} is declared, but: {refusal}"
                assert refusal.fix, "a StoreLockedError has to name a fix"
            found = store.get(["a"], include_vectors=True)
            assert found == [numbered("a", 1)], "the first opener was disturbed by the second"
        if declared.persistent:
            with self.elsewhere(config, metric) as other:
                assert other.call("get", ["a"], include_vectors=True) == [numbered("a", 1)]
                other.call("upsert", [numbered("later", 9)])
                other.call("close")
            with self.open(config, metric) as store:
                assert store.get(["later"], include_vectors=True) == [numbered("later", 9)]

    @covers(clauses.SECOND_OPENER, clauses.READ_WRITES)
    def test_second_handle(self, config: BackendConfig, declared: Capabilities, metric: Metric) -> None:
        """A failure means that two parts of one application that open the same store do not see each other's data."""
        with self.open(config, metric) as one:
            one.upsert([numbered("a", 1)])
            try:
                two = self.open(config, metric)
            except StoreLockedError:
                assert declared.concurrency == "single-process", "only single-process may refuse a second handle"
                return
            with two:
                if declared.persistent or two.count():
                    _check_two_handles(one, two, declared)
                else:
                    # Nothing but a handle keeps the data, so the two have nothing in common.
                    two.upsert([numbered("b", 2)])
                    assert one.get(["b"]) == [None], "two handles share some writes and not others"
            assert one.get(["a"], include_vectors=True) == [numbered("a", 1)], "closing one handle spoiled the other"

    @covers(clauses.COLLECTIONS)
    def test_dropped_elsewhere(self, config: BackendConfig, declared: Capabilities, metric: Metric) -> None:
        """A failure means that a process goes on writing into a collection that another one has dropped."""
        with self.elsewhere(config, metric) as other:
            other.call("upsert", [numbered("a", 1)])
            refusal = refusal_of(
                lambda: self.store_class.drop_collection(config, "c"), StoreLockedError, CollectionNotFoundError
            )
            if refusal is not None:
                private = isinstance(refusal, CollectionNotFoundError) and not declared.persistent
                assert private or declared.concurrency != "multi-writer", f"dropping was refused: {refusal}"
                assert other.call("count") == 1, "dropping was refused, yet the collection is not what it was"
                return
            assert "c" not in self.store_class.list_collections(config)
            _check_gone(other)
            with self.open(config, metric) as store:
                assert store.count() == 0, "a dropped collection came back"
                # One of the same name is another collection.
                _check_gone(other)
                assert store.count() == 0, "the handle of the dropped collection wrote into the new one"

    @covers(clauses.FORMAT)
    def test_newer_format(
        self, harness: Harness, config: BackendConfig, declared: Capabilities, metric: Metric
    ) -> None:
        """A failure means that going back to an older version ruins what the newer one has written."""
        records = [numbered(f"r{number}", number) for number in range(5)]
        with self.open(config, metric) as store:
            store.upsert(records)
        if not declared.persistent:
            with self.open(config, metric) as store:
                assert store.count() in {0, len(records)}, "a part of what is not persistent was kept"
            return
        has_files = type(harness).files is not Harness.files
        try:
            before = _kept(harness, config)
            harness.newer_format(config, "c")
        except NotImplementedError as error:
            not_applicable(f"only the backend knows where its format version stands: {error}")
        newer = _kept(harness, config)
        assert newer != before or not has_files, "the harness's newer_format() has changed nothing"
        for call in (
            lambda: self.open(config, metric),
            lambda: self.store_class.describe_collection(config, "c"),
        ):
            with pytest.raises((FormatVersionError, StoreCorruptError)) as caught:
                call()
            assert caught.value.fix, "the error has to say what to do"
        after = _kept(harness, config)
        assert {key: after.get(key) for key in newer} == newer, "data of another version was changed"
        if has_files:
            for path, content in before.items():
                path.write_bytes(content)
            with self.open(config, metric) as store:
                assert store.get(["r3"], include_vectors=True) == [records[3]]


def _check_shared(store: VectorStore, other: Remote, declared: Capabilities) -> None:
    """Check that a second opener that was let in works as the declared concurrency says."""
    if declared.concurrency == "single-process":
        assert not declared.persistent, "single-process is declared, but a second process was not refused"
        # Nothing but the handle keeps the data, so the two have nothing in common.
        assert other.call("count") == 0
        other.call("upsert", [numbered("b", 2)])
        assert store.get(["b"]) == [None]
        return
    first, second = numbered("a", 1), numbered("b", 2)
    seen = settled(lambda: other.call("get", ["a"], include_vectors=True), [first], declared)
    assert seen == [first], "the second opener does not see what the first one wrote"
    if declared.concurrency == "multi-writer":
        other.call("upsert", [second])
        found = settled(lambda: store.get(["b"], include_vectors=True), [second], declared)
        assert found == [second], "the first opener does not see what the second one wrote"
        return
    for call in (("upsert", [second]), ("delete", ["a"])):
        with pytest.raises(StoreLockedError):
            other.call(*call)
    assert store.count() == 1, "a second writer was refused, yet something was written"
    store.upsert([second])
    found = settled(lambda: other.call("get", ["b"], include_vectors=True), [second], declared)
    assert found == [second], "the reader does not see what the writer wrote after it was opened"


def _check_two_handles(one: VectorStore, two: VectorStore, declared: Capabilities) -> None:
    """Check that each of two handles sees what the other writes; the second may be refused, but not half."""
    ids = {"a"}
    for number in range(2, 8):
        writer, reader = (one, two) if number % 2 else (two, one)
        record = numbered(f"r{number % 3}", number)
        refusal = refusal_of(lambda: writer.upsert([record]), StoreLockedError)  # noqa: B023 - called at once
        if refusal is not None:
            assert writer is two, f"the handle that was there first may write, but: {refusal}"
            assert declared.concurrency != "multi-writer", f"multi-writer is declared, but: {refusal}"
            continue
        ids.add(record.id)
        found = settled(lambda: reader.get([record.id], include_vectors=True), [record], declared)  # noqa: B023
        assert found == [record], "a write through one handle is not seen by the other"
        count = settled(reader.count, len(ids), declared)
        assert count == len(ids), f"one handle counts {count} records, {len(ids)} were written through both"


def _check_gone(other: Remote) -> None:
    calls: list[tuple[str, Callable[[], object]]] = [
        ("count", lambda: other.call("count")),
        ("get", lambda: other.call("get", ["a"])),
        ("query", lambda: other.call("query", [1.0, 0.0, 0.0], 3)),
        ("scan", lambda: other.call("scan")),
        ("upsert", lambda: other.call("upsert", [numbered("b", 2)])),
        ("delete", lambda: other.call("delete", ["a"])),
    ]
    for name, call in calls:
        try:
            found = call()
        except CollectionNotFoundError:
            continue
        raise AssertionError(f"{name} of a handle on a dropped collection returned {found!r}")


def _kept(harness: Harness, config: BackendConfig) -> Mapping[Any, Any]:
    """Return everything that is stored: each file's bytes, or the records where a server has the files."""
    if type(harness).files is Harness.files:
        return harness.raw(config, "c")
    return {path: path.read_bytes() for path in harness.files(config)}
