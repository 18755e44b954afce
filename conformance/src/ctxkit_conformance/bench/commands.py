"""`ctxkit bench`: what a component costs beside the library that it is built on, and what memory finds."""

from __future__ import annotations

import json as jsons
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ctxkit_conformance.bench.locomo.command import locomo

if TYPE_CHECKING:
    from ctxkit_conformance.bench.figures import StoreResult
    from ctxkit_conformance.bench.job import Job

app = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Measure what a component costs, and what memory finds.",
)


@app.callback()
def root() -> None:
    """Measure what a component costs, and what memory finds."""


app.command("locomo")(locomo)


@app.command("vector-store")
def vector_store(  # noqa: PLR0913 - a command line has as many options as it has
    ctx: typer.Context,
    names: Annotated[
        list[str], typer.Argument(metavar="NAME", help="Stores, with options: faiss, faiss:index_type=HNSW,m=16.")
    ],
    *,
    data: Annotated[
        Path | None,
        typer.Option(metavar="FILE.npy", help="Vectors, floats of shape (rows, dimension). Default: made up."),
    ] = None,
    texts: Annotated[
        Path | None, typer.Option(metavar="FILE", help='Their texts: .jsonl with "text", or .txt; also .gz.')
    ] = None,
    rows: Annotated[int, typer.Option(metavar="N", min=20, help="How many rows to store, at most.")] = 50_000,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="PART", help="Only this one of the parts above; may be repeated."),
    ] = None,
    repeat: Annotated[int, typer.Option(metavar="N", min=1, help="Rounds of each measurement.")] = 15,
    threads: Annotated[int, typer.Option(metavar="N", min=1, help="Threads of BLAS and OpenMP.")] = 1,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Seed of the rows, the queries and made-up data.")] = 0,
    baseline: Annotated[
        str, typer.Option(metavar="MODULE:FACTORY", help="What to compare with, where the library is not known.")
    ] = "",
    folder: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where the stores lie while they are measured. Default: temporary."),
    ] = None,
    json: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the result as JSON; - for standard output.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw the figures: .svg, .png or .pdf.")] = None,
    fail_on_miss: Annotated[bool, typer.Option("--fail-on-miss", help="Exit code 1 when a target is missed.")] = False,
) -> None:
    """Measure stores beside the raw library, in turns, and show ratios with their targets.

    \b
    Parts: ingest, pause, query, batch, threads, text, filter, memory, reopen,
    upsert, delta.

    \b
    Examples:
      ctxkit bench vector-store faiss
      ctxkit bench vector-store exact faiss faiss:index_type=HNSW hnswlib --plot bench.svg
      ctxkit bench vector-store faiss --data vectors.npy --texts texts.jsonl.gz --json bench.json
      ctxkit bench vector-store hnswlib:m=16,ef_search=100 --rows 20000 --only query --only filter
      ctxkit -p my_backend.py bench vector-store mine --baseline my_baseline:Raw
    """  # noqa: D301 - \b is for the help formatter
    from ctxkit_conformance.bench.run import run  # noqa: PLC0415 - help stays light
    from ctxkit_conformance.bench.show import print_cautions, print_store  # noqa: PLC0415
    from ctxkit_conformance.bench.terminal import bar, check_outputs, interruptible  # noqa: PLC0415
    from ctxkit_conformance.commands import _write_text  # noqa: PLC0415

    parts = _parts(only or [])
    common: dict[str, Any] = {
        "plugins": tuple(ctx.find_root().params.get("plugins") or ()),
        "data": "" if data is None else str(data.absolute()),
        "texts": "" if texts is None else str(texts.absolute()),
        "rows": rows,
        "parts": parts,
        "repeat": repeat,
        "seed": seed,
        "threads": threads,
        "baseline": baseline,
    }
    check_outputs(json, plot)
    jobs = _jobs(names, common)
    quiet = json is not None and str(json) == "-"
    with interruptible(), bar(len(jobs)) as (tell, aside):

        def show(result: StoreResult) -> None:
            if not quiet:
                with aside():
                    print_store(result)

        report = run(jobs, folder, tell, show)
    if not quiet:
        print_cautions(report)
    if json is not None:
        _write_text(json, jsons.dumps(report.as_dict(), indent=2) + "\n")
    if plot is not None:
        from ctxkit_conformance.bench.plot import draw  # noqa: PLC0415

        draw(report, plot)
    raise typer.Exit(1 if fail_on_miss and not report.ok else 0)


def _parts(only: list[str]) -> list[str]:
    """Return the parts to measure, in their order; raises ConfigError for one that is none."""
    from ctxkit.errors import ConfigError  # noqa: PLC0415
    from ctxkit_conformance.bench.parts import PARTS  # noqa: PLC0415

    unknown = sorted(set(only) - set(PARTS))
    if unknown:
        raise ConfigError(f"there is no part {', '.join(unknown)}.", fix=f"choose from {', '.join(PARTS)}.")
    return [part for part in PARTS if not only or part in only]


def _jobs(names: list[str], common: dict[str, Any]) -> list[Job]:
    """Return what to measure; raises before anything is measured when a store, an option or a file is wrong."""
    from ctxkit_conformance.bench.job import Job  # noqa: PLC0415
    from ctxkit_conformance.bench.naming import parsed  # noqa: PLC0415

    found = [parsed(name) for name in names]
    jobs = [Job(name=each.name, title=each.text, options=each.options, **common) for each in found]
    for job in jobs:
        subject = job.subject()
        subject.config()
        _ = subject.factory
    return jobs
