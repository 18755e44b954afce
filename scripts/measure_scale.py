"""Measure what a row costs in memory, disk and time, and say from that what any number of rows would.

    python scripts/measure_scale.py --store faiss:index_type=HNSW --rows 20000 50000 100000 --texts texts.jsonl.gz
    python scripts/measure_scale.py --store faiss --rows 20000 50000 100000 --check 1000000 --json scale.json

Each size is a new memory (static embedder, 384 dimensions) that one process fills and another one opens and asks.
Through the figures of all sizes goes a line, fixed + each row x rows, by least squares; the residual is the largest
distance from it. `--check` measures one large size as well and prints what the lines predicted beside it. Files lie
below `--folder` while they are measured and are gone afterwards, also after Ctrl-C. For `pgvector` without a conninfo a
server is started, whose processes count. Without `--texts` (lines, or JSON
objects with `text`; repeated with a number when too few) the texts are made up.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import scale_fit
from ctxkit_conformance.bench.machine import machine
from ctxkit_conformance.bench.naming import Named, parsed
from ctxkit_conformance.bench.terminal import check_outputs
from scale_server import started
from scale_worker import Task

from ctxkit.cli.output import progress
from ctxkit.errors import CtxkitError
from ctxkit.plugins import get_registry

_WORKER = Path(__file__).with_name("scale_worker.py")


def main() -> int:
    """Measure each store at each size, and print tables in Markdown."""
    asked = _parsed()
    signal.signal(signal.SIGTERM, _interrupted)
    try:
        check_outputs(asked.json, None)
        stores = [_named(text) for text in asked.store]
        facts = machine(asked.folder, [store.name for store in stores])
        results: dict[str, Any] = {}
        for store in stores:
            results[store.text] = _measured(asked, store)
            if asked.json is not None:
                content = json.dumps({"machine": facts, "stores": results}, indent=2)
                asked.json.write_text(content, encoding="utf-8")
    except CtxkitError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted: nothing is left behind.", file=sys.stderr)
        return 130
    return 0


def _named(text: str) -> Named:
    """Return the store that a text names; raises CtxkitError where there is none or its options are wrong."""
    store = parsed(text)
    get_registry().make_config("vector_store", store.name, store.options)
    return store


def _measured(asked: argparse.Namespace, store: Named) -> dict[str, Any]:
    measured = {rows: _size(asked, store, rows) for rows in sorted(set(asked.rows))}
    found = scale_fit.lines(measured)
    print(f"\n{store.text}\n\n{scale_fit.size_table(measured, found)}\n\n{scale_fit.far_table(found)}", flush=True)
    check = {}
    if asked.check is not None:
        check[asked.check] = _size(asked, store, asked.check)
        print(f"\n{scale_fit.check_table(found, asked.check, check[asked.check])}", flush=True)
    return scale_fit.as_json(measured, found, check)


def _size(asked: argparse.Namespace, store: Named, rows: int) -> dict[str, float]:
    """Fill a store of so many rows and ask it; its files are gone afterwards."""
    figures: dict[str, float] = {}
    with (
        tempfile.TemporaryDirectory(prefix="ctxkit-scale-", dir=asked.folder, ignore_cleanup_errors=True) as folder,
        started(store) as (options, server),
    ):
        for do in ("fill", "ask"):
            texts = "" if asked.texts is None else str(asked.texts)
            task = Task(do, store.name, options, str(Path(folder) / "memory"), rows, texts, server)
            with progress(f"{store.text} {rows:,}") as tell, _process(task) as answers:
                for answer in answers:
                    figures.update(answer.get("figures", {}))
                    tell(answer.get("done", rows), rows, answer.get("what", "asking"))
    return figures


@contextmanager
def _process(task: Task) -> Iterator[Iterator[dict[str, Any]]]:
    """Start the worker and yield what it says; it is gone afterwards. Raises SystemExit when it failed."""
    process = subprocess.Popen(  # noqa: S603 - the interpreter that runs this
        [sys.executable, str(_WORKER)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        start_new_session=True,
    )
    try:
        with _pipe(process.stdin) as given, suppress(BrokenPipeError):
            given.write(json.dumps(asdict(task)))
        with _pipe(process.stdout) as said:
            yield (json.loads(line) for line in said)
        if process.wait():
            raise SystemExit(f"{task.name}, {task.rows} rows: the process that should {task.do} the store failed.")
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _pipe(found: IO[str] | None) -> IO[str]:
    assert found is not None  # noqa: S101 - both are pipes
    return found


def _interrupted(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", nargs="+", required=True, metavar="NAME[:KEY=VALUE,...]", help="what to measure")
    parser.add_argument("--rows", nargs="+", type=int, default=[20_000, 50_000, 100_000], help="two sizes or more")
    parser.add_argument("--check", type=int, metavar="ROWS", help="one large size that shows whether the lines hold")
    parser.add_argument("--texts", type=Path, help="a file of texts, repeated where they are too few")
    parser.add_argument("--folder", type=Path, help="where the stores lie meanwhile: on the disk that you mean to use")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything there, with the machine")
    given = parser.parse_args()
    if len(set(given.rows)) < 2 or min(given.rows) < 1000:  # noqa: PLR2004 - a line, and something to ask about
        parser.error("--rows takes two sizes or more, of 1000 at least.")
    if given.folder is not None and not given.folder.is_dir():
        parser.error(f"--folder: there is no folder {given.folder}.")
    return given


if __name__ == "__main__":
    sys.exit(main())
