"""Move real records from store to store, killing the command at random, and compare what comes back bit by bit.

    python scripts/measure_moving.py --folder stores --rows 10000
    python scripts/measure_moving.py --folder stores --vectors vectors.npy --texts texts.jsonl.gz --kills 5 \
        --route faiss chroma hnswlib exact faiss
    python scripts/measure_moving.py --folder stores --peaks 10000 50000 --route exact

The vectors are an .npy file of any float type, the texts gzipped JSON Lines with "id" and "text"; what else stands in a
line becomes metadata. Without them both are made up. A stop of the route is a store's name, or a whole place such as
chroma:host=localhost; for pgvector a server is started. Each leg is `ctxkit migrate` in a process of its own, which is
killed (SIGKILL) so many times, then left to finish. Prints a row a leg, and fails unless the last store holds what the
first held.

With --peaks the most memory is measured instead that each command takes for so many records of the route's first store.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from ctxkit.interfaces import CollectionSpec
from ctxkit.moving import StorePlace, parsed_place, record_digest
from ctxkit.moving.origins import StoreOrigin
from ctxkit.plugins import get_registry
from ctxkit.records import Record

COLLECTION = "records"
DIMENSION = 384
BATCH = 1000
POLL_SECONDS = 0.02


@dataclass
class Leg:
    """One move: how often it was killed, the seconds of all its runs, the last run's report, and its peak memory."""

    killed: int
    seconds: float
    report: dict[str, Any]
    peak_mib: int


def records(vectors: Path, texts: Path, rows: int) -> Iterator[Record]:
    """Yield the records of the data."""
    matrix = np.load(vectors, mmap_mode="r", allow_pickle=False)
    with gzip.open(texts, "rt", encoding="utf-8") as lines:
        for row, line in enumerate(islice(lines, rows)):
            found = json.loads(line)
            record_id, text = str(found.pop("id")), str(found.pop("text"))
            yield Record(record_id, text, matrix[row].astype(np.float32), {**found, "row": row, "share": row / rows})


def made_up(rows: int) -> Iterator[Record]:
    """Yield as many records as are wanted when no data are given."""
    dice = np.random.default_rng(3)
    for row in range(rows):
        values = {"row": row, "share": row / rows, "even": row % 2 == 0, "tags": [f"t{row % 7}", "nul \0"]}
        yield Record(f"id {row:07d}", f"text {row} " * (row % 50), dice.normal(size=DIMENSION), values)


def fill(place: StorePlace, given: Iterator[Record]) -> None:
    """Write the first store."""
    batch = list(islice(given, BATCH))
    dimension = np.asarray(batch[0].vector).size
    with place.open(CollectionSpec(name=COLLECTION, dimension=dimension, fields={"row": "int"})) as store:
        while batch:
            store.upsert(batch)
            batch = list(islice(given, BATCH))


