"""Whether the store is whole and of the configured embedder, and what waits in it."""

from __future__ import annotations

import logging
import shlex
import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass

from ctxkit.doctor.results import Result, of_error
from ctxkit.doctor.subject import Subject
from ctxkit.errors import CtxkitError, FingerprintMismatchError, StoreCorruptError, StoreLockedError
from ctxkit.interfaces import CollectionSpec, EmbedderCapabilities, StoreStats, VectorStore
from ctxkit.local.layout import DATABASE, collection_directory
from ctxkit.memory.entries import FILLER, PENDING
from ctxkit.memory.opening import COLLECTION, open_vault


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
            made = (
                f"{subject.command('ingest', 'PATH')} or a first turn makes one; name it with --store if there is one."
            )
            yield Result("not checked", "store", f"there is none in {folder or place.title} yet", made)
            return
        model = _model(subject)
        if subject.fix and _compared(model, spec, vectors=0, subject=subject).verdict == "ok":
            with suppress(FingerprintMismatchError):  # which is told below
                _embed(subject)
        with _said() as warnings, place.open(spec) as store:
            whole = yield from _examined(store, subject)
            if whole:
                yield from _found(store, model, subject)
        for warning in dict.fromkeys(warnings):
            again = f"{subject.command('doctor', '--only', 'store')} once more: it has been made anew."
            yield Result("warning", "index", warning, again)
    except StoreCorruptError as exc:
        yield Result("problem", "store", exc.message, _restoring(subject, exc.fix or ""))
    except StoreLockedError as exc:
        again = f"end the program that has it, or wait; then {subject.command('doctor', '--only', 'store')} once more."
        yield Result("problem", "store", exc.message, again)
    except CtxkitError as exc:
        yield of_error(exc, "store")


def _restoring(subject: Subject, otherwise: str) -> str:
    """Return what brings a damaged store back, where it is in a folder."""
    folder = subject.folder
    if folder is None:
        return otherwise
    aside, back = shlex.join(["mv", str(folder), f"{folder}-damaged"]), shlex.join(["cp", "-r", "COPY", str(folder)])
    return f"`{aside}`, then `{back}` with a copy that `ctxkit backup` made; without one a new store is begun."


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


def _examined(store: VectorStore, subject: Subject) -> Generator[Result, None, bool]:
    """Read and check every record and the index; return whether all of it is whole."""
    began = time.perf_counter()
    health = store.health()
    stats = store.stats()
    if health.ok:
        took = f"read and checked in {time.perf_counter() - began:.2f} s"
        yield Result("ok", "records", f"{stats.rows} in all, {_with_vector(store)} with a vector, {took}")
    for problem in health.problems:
        found, _, fix = problem.partition("; ")
        yield Result("problem", "records", found, f"{fix} Or {_restoring(subject, 'restore a backup.')}")
    yield _index(stats)
    return bool(health.ok)


def _with_vector(store: VectorStore) -> int:
    """Return how many records have a vector that means something."""
    fillers = 0 if store.capabilities.optional_vectors else store.count({FILLER: True})
    return store.stats().vectors - fillers


def _index(stats: StoreStats) -> Result:
    """Say how fresh the index is, of a store that tells."""
    details = stats.details
    if details.get("segment_problem"):
        return Result(
            "warning", "index", f"it cannot be kept: {details['segment_problem']}", "make room in its folder."
        )
    if not details.get("segment_made_at"):
        return Result("ok", "index", f"{details.get('index_type', 'of the backend')}, no snapshot needed")
    age, since = _duration(time.time() - float(details["segment_made_at"])), details["delta"]
    deleted = details["segment_vectors"] - (stats.vectors - since)
    since_then = f"{since} vectors written and {deleted} deleted since"
    return Result("ok", "index", f"{details['index_type']}, its snapshot is {age} old, {since_then}")


def _duration(seconds: float) -> str:
    """Return a time in the unit that fits."""
    minutes = max(0.0, seconds) / 60
    hours = minutes / 60
    return f"{minutes:.0f} min" if hours < 2 else f"{hours:.0f} h" if hours < 48 else f"{hours / 24:.0f} days"  # noqa: PLR2004


