"""`ctxkit conformance`: examine a component, all of them, or the suite itself."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from ctxkit_conformance.watching import bar, examined, interruptible

if TYPE_CHECKING:
    from ctxkit.interfaces import Kind
    from ctxkit_conformance.results import Report

_WIDTH = 120  # of a file, or a log of CI, which have none of their own

app = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Find what is wrong with a vector store, embedder, tokenizer or language model.",
)

Target = Annotated[str, typer.Argument(metavar="KIND:NAME", help="For example vector_store:faiss.")]
ConfigOption = Annotated[
    list[str] | None, typer.Option("--config", metavar="KEY=VALUE", help="An option of the component; may be repeated.")
]
VariantOption = Annotated[str, typer.Option(metavar="NAME", help="A configuration that the backend's harness offers.")]
TierOption = Annotated[
    list[str] | None, typer.Option("--tier", metavar="TIER", help="Only this tier, for example T3; may be repeated.")
]
ExpressionOption = Annotated[
    str, typer.Option("-k", metavar="EXPR", help="Only checks whose names match, as pytest's -k.")
]
SeedOption = Annotated[int, typer.Option(metavar="N", min=0, help="Seed of everything random: same seed, same result.")]
ThoroughOption = Annotated[bool, typer.Option("--thorough", help="Try ten times as often where chance plays a part.")]
KnownOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="TOML file of failures that are known, with reasons and links.")
]
ReversedOption = Annotated[
    bool, typer.Option("--reversed", help="Run the checks in reversed order: the result has to be the same.")
]
TimeoutOption = Annotated[
    float, typer.Option("--timeout", metavar="SECONDS", min=1, help="How long one check may take before it has hung.")
]
JsonOption = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="Write the report as JSON; - for standard output.")
]
HtmlOption = Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write the report as one HTML page.")]
MarkdownOption = Annotated[
    Path | None, typer.Option("--markdown", metavar="FILE", help="Write the matrix as Markdown.")
]
BadgeOption = Annotated[Path | None, typer.Option("--badge", metavar="FILE", help="Write the level as an SVG badge.")]
BadgesOption = Annotated[
    Path | None, typer.Option("--badges", metavar="DIR", help="Write one SVG badge per component.")
]


@app.callback()
def root() -> None:
    """Find what is wrong with a vector store, embedder, tokenizer or language model."""


@app.command()
def run(  # noqa: PLR0913 - a command line has as many options as it has
    ctx: typer.Context,
    target: Target,
    *,
    config: ConfigOption = None,
    variant: VariantOption = "",
    tier: TierOption = None,
    expression: ExpressionOption = "",
    seed: SeedOption = 0,
    thorough: ThoroughOption = False,
    known_failures: KnownOption = None,
    backwards: ReversedOption = False,
    timeout: TimeoutOption = 120.0,
    json: JsonOption = None,
    html: HtmlOption = None,
    markdown: MarkdownOption = None,
    badge: BadgeOption = None,
) -> None:
    """Examine one component; exit code 1 when something is wrong with it.

    \b
    Examples:
      ctxkit conformance run vector_store:faiss
      ctxkit conformance run vector_store:acme --config ef_search=64 --html report.html
      ctxkit conformance run vector_store:acme --tier T4 -k complements --seed 7
      ctxkit -p my_backend.py conformance run vector_store:mine
    """  # noqa: D301 - \b is for the help formatter
    from ctxkit_conformance.runner import RunRequest  # noqa: PLC0415 - help stays light

    request = RunRequest(
        target=target,
        options=tuple(config or ()),
        variant=variant,
        plugins=_plugins(ctx),
        tiers=tuple(tier or ()),
        expression=expression,
        seed=seed,
        thorough=thorough,
        known_failures=known_failures,
        reverse=backwards,
        check_timeout=timeout * (10 if thorough else 1),
    )
    report = examined([request], partial(_write, json=json, html=html, markdown=markdown))
    if badge is not None:
        from ctxkit_conformance.report import write_badge  # noqa: PLC0415

        write_badge(report.subjects[0], badge)
    _show(report, json)


@app.command()
def matrix(  # noqa: PLR0913 - as above
    ctx: typer.Context,
    *,
    kind: Annotated[
        list[str] | None, typer.Option("--kind", metavar="KIND", help="Only this kind; may be repeated.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="KIND:NAME", help="Only this component; may be repeated.")
    ] = None,
    variants: Annotated[bool, typer.Option(help="Examine the variants that harnesses offer, too.")] = True,
    tier: TierOption = None,
    seed: SeedOption = 0,
    thorough: ThoroughOption = False,
    known_failures: KnownOption = None,
    timeout: TimeoutOption = 120.0,
    json: JsonOption = None,
    html: HtmlOption = None,
    markdown: MarkdownOption = None,
    badges: BadgesOption = None,
) -> None:
    """Examine every installed component; exit code 1 when something is wrong with one.

    \b
    Examples:
      ctxkit conformance matrix --html report.html --json report.json
      ctxkit conformance matrix --kind vector_store --tier T2
    """  # noqa: D301 - \b is for the help formatter
    from ctxkit_conformance.examination import requests_for  # noqa: PLC0415
    from ctxkit_conformance.runner import RunRequest  # noqa: PLC0415

    common = RunRequest(
        target="",
        plugins=_plugins(ctx),
        tiers=tuple(tier or ()),
        seed=seed,
        thorough=thorough,
        known_failures=known_failures,
        check_timeout=timeout * (10 if thorough else 1),
    )
    found = _chosen(ctx, kind or [], only or [], variants=variants)
    report = examined(requests_for(found, common), partial(_write, json=json, html=html, markdown=markdown))
    if badges is not None:
        from ctxkit_conformance.report import badge_name, write_badge  # noqa: PLC0415

        badges.mkdir(parents=True, exist_ok=True)
        for subject in report.subjects:
            write_badge(subject, badges / badge_name(subject))
    _show(report, json)


@app.command()
def selftest(
    *,
    expression: Annotated[str, typer.Option("-k", metavar="TEXT", help="Only mutants whose names hold this.")] = "",
    thorough: Annotated[
        bool, typer.Option("--thorough", help="Run every mutant through the whole contract of its kind.")
    ] = False,
    json: JsonOption = None,
) -> None:
    """Show that the suite finds what it is meant to find: broken components, and the checks that catch them.

    \b
    Examples:
      ctxkit conformance selftest
      ctxkit conformance selftest -k Upsert
    """  # noqa: D301 - \b is for the help formatter
    import ctxkit_conformance.selftest as mutants  # noqa: PLC0415

    names = [name for name in mutants.mutant_names() if expression.lower() in name.lower()]
    with interruptible(), bar() as shown:
        task = shown.add_task("mutants", total=len(names))
        result = mutants.run(
            names if expression else None,
            everything=thorough,
            progress=lambda done, total, name: shown.update(task, completed=done, total=total, description=name),
        )
    if json is not None:
        _write_text(json, _as_json(result.as_dict()))
    if json is None or str(json) != "-":
        mutants.print_table(result)
    raise typer.Exit(0 if result.ok else 1)


@app.command()
def faults(
    ctx: typer.Context,
    targets: Annotated[
        list[str] | None, typer.Argument(metavar="[llm:NAME]...", help="Only these language models.")
    ] = None,
    *,
    json: JsonOption = None,
) -> None:
    """Show what every language model adapter makes of every fault of a provider; exit code 1 when one is wrong.

    \b
    Examples:
      ctxkit conformance faults
      ctxkit conformance faults llm:openai --json faults.json
    """  # noqa: D301 - \b is for the help formatter
    from ctxkit_conformance.faults import FaultServer  # noqa: PLC0415 - help stays light
    from ctxkit_conformance.llms import faults_table  # noqa: PLC0415
    from ctxkit_conformance.llms.base import HOW  # noqa: PLC0415

    # A proxy of this environment would not find the server of this machine.
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"
    met: list[Any] = []
    waited: list[Any] = []
    subjects = _adapters(ctx, targets or [])
    with interruptible(), FaultServer() as server, bar() as shown:
        for subject, wire in subjects:
            title = faults_table.title_of(subject)
            task = shown.add_task(title, total=len(faults_table.EXPECTED) * len(HOW))

            def told(what: str, task: Any = task, title: str = title) -> None:
                shown.update(task, advance=1, description=f"{title}  {what}")

            met += faults_table.meet(subject, wire, server, told)
            waited += faults_table.wait(subject, wire, server)
    found = faults_table.as_dict(met, waited)
    if json is not None:
        _write_text(json, _as_json(found))
    if json is None or str(json) != "-":
        faults_table.print_faults(met, waited, None if sys.stdout.isatty() else _WIDTH)
    raise typer.Exit(0 if found["ok"] else 1)


@app.command()
def checks(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="vector_store, embedder, tokenizer or llm.")] = "",
) -> None:
    """List the checks with what a failure of each means.

    \b
    Examples:
      ctxkit conformance checks
      ctxkit conformance checks vector_store
    """  # noqa: D301 - \b is for the help formatter
    from ctxkit_conformance.catalogue import show_checks  # noqa: PLC0415

    show_checks(kind)


@app.command()
def contract(
    clause: Annotated[str, typer.Argument(metavar="CLAUSE", help="The name of a clause, for example law-of-k.")] = "",
) -> None:
    """Print the contract, or one clause of it with what to do about a failure.

    \b
    Examples:
      ctxkit conformance contract law-of-k
      ctxkit conformance contract > contract.md
    """  # noqa: D301 - \b is for the help formatter
    from ctxkit_conformance.catalogue import show_contract  # noqa: PLC0415

    show_contract(clause)


def _plugins(ctx: typer.Context) -> tuple[str, ...]:
    return tuple(ctx.find_root().params.get("plugins") or ())


def _chosen(ctx: typer.Context, kinds: list[str], only: list[str], *, variants: bool) -> list[Any]:
    """Return the installed components that were asked for; raises ConfigError when there is none."""
    from ctxkit.errors import ConfigError  # noqa: PLC0415
    from ctxkit.plugins import KINDS, PluginRegistry  # noqa: PLC0415
    from ctxkit_conformance.examination import installed  # noqa: PLC0415
    from ctxkit_conformance.subject import find_subject  # noqa: PLC0415

    wanted = [kind.replace("-", "_") for kind in kinds]
    unknown = sorted(set(wanted) - set(KINDS))
    if unknown:
        raise ConfigError(f"there is no kind {', '.join(unknown)}.", fix=f"choose from {', '.join(KINDS)}.")
    registry = PluginRegistry.discover()
    for plugin in _plugins(ctx):
        registry.load_path(plugin)
    found = installed(registry, cast("list[Kind]", wanted), variants=variants)
    if only:
        subjects = [find_subject(registry, target) for target in only]
        targets = {f"{subject.kind}:{subject.component.qualified_name}" for subject in subjects}
        found = [each for each in found if each.target in targets]
    if not found:
        raise ConfigError("no component is installed that could be examined.", fix="see `ctxkit plugins list`.")
    return found


def _adapters(ctx: typer.Context, targets: list[str]) -> list[Any]:
    """Return the language models that ask a provider, in each variant, with their formats; raises ConfigError."""
    from ctxkit.errors import ConfigError  # noqa: PLC0415
    from ctxkit.plugins import PluginRegistry  # noqa: PLC0415
    from ctxkit_conformance.llms.faults_table import wire_of  # noqa: PLC0415
    from ctxkit_conformance.subject import find_subject  # noqa: PLC0415

    registry = PluginRegistry.discover()
    for plugin in _plugins(ctx):
        registry.load_path(plugin)
    names = targets or [f"llm:{component.qualified_name}" for component in registry.components("llm")]
    found = []
    for name in names:
        subject = find_subject(registry, name if ":" in name else f"llm:{name}")
        if subject.kind != "llm":
            raise ConfigError(f"{name} is no language model.", fix="name components such as llm:openai.")
        wire = wire_of(subject)
        if wire is not None:
            found += [(find_subject(registry, name, {}, variant), wire) for variant in subject.variants()]
    if not found:
        raise ConfigError(
            "no language model was found that asks a provider.",
            fix="install one, and name its wire_format on its Harness; see `ctxkit plugins list`.",
        )
    return found


def _write(report: Report, *, json: Path | None, html: Path | None, markdown: Path | None) -> None:
    """Write the forms of the report that were asked for; standard output gets it only once nothing is missing."""
    from ctxkit_conformance.report import as_html, as_json, as_markdown  # noqa: PLC0415

    for path, made in ((json, as_json), (html, as_html), (markdown, as_markdown)):
        if path is not None and (str(path) != "-" or not report.missing):
            _write_text(path, made(report))


def _write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all; raises ConfigError when it cannot be written."""
    from ctxkit.errors import ConfigError  # noqa: PLC0415

    if str(path) == "-":
        sys.stdout.write(text)
        return
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError as exc:
        raise ConfigError(
            f"{path} cannot be written: {exc.strerror}.", fix="name a file in a folder that exists."
        ) from exc


def _as_json(value: Any) -> str:
    import json  # noqa: PLC0415

    return json.dumps(value, indent=2) + "\n"


def _show(report: Report, json: Path | None) -> None:
    """Print the summary unless standard output is the report's, and leave with the verdict."""
    from ctxkit_conformance.report import print_report  # noqa: PLC0415

    if json is None or str(json) != "-":
        print_report(report)
    raise typer.Exit(0 if report.ok else 1)