def peak(process: subprocess.Popen[str]) -> int:
    """Return the most memory that a living process has used, in MiB; 0 when it is gone."""
    try:
        status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
    except OSError:
        return 0
    return next((int(line.split()[1]) // 1024 for line in status.splitlines() if line.startswith("VmHWM")), 0)


def run(arguments: Sequence[str], seconds: float = float("inf")) -> tuple[dict[str, Any] | None, int]:
    """Run a command, and kill it after so many seconds; return its report, None when it was killed, and its peak."""
    command = [sys.executable, "-m", "ctxkit", *arguments, "--json"]
    deadline, most = time.monotonic() + seconds, 0
    # Its output goes to files: nobody reads a pipe while it runs.
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        process = subprocess.Popen(command, stdout=out, stderr=err, text=True)  # noqa: S603
        while process.poll() is None and time.monotonic() < deadline:
            most = max(most, peak(process))
            time.sleep(POLL_SECONDS)
        killed = process.poll() is None
        if killed:
            process.send_signal(signal.SIGKILL)
        if process.wait() and not killed:
            err.seek(0)
            raise SystemExit(f"{' '.join(command)} failed:\n{err.read()}")
        out.seek(0)
        return None if killed else json.load(out), most


def run_leg(source: str, target: str, kills: int, longest: float, chance: random.Random) -> Leg:
    """Move from one place to another, killing the process so many times at random moments before it may finish."""
    started = time.monotonic()
    killed = most = 0
    while True:
        seconds = chance.uniform(0.5, longest) if killed < kills else float("inf")
        report, used = run(["migrate", source, target, "--collection", COLLECTION], seconds)
        most = max(most, used)
        if report is not None:
            return Leg(killed, time.monotonic() - started, report, most)
        killed += 1


def print_peaks(given: argparse.Namespace, texts: Sequence[str], folder: Path) -> None:
    """Run each command for each number of records, in stores of one kind, and print the memory that it took."""
    print(f"| command | {' | '.join(f'{rows} records, MiB' for rows in given.peaks)} |")
    found: dict[str, list[int]] = {}
    for number, rows in enumerate(given.peaks):
        source, copied, imported, made = texts[4 * number : 4 * number + 4]
        fill(parsed_place(source, get_registry()), given_records(given, rows))
        named = ["--collection", COLLECTION]
        export = str(folder / f"export-{rows}")
        for arguments in (
            ["migrate", source, copied, *named],
            ["export", export, "--from", source, *named],
            ["import", export, "--to", imported],
            ["reembed", "--from", source, "--to", made, "--embedder", "static", *named],
        ):
            found.setdefault(arguments[0], []).append(run(arguments)[1])
    for name, peaks in found.items():
        print(f"| {name} | {' | '.join(map(str, peaks))} |")


def differences(left: StorePlace, right: StorePlace) -> int:
    """Compare two stores record by record in the order of their ids; return how many differ."""
    with left.open(left.existing(COLLECTION)) as one, right.open(right.existing(COLLECTION)) as other:
        if one.count() != other.count():
            return abs(one.count() - other.count())
        pairs = zip(StoreOrigin(one).in_id_order(), StoreOrigin(other).in_id_order(), strict=True)
        return sum(record_digest(before) != record_digest(after) for before, after in pairs)


def given_records(given: argparse.Namespace, rows: int) -> Iterator[Record]:
    """Return the records of the data, or made up ones where none are named."""
    real = given.vectors is not None and given.texts is not None
    return records(given.vectors, given.texts, rows) if real else made_up(rows)


@contextmanager
def named_places(stops: Sequence[str], folder: Path) -> Iterator[list[str]]:
    """Give each stop a place of its own: a folder, or a schema on a server that ends with the block."""
    with ExitStack() as held:
        conninfo = ""
        if "pgvector" in stops:
            from ctxkit_pgvector.server import PostgresServer  # noqa: PLC0415 - installed where it is measured

            server = PostgresServer()
            held.callback(server.stop)
            conninfo = server.conninfo
        yield [
            each
            if ":" in each
            else f"pgvector:conninfo={conninfo},schema_name=stop_{stop}"
            if each == "pgvector"
            else f"{each}:{folder / f'{stop}-{each}'}"
            for stop, each in enumerate(stops)
        ]


def go_round(given: argparse.Namespace, texts: Sequence[str], _folder: Path) -> None:
    """Move from each place to the next, print a row for each, and fail where the last is not what the first was."""
    chance = random.Random(given.seed)  # noqa: S311 - when to kill
    places = [parsed_place(text, get_registry()) for text in texts]
    fill(places[0], given_records(given, given.rows))
    print("| leg | killed | seconds in all | last run, records/s | peak MiB | recall before, after |")
    for source, target in pairwise(texts):
        leg = run_leg(source, target, given.kills, given.longest, chance)
        found, recall = leg.report, leg.report["verified"]["recall"]
        name = f"{source.partition(':')[0]} -> {target.partition(':')[0]}"
        rate = found["read"] / found["seconds"]
        shares = f"{recall['before']:.3f}, {recall['after']:.3f}"
        print(f"| {name} | {leg.killed} | {leg.seconds:.0f} | {rate:.0f} | {leg.peak_mib} | {shares} |", flush=True)
    wrong = differences(places[0], places[-1])
    if wrong:
        raise SystemExit(f"{wrong} records differ.")
    print(f"{given.rows} records came back with every id, text, value and bit of a vector.")


def main() -> None:
    """Read the command line, go round or measure the peaks, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=Path)
    parser.add_argument("--texts", type=Path)
    parser.add_argument("--folder", type=Path, required=True, help="where the stores are made; emptied first and last")
    parser.add_argument("--route", nargs="+", default=["faiss", "pgvector", "chroma", "hnswlib", "exact", "faiss"])
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--kills", type=int, default=3, help="in each leg")
    parser.add_argument("--longest", type=float, default=15.0, help="seconds until a kill, at most")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--peaks", type=int, nargs="+", metavar="ROWS", help="measure the memory of each command")
    given = parser.parse_args()
    if given.peaks and ":" in given.route[0]:
        parser.error("--peaks makes places of its own: name a store, such as exact.")
    folder = given.folder.absolute()
    shutil.rmtree(folder, ignore_errors=True)
    stops = given.route[:1] * 4 * len(given.peaks) if given.peaks else given.route
    with named_places(stops, folder) as texts:
        (print_peaks if given.peaks else go_round)(given, texts, folder)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