def _found(store: VectorStore, model: _Model | Result, subject: Subject) -> Iterator[Result]:
    """Compare the embedder with the one that made the vectors, and say what no search finds."""
    rows, vectors, words = store.stats().rows, _with_vector(store), store.capabilities.text_search is not None
    if subject.provider("embedder") == "none":
        yield _without_embedder(subject, store.spec, rows=rows, vectors=vectors, words=words)
        return
    compared = _compared(model, store.spec, vectors=store.stats().vectors, subject=subject)
    yield compared
    if compared.verdict != "ok":
        return
    waiting, meanwhile = store.count({PENDING: True}), "by their words" if words else "by nothing"
    if waiting:
        found = f"records that wait for a vector, and are found {meanwhile} until then: {waiting}"
        yield Result("warning", "embeddings", found, f"{subject.command('doctor', '--fix')}, which embeds them.")
    elif rows and store.spec.fingerprint is None:
        found = f"no record has a vector, so {rows} are found {meanwhile} only"
        yield Result("warning", "embeddings", found, f"have vectors made: {_anew(subject)}.")
    else:
        yield Result("ok", "embeddings", "no record waits for its vector")


def _without_embedder(subject: Subject, spec: CollectionSpec, *, rows: int, vectors: int, words: bool) -> Result:
    """Say what nobody finds while no embedder is configured."""
    if rows and not words:
        found = f"none is configured, and this store searches by vectors only: no search finds its records ({rows})"
        return Result(
            "problem",
            "embedder",
            found,
            f"{subject.command('doctor', '--only', 'configuration')} says how to configure one.",
        )
    if vectors:
        found = f"none is configured, so only words are searched, and not the vectors that there are: {vectors}"
        maker = spec.fingerprint or "which nobody noted"
        return Result("warning", "embedder", found, f"set embedder.provider to what made them: {maker}.")
    return Result("not checked", "embedder", "none is configured: records are found by their words")


@dataclass(frozen=True)
class _Model:
    """The configured embedder, as far as it has to be that of the vectors."""

    name: str
    fingerprint: str
    dimension: int


def _model(subject: Subject) -> _Model | Result:
    """Return the configured embedder, or why it cannot be compared."""
    name = subject.provider("embedder")
    try:
        if name == "none" or not is_at_hand(subject):
            return Result("not checked", "embedder", f"{name} needs the network", "add --online.")
        options = subject.section("embedder").options()
        with closing(subject.registry.create_embedder(name, options)) as embedder:
            return _Model(name, embedder.fingerprint, embedder.dimension)
    except Exception as exc:  # noqa: BLE001 - it may fail in any way, and the records are examined all the same
        return of_error(exc, "embedder", fix=f"{subject.command('doctor', '--only', 'imports')} tries its libraries.")


def _compared(model: _Model | Result, spec: CollectionSpec, *, vectors: int, subject: Subject) -> Result:
    """Compare an embedder with the one that made a collection's `vectors`, those without a meaning counted too."""
    if isinstance(model, Result):
        return model
    same = spec.fingerprint == model.fingerprint or (spec.fingerprint is None and not vectors)
    if spec.dimension != model.dimension or not same:
        made_by = f"{spec.fingerprint or 'no model that is known'}, {spec.dimension} dimensions"
        return Result(
            "problem",
            "embedder",
            f"the vectors were made by {made_by}; configured is {model.name}: {model.fingerprint}, {model.dimension}"
            " dimensions",
            f"configure that embedder again, or have the vectors made anew: {_anew(subject)}.",
        )
    made = f"{model.name} made the vectors: {model.fingerprint}"
    return Result("ok", "embedder", "no model has made vectors yet" if spec.fingerprint is None else made)


def _anew(subject: Subject) -> str:
    """Return the command that makes the vectors anew: in place in a store of the engine, else in another store."""
    folder, file = subject.folder, subject.layers.file
    if folder is None:
        source = subject.place.title if file is None else str(file.path)
        return f"{subject.command('reembed', '--from', source, '--to', 'PLACE')}, and configure that PLACE"
    if (collection_directory(folder, COLLECTION) / DATABASE).exists():
        return subject.command("reembed")
    source, target = (f"{subject.provider('vector_store')}:{folder}{end}" for end in ("", "-reembedded"))
    return f"{subject.command('reembed', '--from', source, '--to', target)}, and name that folder with --store"


def _embed(subject: Subject) -> None:
    """Embed what waits for its vector."""
    with closing(open_vault(subject.config, subject.folder, subject.registry)) as vault:
        vault.backfill()


def is_at_hand(subject: Subject) -> bool:
    """Whether the configured embedder may be used: it needs no network, or the network was allowed."""
    name = subject.provider("embedder")
    if subject.online or name == "none":
        return True
    config = subject.registry.make_config("embedder", name, subject.section("embedder").options())
    able = config.capabilities() or subject.registry.find("embedder", name).spec.capabilities
    return isinstance(able, EmbedderCapabilities) and able.offline
