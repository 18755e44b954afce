"""`ctxkit bench locomo`: its arguments, and the order of things."""

from __future__ import annotations

import json as jsons
from pathlib import Path
from typing import Annotated

import typer


def locomo(  # noqa: PLR0913 - a command line has as many options as it has
    ctx: typer.Context,
    path: Annotated[Path, typer.Argument(metavar="FILE", help="LoCoMo's file, locomo10.json or a part of it.")],
    budgets: Annotated[list[int] | None, typer.Argument(metavar="[TOKENS]...", help="As further --budget.")] = None,
    *,
    budget: Annotated[
        list[int] | None,
        typer.Option("--budget", metavar="TOKENS", min=1, help="A context's length; may be repeated. Default: 1024."),
    ] = None,
    embedder: Annotated[
        str, typer.Option(metavar="NAME", help="Embedder, with options: static, none, NAME:model=FOLDER.")
    ] = "static",
    vector_store: Annotated[
        str, typer.Option(metavar="NAME", help="Vector store, with options: faiss:index_type=HNSW.")
    ] = "exact",
    tokenizer: Annotated[
        str, typer.Option(metavar="NAME", help="Tokenizer, with options, that counts the context.")
    ] = "tiktoken:encoding=cl100k_base,exact=true",
    conversation: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this conversation; may be repeated.")
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option(metavar="PART", help="Leave this part of retrieval out; may be repeated. See above."),
    ] = None,
    tries: Annotated[
        list[str] | None,
        typer.Option("--try", metavar="OPTION=V,V", help="Also measure these values of an option of retrieval."),
    ] = None,
    ablation: Annotated[bool, typer.Option("--ablation", help="Also measure without each part in turn.")] = False,
    json: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the result as JSON; - for standard output.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw recall by budget: .svg, .png or .pdf.")
    ] = None,
) -> None:
    """Measure how much of the evidence of LoCoMo's questions stands in the context.

    R@B is the share of a question's evidence turns whose text stands verbatim in
    a context of at most B tokens, headings and question included, averaged over
    the questions of categories 1 to 4. The interval is a bootstrap over questions.

    \b
    Parts that can be left out: dense, lexical, sharpness, neighbors, answers,
    asking, speaker, date.

    \b
    Examples:
      ctxkit bench locomo locomo10.json --budget 512 1024 2048
      ctxkit bench locomo locomo10.json --embedder none --ablation --json bench.json
      ctxkit bench locomo locomo10.json --without speaker --without date
      ctxkit bench locomo locomo10.json --try lexical_weight=0.4,0.5 --try lexical_sharpness=1,2
    """  # noqa: D301 - \b is for the help formatter
    from ctxkit.plugins import PluginRegistry  # noqa: PLC0415 - help stays light
    from ctxkit_conformance.bench.locomo.data import load  # noqa: PLC0415
    from ctxkit_conformance.bench.locomo.run import run  # noqa: PLC0415
    from ctxkit_conformance.bench.locomo.setup import Components, variants  # noqa: PLC0415
    from ctxkit_conformance.bench.locomo.show import print_report  # noqa: PLC0415
    from ctxkit_conformance.bench.naming import parsed  # noqa: PLC0415
    from ctxkit_conformance.bench.terminal import bar, check_outputs, interruptible  # noqa: PLC0415
    from ctxkit_conformance.commands import _write_text  # noqa: PLC0415

    check_outputs(json, plot)
    registry = PluginRegistry.discover()
    for plugin in ctx.find_root().params.get("plugins") or ():
        registry.load_path(plugin)
    data = load(path, conversation or [])
    measured = variants(without or [], tries or [], ablation=ablation)
    components = Components(parsed(embedder), parsed(vector_store), parsed(tokenizer))
    wanted = sorted({*(budget or []), *(budgets or [])}) or [1024]
    with interruptible(), bar(len(data.conversations)) as (tell, _):
        report = run(data, components, measured, wanted, registry, tell)
    if json is None or str(json) != "-":
        print_report(report)
    if json is not None:
        _write_text(json, jsons.dumps(report.as_dict(), indent=2) + "\n")
    if plot is not None:
        from ctxkit_conformance.bench.locomo.plot import draw  # noqa: PLC0415

        draw(report, plot)
