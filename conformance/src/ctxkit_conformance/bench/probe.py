"""A new process that opens what is on disk: `python -m ctxkit_conformance.bench.probe`, a request on standard input.

It answers with one JSON object on standard output: how long opening and the first answer took, and the private memory.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from pydantic import SecretStr
from pydantic_core import to_jsonable_python

from ctxkit.interfaces import CollectionSpec
from ctxkit_conformance.bench import baselines
from ctxkit_conformance.bench.job import Job
from ctxkit_conformance.bench.private_memory import private_bytes
from ctxkit_conformance.bench.timing import waited_for_a_core

if TYPE_CHECKING:
    from ctxkit_conformance.bench.stage import Stage

_QUERIES: Final = 20
_FILE: Final = "queries.npy"
_K: Final = 10


@dataclass(frozen=True)
class Request:
    """What to open: the store of a configuration, or the raw library where `raw` names one."""

    job: dict[str, Any]
    config: dict[str, Any]
    spec: dict[str, Any]
    raw: str
    folder: str


@dataclass(frozen=True)
class Opened:
    """Seconds until the first answer, those of waiting for a core left out, and what opening and some queries took.

    `private` is that in bytes of private memory, None where it is unknown.
    """

    seconds: float
    private: int | None


def probed(stage: Stage, *, raw: bool) -> Opened:
    """Open the stage's store, or its raw library, in a new process; the store must be closed here."""
    queries = stage.folder / _FILE
    if not queries.exists():
        np.save(queries, stage.data.queries[:_QUERIES])
    job = replace(stage.job, folder=str(stage.folder))
    request = Request(
        asdict(job),
        to_jsonable_python(revealed(stage.config.model_dump())),
        stage.spec.model_dump(mode="json"),
        stage.baseline_target if raw else "",
        str(stage.folder / "raw"),
    )
    done = subprocess.run(
        [sys.executable, "-m", "ctxkit_conformance.bench.probe"],
        input=json.dumps(asdict(request)),
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"the process that opens it anew ended with {done.returncode}: {done.stderr[-1000:]}")
    return Opened(**json.loads(done.stdout.splitlines()[-1]))


def revealed(value: Any) -> Any:
    """Return options with their secrets readable: for the pipe to the process that connects, and printed nowhere."""
    if isinstance(value, Mapping):
        return {name: revealed(each) for name, each in value.items()}
    return value.get_secret_value() if isinstance(value, SecretStr) else value


def main() -> None:
    """Answer the request on standard input."""
    request = Request(**json.loads(sys.stdin.read()))
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    files = Path(request.job["folder"])
    queries = np.load(files / _FILE)
    opened = (_raw if request.raw else _store)(request, queries, files)
    with answer:
        answer.write(json.dumps(asdict(opened)) + "\n")


def _store(request: Request, queries: Any, files: Path) -> Opened:
    subject = Job(**request.job).subject()
    factory, config = subject.factory, subject.config_class.model_validate(request.config)
    spec = CollectionSpec.model_validate(request.spec)
    _numpy_awake(queries)

    def first() -> Any:
        store = factory.open(spec, config)
        _read(store, queries[0])
        return store

    return _watched(first, lambda store: [_read(store, query) for query in queries], files)


def _raw(request: Request, queries: Any, files: Path) -> Opened:
    raw = baselines.make(request.raw, Path(request.folder), queries.shape[1], request.config)
    _numpy_awake(queries)

    def first() -> Any:
        raw.restore()
        raw.query(queries[:1], _K)
        return raw

    def more(_: Any) -> None:
        for query in queries:
            raw.touch(query, _K)

    return _watched(first, more, files)


def _watched(first: Callable[[], Any], more: Callable[[Any], object], files: Path) -> Opened:
    before = private_bytes(files)
    begin = time.perf_counter() - waited_for_a_core()
    with closing(first()) as opened:
        seconds = time.perf_counter() - waited_for_a_core() - begin
        more(opened)
        after = private_bytes(files)
        return Opened(seconds, None if before is None or after is None else after - before)


def _read(store: Any, query: Any) -> int:
    """Query, with text and metadata; return how many came."""
    return sum(bool(hit.text is not None and hit.metadata is not None) for hit in store.query(query, _K)[0])


def _numpy_awake(queries: Any) -> None:
    """Have BLAS take its buffers before anything is counted."""
    _ = queries @ queries.T


if __name__ == "__main__":
    main()
