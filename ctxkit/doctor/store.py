"""Whether the store is whole and of the configured embedder, and what waits in it."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any, Final

from ctxkit.doctor.results import Result, of_error
from ctxkit.doctor.subject import Subject
from ctxkit.errors import CtxkitError
from ctxkit.interfaces import CollectionSpec, EmbedderCapabilities, VectorStore
from ctxkit.memory.entries import PENDING
from ctxkit.memory.opening import COLLECTION, open_vault

_MANY: Final = 1000  # tombstones that are worth a word


def check(subject: Subject) -> Iterator[Result]:
    """Open the collection of memories as what it is, and read and check all of it; makes none where there is none."""
    folder, name = subject.folder, subject.provider("vector_store")
    if folder is not None and folder.exists() and not folder.is_dir():
        yield Result(
            "problem", "store", f"{folder} is a file, not the folder of a store", "name a folder with --store."
        )
        return
    if not subject.registry.is_available("vector_store", name):
        yield Result("not checked", "store", f"the vector store {name} is not installed")
        return
    try:
        place = subject.place
        spec = place.described(COLLECTION)
        if spec is None:
            yield Result("not checked", "store", f"there is none in {folder or place.title} yet")
            return
        embedder = _embedder(subject, spec)
        if subject.fix and embedder.verdict == "ok":
            _embed(subject)
        with _said() as warnings, place.open(spec) as store:
            yield from _examined(store)
            yield embedder
            if embedder.verdict == "ok":
                yield _waiting(store.count({PENDING: True}))
        for warning in dict.fromkeys(warnings):
            yield Result("warning", "index", warning, "`ctxkit doctor --only store` once more: it has been made anew.")
    except CtxkitError as exc:
        yield of_error(exc, "store")


@contextmanager
def _said() -> Iterator[list[str]]:
    """Gather what the store warns of while it is open: a damaged index, for one, is made anew without an error."""
    warnings: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: warnings.append(record.getMessage())  # type: ignore[method-assign]  # all it does
    logger = logging.getLogger("ctxkit")
    logger.addHandler(handler)
    try:
        yield warnings
    finally:
        logger.removeHandler(handler)


def _examined(store: VectorStore) -> Iterator[Result]:
    began = time.perf_counter()
    health = store.health()
    stats = store.stats()
    if health.ok:
        took = f"read and checked in {time.perf_counter() - began:.2f} s"
        yield Result("ok", "records", f"{stats.rows} in all, {stats.vectors} with a vector, {took}")
    for problem in health.problems:
        found, _, fix = problem.partition("; ")
        yield Result("problem", "records", found, fix)
    yield from _index(stats.details)


def _index(details: Mapping[str, Any]) -> Iterator[Result]:
    """Say how fresh the index is, of a store that tells."""
    if details.get("segment_problem"):
        yield Result("warning", "index", f"it cannot be kept: {details['segment_problem']}", "make room in its folder.")
    elif details.get("segment_made_at"):
        minutes = max(0, time.time() - float(details["segment_made_at"])) / 60
        lacking = f"{details.get('delta', 0)} vectors written since"
        yield Result("ok", "index", f"{details.get('index_type')}, made {minutes:.0f} minutes ago, {lacking}")
    else:
        yield Result("ok", "index", f"{details.get('index_type', 'of the backend')}, no snapshot needed")
    tombstones = int(details.get("tombstones", 0))
    if tombstones > _MANY:
        yield Result("ok", "index", f"{tombstones} replaced or deleted records are left out of each search")


def _embedder(subject: Subject, spec: CollectionSpec) -> Result:
    """Compare the embedder with the one that made the vectors."""
    name = subject.provider("embedder")
    if name == "none":
        return Result("not checked", "embedder", "none is configured: vectors are not searched")
    try:
        if not is_at_hand(subject):
            return Result("not checked", "embedder", f"{name} needs the network", "add --online.")
        options = subject.section("embedder").options()
        with closing(subject.registry.create_embedder(name, options)) as embedder:
            fingerprint, dimension = embedder.fingerprint, embedder.dimension
    except CtxkitError as exc:
        return of_error(exc, "embedder")
    if spec.dimension != dimension or spec.fingerprint not in (None, fingerprint):
        made_by = f"{spec.fingerprint or 'an unknown model'}, {spec.dimension} dimensions"
        return Result(
            "problem",
            "embedder",
            f"the vectors were made by {made_by}; configured is {name}: {fingerprint}, {dimension} dimensions",
            "configure that embedder again, or have the vectors made anew: `ctxkit reembed`.",
        )
    told = "no model has made vectors yet" if spec.fingerprint is None else f"{name} made the vectors: {fingerprint}"
    return Result("ok", "embedder", told)


def _embed(subject: Subject) -> None:
    """Embed what waits for its vector."""
    with closing(open_vault(subject.config, subject.folder, subject.registry)) as vault:
        vault.backfill()


def _waiting(count: int) -> Result:
    if not count:
        return Result("ok", "embeddings", "no record waits for its vector")
    found = f"records that wait for a vector, and are found by their words until then: {count}"
    return Result("warning", "embeddings", found, "`ctxkit doctor --fix`, which embeds them.")


def is_at_hand(subject: Subject) -> bool:
    """Whether the configured embedder may be used: it needs no network, or the network was allowed."""
    name = subject.provider("embedder")
    if subject.online or name == "none":
        return True
    config = subject.registry.make_config("embedder", name, subject.section("embedder").options())
    able = config.capabilities() or subject.registry.find("embedder", name).spec.capabilities
    return isinstance(able, EmbedderCapabilities) and able.offline
