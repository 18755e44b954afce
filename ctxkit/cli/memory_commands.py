"""`ctxkit query`, `ctxkit context` and `ctxkit stats`: what a store knows."""

from __future__ import annotations

import sys
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ctxkit.cli.output import (
    console,
    counted,
    fallback_lines,
    harmless,
    near,
    number,
    plain,
    print_json,
    shortened,
    size,
    token_bar,
    token_legend,
)
from ctxkit.cli.settings import Settings

if TYPE_CHECKING:
    from ctxkit.context import ContextResult
    from ctxkit.memory import Entry

_NARROW = 100
_DROPPED_SHOWN = 12


def query(
    settings: Settings,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What to look for.")],
    k: Annotated[int, typer.Option("-k", metavar="N", min=1, help="How many hits at most.")] = 5,
) -> None:
    """Show the memories that fit a text best, each with its score and where it came from.

    \b
    Examples:
      ctxkit query "who is allergic to hazelnuts?"
      ctxkit query "retry after a timeout" -k 3 --json
    """  # noqa: D301 - \b is for the help formatter
    with settings.manager() as manager:
        found = manager.long_term_memory.search(text, k)
    if settings.as_json:
        hits = [_hit_as_dict(entry, score) for entry, score in found]
        print_json({"store": settings.where, "query": text, "k": k, "hits": hits})
        return
    from rich.padding import Padding  # noqa: PLC0415 - start-up stays light

    out = console()
    for place, (entry, score) in enumerate(found, start=1):
        head = f"{place:>2}. {score:.3f}  "
        out.print(head + origin(entry), style="bold cyan", soft_wrap=True)
        words = shortened(entry.text, 2 * (out.width - 8), [text])
        out.print(Padding(words, (0, 0, 0, 4), expand=False))
    if not found:
        out.print("Nothing found.")
    out.print(f"Store: {harmless(settings.where)}", style="dim", soft_wrap=True)


def _hit_as_dict(entry: Entry, score: float) -> dict[str, Any]:
    return {
        "id": entry.id,
        "score": score,
        "text": entry.text,
        "kind": entry.kind,
        "source": entry.metadata.get("source_id"),
        "date": day(entry.timestamp),
        "timestamp": entry.timestamp,
        "metadata": entry.metadata,
    }


def origin(entry: Entry) -> str:
    """Return where a memory came from: its document, or what it is and its day."""
    source = entry.metadata.get("source_id")
    return near(str(source)) if source is not None else f"{entry.kind}, {day(entry.timestamp) or 'undated'}"


def day(timestamp: float | None) -> str | None:
    """Return the day of a moment (seconds since the epoch, in UTC), None when no calendar has it."""
    if timestamp is None:
        return None
    try:
        return f"{datetime.fromtimestamp(timestamp, tz=timezone.utc):%Y-%m-%d}"
    except (OverflowError, OSError, ValueError):
        return None


def context(
    settings: Settings,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="The question that the context is for.")],
    *,
    budget: Annotated[
        int | None,
        typer.Option("--budget", metavar="N", min=1, help="Tokens at most (default: 12000).", show_default=False),
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Show each candidate and why it is in or out.")] = False,
) -> None:
    """Print the context for a question, ready for a prompt and never longer than the budget.

    The context goes to standard output; how the budget was spent goes to standard error.

    \b
    Examples:
      ctxkit context "what did we decide about the floor?" --budget 800
      ctxkit context "what did we decide about the floor?" --explain > prompt.txt
    """  # noqa: D301 - \b is for the help formatter
    from ctxkit.errors import BudgetTooSmallError  # noqa: PLC0415 - start-up stays light

    with settings.manager() as manager:
        try:
            result = manager.build(text, budget=budget)
        except BudgetTooSmallError as exc:
            raise BudgetTooSmallError(exc.message, fix="raise --budget, or ask a shorter question.") from exc
    if settings.as_json:
        print_json({"store": settings.where, **result.as_dict()})
        return
    # To a terminal without what could steer it; into a file or a program exactly as it was built.
    shown = harmless(result.text) if sys.stdout.isatty() else result.text
    sys.stdout.write(shown if shown.endswith("\n") else f"{shown}\n")
    sys.stdout.flush()
    show_account(result, settings, explain=explain)


