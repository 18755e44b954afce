"""Let many processes work on one collection of the local engine, kill them at random, and see that nothing goes wrong.

    python scripts/soak.py --store faiss --config index_type=HNSW --seconds 60 --runs 20

Writers, deleters, readers and a housekeeper share a directory; a reaper sends SIGKILL to any of them at any moment and
starts them again. Each writes what it is about to do, and what was acknowledged, into a journal outside the store.
What is read is judged by the journals: nothing acknowledged is lost, nothing deleted comes back, each record is of one
version, each batch whole, each read fresh. When the writers rest, every answer is compared with brute force.
The exit status is 0 when nothing was found, else 1; the directory of a run that found something stays.
"""

from __future__ import annotations

import os

# One thread a process, said before numpy is imported: the processes are many, and a fork copies no other thread.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import json
import secrets
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from soak_run import Outcome, Plan, Run
from soak_worker import Kind

from ctxkit.errors import ConfigError, CtxkitError
from ctxkit.local import EngineStore
from ctxkit.plugins import get_registry

_SHOWN = 3
_WIDTH = 600


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as often as asked, print a table, and return the exit status."""
    asked = _parsed(arguments)
    console = Console()
    kinds = [Kind(asked.store, _options(asked.config)), *(Kind(name, {}) for name in asked.also)]
    try:
        _check(kinds)
    except CtxkitError as error:
        console.print(str(error), markup=False)
        return 2
    signal.signal(signal.SIGTERM, _interrupted)
    base = Path(tempfile.mkdtemp(prefix="ctxkit-soak-", dir=asked.directory))
    seed = secrets.randbelow(2**31) if asked.seed is None else asked.seed
    outcomes: list[Outcome] = []
    try:
        for number in range(asked.runs):
            plan = _plan(asked, kinds, seed + number)
            outcomes.append(_watched(plan, base / f"run{number}", console, f"{number + 1} of {asked.runs}"))
            if not outcomes[-1].problems:
                shutil.rmtree(outcomes[-1].folder)
    except KeyboardInterrupt:
        shutil.rmtree(base / f"run{len(outcomes)}", ignore_errors=True)
        console.print("interrupted")
        status = 130
    else:
        status = int(any(outcome.problems for outcome in outcomes))
    if outcomes:
        _tell(console, asked, outcomes)
    if not any(base.iterdir()):
        base.rmdir()
    return status


def _check(kinds: Sequence[Kind]) -> None:
    for kind in kinds:
        get_registry().make_config("vector_store", kind.name, kind.options)
        if not issubclass(get_registry().store_class(kind.name), EngineStore):
            raise ConfigError(f"{kind.name} is no store of the local engine.", fix="name exact, faiss or hnswlib.")


def _plan(asked: argparse.Namespace, kinds: Sequence[Kind], seed: int) -> Plan:
    return Plan(
        kinds,
        asked.seconds,
        seed,
        writers=asked.writers,
        deleters=asked.deleters,
        readers=asked.readers,
        crowd=asked.crowd,
        forkers=asked.forkers,
        records=asked.records,
        kill_every=asked.kill_every,
        rests=asked.rests,
    )


def _tell(console: Console, asked: argparse.Namespace, outcomes: Sequence[Outcome]) -> None:
    named = [f"--store {asked.store}", *(f"--config {pair}" for pair in asked.config)]
    shape = ("writers", "deleters", "readers", "crowd", "forkers", "records", "rests", "kill_every")
    changed = [name for name in shape if getattr(asked, name) != getattr(Plan, name)]
    named += [f"--also {name}" for name in asked.also]
    arguments = " ".join([*named, *(f"--{name.replace('_', '-')} {getattr(asked, name)}" for name in changed)])
    console.print(_table(arguments, outcomes))
    for outcome in outcomes:
        if outcome.problems:
            _explain(console, outcome, f"{arguments} --seconds {asked.seconds:g} --seed {outcome.seed}")
    if asked.json is not None:
        content = {"arguments": arguments, "seconds": asked.seconds, "runs": [asdict(outcome) for outcome in outcomes]}
        asked.json.write_text(json.dumps(content, indent=2), encoding="utf-8")


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--store", default="exact", help="a vector store of the local engine: exact, faiss, hnswlib")
    parser.add_argument("--config", action="append", default=[], metavar="KEY=VALUE", help="an option of the store")
    parser.add_argument("--also", action="append", default=[], metavar="STORE", help="open as this one, too, at random")
    parser.add_argument("--seconds", type=float, default=60.0, help="of work in each run")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--seed", type=int, help="of the first run; each further run has the next one")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--directory", type=Path, help="make the runs' directories there; must be on a local disk")
    parser.add_argument("--writers", type=int, default=3)
    parser.add_argument("--deleters", type=int, default=1)
    parser.add_argument("--readers", type=int, default=2)
    parser.add_argument("--crowd", type=int, default=3, help="threads of one more process that share a handle")
    parser.add_argument("--forkers", type=int, default=2, help="threads of that process that fork children to write")
    parser.add_argument("--records", type=int, default=350, help="how many ids each writer and deleter owns")
    parser.add_argument("--rests", type=int, default=4, help="how often the writers rest and all answers are compared")
    parser.add_argument("--kill-every", type=float, default=1.0, metavar="SECONDS", help="between kills, on average")
    return parser.parse_args(arguments)


def _options(pairs: Sequence[str]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for pair in pairs:
        key, _, value = pair.partition("=")
        try:
            options[key] = json.loads(value)
        except ValueError:
            options[key] = value
    return options


def _interrupted(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _watched(plan: Plan, folder: Path, console: Console, title: str) -> Outcome:
    columns = (TextColumn("run {task.description}"), BarColumn(), TextColumn("{task.fields[told]}"))
    # Without a thread that refreshes: the run forks.
    with Progress(*columns, console=console, auto_refresh=False, transient=True) as progress:
        task = progress.add_task(f"{title}, seed {plan.seed}", total=plan.seconds, told="")

        def watch(elapsed: float, outcome: Outcome) -> None:
            told = f"{outcome.kills} kills, {outcome.segments} segments, {outcome.totals['answers checked']} checks"
            progress.update(task, completed=elapsed, told=told, refresh=True)

        return Run(plan, folder, watch).run()


def _table(arguments: str, outcomes: Sequence[Outcome]) -> Table:
    table = Table("what", title=f"{arguments}, {len(outcomes)} runs")
    table.add_column("in all", justify="right")
    for kind in outcomes[0].totals:
        if not kind.startswith("near"):
            table.add_row(kind, f"{sum(outcome.totals[kind] for outcome in outcomes):,}")
    for kind in ("kills", "stops", "rests", "segments"):
        table.add_row(kind, f"{sum(getattr(outcome, kind) for outcome in outcomes):,}")
    table.add_row("recall, least of a run", f"{min(outcome.recall for outcome in outcomes):.4f}")
    table.add_row("runs with failures", str(sum(bool(outcome.problems) for outcome in outcomes)))
    return table


def _explain(console: Console, outcome: Outcome, arguments: str) -> None:
    console.print(f"seed {outcome.seed}: {len(outcome.problems)} problems, kept in {outcome.folder}", style="red")
    for problem in outcome.problems[:_SHOWN]:
        console.print(f"  {problem['worker']}: {problem['what']}: {problem['detail'][-_WIDTH:]}", markup=False)
    console.print(f"  again: python scripts/soak.py {arguments}", markup=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
