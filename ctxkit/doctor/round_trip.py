"""Whether it works: a turn is stored in a temporary store and found again, with the configured components."""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ctxkit.config import Config, EmbedderConfig, VectorStoreConfig
from ctxkit.doctor.results import Result, of_error
from ctxkit.doctor.store import is_at_hand
from ctxkit.doctor.subject import Subject
from ctxkit.doctor.whereabouts import memory_place
from ctxkit.errors import CtxkitError
from ctxkit.manager import ContextManager

_SAID: Final = "Where is the dinghy moored?"
_ANSWERED: Final = "The dinghy is moored at the third post of the old pier."


def check(subject: Subject) -> Iterator[Result]:
    """Time opening, storing and building a context; what would need the network is left out unless that is allowed."""
    config = subject.config.model_copy(deep=True)
    config.memory.summaries = "off"
    try:
        with tempfile.TemporaryDirectory(prefix="ctxkit-doctor-") as folder:
            yield from _without_what_is_elsewhere(subject, config, Path(folder))
            yield _trip(subject, config, folder)
    except CtxkitError as exc:
        yield of_error(exc, "round trip")
    except OSError as exc:
        problem = f"a temporary store cannot be made: {exc.strerror or type(exc).__name__}"
        yield Result("problem", "round trip", problem, "make room, or set TMPDIR to a folder that has some.")


def _without_what_is_elsewhere(subject: Subject, config: Config, folder: Path) -> Iterator[Result]:
    if not is_at_hand(subject):
        yield Result("not checked", "embedder", f"{subject.provider('embedder')} needs the network", "add --online.")
        config.embedder = EmbedderConfig(provider="none")
    (config.vector_store.model_extra or {}).pop("path", None)
    place = memory_place(config.vector_store, folder, subject.registry, named=False)
    if place.folder is None:
        told = f"{place.title} is at a server, where nothing is tried out; exact stands in"
        yield Result("not checked", "vector store", told)
        config.vector_store = VectorStoreConfig(provider="exact")


def _trip(subject: Subject, config: Config, folder: str) -> Result:
    times = [time.perf_counter()]
    with ContextManager(config, path=folder, registry=subject.registry) as manager:
        times.append(time.perf_counter())
        manager.observe(_SAID, _ANSWERED)
        times.append(time.perf_counter())
        found = manager.query_memory(_SAID, k=1)
        built = manager.build("Where was the dinghy?")
        times.append(time.perf_counter())
        stats = manager.get_stats()
    if stats["pending_embeddings"]:
        return Result(
            "problem",
            "embedder",
            f"it did not embed: {stats['last_embedding_error'] or 'it took too long'}",
            f"{subject.command('doctor', '--only', 'models')} shows what it needs; turns are stored without vectors"
            " meanwhile.",
        )
    if not found or _ANSWERED not in built.text:
        return Result(
            "problem",
            "round trip",
            "a turn was stored, but it is not found, or not in the context",
            f"{subject.command('doctor', '--only', 'configuration')} names options that may leave it out.",
        )
    opened, stored, made = (after - before for before, after in itertools.pairwise(times))
    began = f"opened in {opened:.2f} s, a turn stored in {stored * 1000:.0f} ms"
    told = f"{began}, found again and put into a context of {built.tokens} tokens in {made * 1000:.0f} ms"
    return Result("ok", "round trip", told)