def show_account(result: ContextResult, settings: Settings, *, explain: bool) -> None:
    """Show on standard error what the budget went to and what was chosen; `explain` also shows what was left out."""
    err = console(stderr=True)
    err.print()
    err.print(token_bar(result.parts, result.budget, err))
    err.print(token_legend(result.parts, err))
    err.print(f"{number(result.tokens)} of {number(result.budget)} tokens", style="bold")
    if explain:
        _show_ledger(result)
    err.print(f"Store: {harmless(settings.where)}", style="dim", soft_wrap=True)


def _show_ledger(result: ContextResult) -> None:
    from rich.table import Table  # noqa: PLC0415 - start-up stays light

    err = console(stderr=True)
    table = Table(box=None, padding=(0, 1), header_style="bold", collapse_padding=True)
    for title in ("", "part", "tokens", "score"):
        table.add_column(title, justify="right" if title in ("tokens", "score") else "left", no_wrap=True)
    table.add_column("text", ratio=3, no_wrap=True)
    table.add_column("why", ratio=2, no_wrap=err.width > _NARROW)
    dropped = [row for row in result.ledger if not row.kept]
    listed = [*(row for row in result.ledger if row.kept), *dropped[:_DROPPED_SHOWN]]
    for row in listed:
        score = f"{row.final:.3f}" if row.part == "memory" else ""
        words = shortened(row.text, err.width // 2, [result.question])
        mark = "+" if row.kept else "-"
        table.add_row(
            mark, row.part, number(row.tokens), score, words, plain(row.reason), style="" if row.kept else "dim"
        )
    err.print()
    err.print(table)
    rest = len(result.ledger) - len(listed)
    more = f"; {counted(rest, 'more row')} in --json" if rest else ""
    err.print(f"{counted(len(result.ledger), 'candidate')}, {len(result.ledger) - len(dropped)} kept{more}")


def stats(settings: Settings) -> None:
    """Show what a store holds and which components are in use.

    \b
    Examples:
      ctxkit stats
      ctxkit stats --store ~/memory --json
    """  # noqa: D301 - \b is for the help formatter
    with settings.manager() as manager:
        figures = manager.get_stats()
        store, scope = manager.long_term_memory.vault.store, manager.long_term_memory.scope
        unseen = store.count() - store.count(scope.where())
    if settings.as_json:
        print_json({**figures, "records_unseen": unseen})
        return
    from rich.table import Table  # noqa: PLC0415 - start-up stays light

    short, long, kept = figures["short_term_memory"], figures["long_term_memory"], figures["store"]
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    tokens = f"{number(short['current_tokens'])} of {number(short['max_tokens'])} tokens"
    for name, value in (
        ("Store", plain(kept["path"])),
        ("Session", plain(figures["session_id"]) if figures["session_id"] else "all"),
        ("Records", f"{number(kept['records'])}, {number(kept['vectors'])} with a vector"),
        ("Short-term view", f"{counted(short['num_turns'], 'turn')}, {tokens}"),
        ("Long-term memory", counted(long["num_entries"], "entry", "entries")),
        ("Without embedding", number(figures["pending_embeddings"])),
        ("On disk", size(kept["bytes_on_disk"])),
        ("Vector store", f"{figures['vector_store']} ({plain(long['index_type'])})"),
        ("Embedder", figures["embedder"]),
        ("Tokenizer", figures["tokenizer"]),
    ):
        table.add_row(name, value)
    out = console()
    out.print(table)
    if unseen:
        whose = "users or agents" if settings.session is None else "users, agents or sessions"
        out.print(
            f"Note: {counted(unseen, 'record')} of other {whose}, which this command does not see; a program does, with"
            " ContextManager(path=..., user_id=...).",
            style="yellow",
        )
    if figures["last_embedding_error"]:
        out.print(f"The embedder failed: {plain(figures['last_embedding_error'])}", style="red")
    for line in fallback_lines(figures):
        out.print(line, style="dim")
