"""`ctxkit inspect`: one context and everything that explains it, in the terminal, as JSON or as a page."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ctxkit.cli.errors import say
from ctxkit.cli.output import (
    console,
    counted,
    fallback_lines,
    harmless,
    number,
    plain,
    print_json,
    shortened,
    token_bar,
    token_legend,
)
from ctxkit.cli.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from ctxkit.inspector import Inspection, Inspector
    from ctxkit.inspector.document import CandidateRow

_KEPT_SHOWN = 15
_REASONS_SHOWN = 8
_BETTER = re.compile(r"^ltm_hits_k \((\d+)\) better ones were kept")
# What the stages of a score look at; one of somebody's own stands under its name.
_STAGES = {
    "fused": "search",
    "neighbor": "neighbours",
    "asking": "only asks",
    "speaker": "speaker named",
    "date": "date named",
    "recency": "recent",
    "importance": "important",
}
_TELLING = 0.0005  # what a stage adds to be named, as it is shown with three decimals


def inspect(
    settings: Settings,
    question: Annotated[
        str | None, typer.Argument(metavar="QUESTION", help="What to ask (default: the newest user turn).")
    ] = None,
    *,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write it as one page.")] = None,
    serve: Annotated[bool, typer.Option("--serve", help="Show the page on a local address, and ask on there.")] = False,
    port: Annotated[
        int | None, typer.Option("--port", metavar="N", min=0, help="Port of --serve (default: any).")
    ] = None,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    previous: Annotated[
        str | None, typer.Option("--previous", metavar="QUESTION", help="Compare with this question's prompt.")
    ] = None,
    budget: Annotated[int | None, typer.Option("--budget", metavar="N", min=1, help="Tokens at most.")] = None,
) -> None:
    """See how a context came about: what was considered, how it was scored, what is in, and why.

    The page of --html holds everything it needs and asks no network for anything; it quotes your memories. With --serve
    only this machine reaches it, and only whoever has the link; Ctrl-C ends it.

    \b
    Examples:
      ctxkit inspect "when do we open?"
      ctxkit inspect "when do we open?" --html context.html --open
      ctxkit inspect "when do we open?" --previous "who is Ralf?" --json
      ctxkit inspect --serve
    """  # noqa: D301 - \b is for the help formatter
    from ctxkit.errors import BudgetTooSmallError  # noqa: PLC0415 - start-up stays light
    from ctxkit.inspector import Inspector, newest_question  # noqa: PLC0415

    _check(settings, html, port, serve=serve, open_page=open_page)
    with settings.manager() as manager:
        inspector = Inspector(manager, budget=budget)
        try:
            if previous is not None:
                inspector.prepare(previous)
            asked = question if question is not None or serve else newest_question(manager)
            found = None if asked is None else inspector.inspect(asked)
        except BudgetTooSmallError as exc:
            raise BudgetTooSmallError(exc.message, fix="raise --budget, or ask a shorter question.") from exc
        if serve:
            _serve(inspector, found, port or 0, open_page=open_page)
        elif found is not None:
            _hand_out(settings, found, html, open_page=open_page)


def _check(settings: Settings, html: Path | None, port: int | None, *, serve: bool, open_page: bool) -> None:
    """Raise ConfigError for options that do not go together."""
    from ctxkit.errors import ConfigError  # noqa: PLC0415

    if serve and (html is not None or settings.as_json):
        other = "--json" if settings.as_json else "--html"
        raise ConfigError(
            f"--serve and {other} exclude each other.", fix=f"leave out one of them; {other} is one page."
        )
    if port is not None and not serve:
        raise ConfigError("--port is for --serve.", fix="add --serve, or leave --port out.")
    if open_page and html is None and not serve:
        raise ConfigError("--open has no page to open.", fix="add --serve or --html FILE.")


def _serve(inspector: Inspector, found: Inspection | None, port: int, *, open_page: bool) -> None:
    from ctxkit.inspector import InspectorServer  # noqa: PLC0415

    with InspectorServer(inspector, port=port, shown=found) as server:
        try:
            typer.echo(server.url)
            say("Whoever has this link can ask this store. Ctrl-C ends it.")
            if open_page:
                _open(server.url)
            server.wait()
        except KeyboardInterrupt:
            say("Stopped.")


def _hand_out(settings: Settings, found: Inspection, html: Path | None, *, open_page: bool) -> None:
    from ctxkit.inspector import write_html  # noqa: PLC0415

    if html is not None:
        write_html(found, html)
    if settings.as_json:
        print_json(found)
    elif html is not None:
        typer.echo(f"Wrote {harmless(str(html))}")
    else:
        _show(found, settings.where)
    if html is not None and open_page:
        _open(html.absolute().as_uri())


def _open(address: str) -> None:
    import webbrowser  # noqa: PLC0415 - start-up stays light

    if not webbrowser.open(address):
        say("Warning: no browser was found; open the link yourself.")


def _show(found: Inspection, place: str) -> None:
    """Print a summary that fits a terminal: the budget, what was kept with its scores, and why the rest is out."""
    out = console()
    used = found["components"]
    out.print(shortened(found["question"], 2 * out.width), style="bold")
    tokens = f"{number(found['tokens'])} of {number(found['budget'])} tokens"
    out.print(f"{tokens}, built in {found['seconds'] * 1000:.0f} ms, {counted(used['records'], 'record')}")
    parts = {part["name"]: part["tokens"] for part in found["parts"]}
    out.print(token_bar(parts, found["budget"], out))
    out.print(token_legend(parts, out))
    # As on the page: the ranked first, then recent turns and summaries.
    kept = sorted((row for row in found["candidates"] if row["kept"]), key=lambda row: row["rank"] is None)
    dropped = [row for row in found["candidates"] if not row["kept"]]
    if kept:
        _show_kept(kept, found["question"], out)
    if dropped:
        _show_dropped(dropped, out)
    if found["previous"] is not None:
        stable = counted(found["previous"]["stable_tokens"], "token")
        out.print(f"\nUnchanged since the previous prompt: {stable} at the beginning.")
    where = f"{used['vector_store']}, {used['embedder']}, {used['tokenizer']}: {plain(place)}"
    out.print(f"\nStore: {where}", style="dim", soft_wrap=True)
    for line in fallback_lines(used):
        out.print(line, style="dim")


def _show_kept(kept: Sequence[CandidateRow], question: str, out: Console) -> None:
    from rich.padding import Padding  # noqa: PLC0415 - start-up stays light

    out.print(f"\nKept: {len(kept)}", style="bold")
    for place, row in enumerate(kept[:_KEPT_SHOWN], start=1):
        # Not the rank: what is ranked and shown as a recent turn would leave a gap.
        head = f"{row['part']:>12}" if row["rank"] is None else f"{place:>4}. {row['final']:6.3f}"
        out.print(f"{head}  {_scores(row)}", style="cyan", soft_wrap=True)
        words = shortened(f"{_origin(row)}{row['text']}", 2 * (out.width - 10), [question])
        out.print(Padding(words, (0, 0, 0, 6), expand=False))
    if len(kept) > _KEPT_SHOWN:
        out.print(f"      {counted(len(kept) - _KEPT_SHOWN, 'more')} in --json and --html", style="dim")


def _scores(row: CandidateRow) -> str:
    """Return the price of a row and what each stage gave it, as far as that can be seen in three decimals."""
    told = [
        f"{_STAGES.get(name, name)} {value:+.3f}" for name, value in row["stages"].items() if abs(value) >= _TELLING
    ]
    return ", ".join([counted(row["tokens"], "token"), *told])


def _origin(row: CandidateRow) -> str:
    named = [part for part in (row["session"], row["speaker"], row["source"]) if part is not None]
    return f"[{', '.join(named)}] " if named else ""


def _show_dropped(dropped: Sequence[CandidateRow], out: Console) -> None:
    from rich.table import Table  # noqa: PLC0415 - start-up stays light

    out.print(f"\nDropped: {len(dropped)}", style="bold")
    # Which text a text is the same as differs each time, and is told by the page.
    why = Counter(row["reason"].partition(" as ")[0] for row in dropped)
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", no_wrap=True, min_width=6)
    table.add_column()
    for reason, many in why.most_common(_REASONS_SHOWN):
        table.add_row(number(many), plain(_BETTER.sub(r"\1 better ones were kept (memory.ltm_hits_k)", reason)))
    out.print(table)
