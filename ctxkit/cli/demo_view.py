"""How the demonstration looks. Each stage is printed when it is done; nothing moves unless a terminal shows it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from ctxkit.cli.ingest_command import skipped_lines
from ctxkit.cli.output import (
    console,
    counted,
    fallback_lines,
    harmless,
    near,
    number,
    shortened,
    size,
    token_bar,
    token_legend,
)
from ctxkit.demo.verdict import Verdict, place_of

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ctxkit.demo.recall import Recalled, Seen
    from ctxkit.demo.remember import Remembered
    from ctxkit.ingest import IngestReport

_HITS = 3
_INDENT = 5
_SPEAKER = re.compile(r"^User: |\nAssistant: ")


class View:
    """Prints the stages of the demonstration, or nothing at all when `quiet`."""

    def __init__(self, *, quiet: bool) -> None:
        self._out = console()
        self._quiet = quiet

    def begin(self) -> None:
        """Say what is about to happen."""
        self._title("ctxkit demo: a memory that outlives the process")
        self._line("Four months of a conversation go into a store. Then another process, which")
        self._line("never saw it, opens the store and finds what each question needs.")

    def remembered(self, done: Remembered) -> None:
        """Show how much was observed, and how much of it the short-term view still holds."""
        self._step(1, "Store")
        share = len(done.in_view) / done.turns
        width = max(20, min(self._out.width - 12, 66))
        bar = Text.assemble(("█" * round(width * (1 - share)), "dim"))
        bar.append("▓" * (width - len(bar)), style="blue")
        gone = done.tokens - done.view_tokens
        rows = (
            ("observed", f"{counted(done.turns, 'turn')}, {number(done.tokens)} tokens"),
            ("short-term view", f"holds {number(done.capacity)} tokens"),
            ("  still in view", f"{counted(len(done.in_view), 'turn')}, {number(done.view_tokens)} tokens"),
            ("  evicted", f"{counted(len(done.evicted), 'turn')}, {number(gone)} tokens: out of view, not lost"),
            ("documentation", f"{counted(done.documentation.files, 'page')} of ctxkit's own"),
            ("components", _components(done.stats)),
        )
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
        table.add_column(style="bold", no_wrap=True)
        table.add_column(overflow="fold")
        for row in rows:
            table.add_row(*row)
        self._print(table)
        self._print(bar)
        self._print(Text.assemble(("█", "dim"), " evicted   ", ("▓", "blue"), " in view"))
        for line in fallback_lines(done.stats):
            self._print(Text(line, style="dim"))

    @contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """Show on a terminal that something is going on."""
        target = console(stderr=True)
        if self._quiet or not target.is_terminal:
            yield
            return
        with target.status(what):
            yield

    def reopened(self, before: Remembered, now: Recalled) -> None:
        """Show that another process found the same view in the store."""
        self._step(2, "Reopen in a new process")
        same = set(now.view) == set(before.in_view)
        store = now.stats["store"]
        self._line(
            f"Process {now.pid} opened the store: {counted(store['records'], 'record')},"
            f" {size(store['bytes_on_disk'])} on disk."
        )
        view = f"The short-term view came back as it was: {counted(len(now.view), 'turn')}."
        self._print(_mark(good=same, text=view if same else "The short-term view did not come back as it was."))
        self._step(3, "Ask")

    def question(self, index: int, verdict: Verdict) -> None:
        """Show one question with the context that was built for it."""
        self._asked(index, verdict)
        answer = verdict.answer
        if answer.recent:
            newest = _SPEAKER.sub(" ", answer.recent[0].text)
            room = self._out.width - _INDENT - 31
            self._print(Text(f"Recent turns: {len(answer.recent)}, the newest: {shortened(newest, room)}", style="dim"))
        self._hits(verdict, [verdict.origin(hit) for hit in verdict.hits])
        self._found(verdict)

    def result(self, result: Mapping[str, int], missed: Sequence[str]) -> None:
        """Show how many of all questions about the conversation were answered, and which were not."""
        self._step(4, "All questions")
        text = Text.assemble(
            "Evidence found for ",
            (f"{result['found']} of {result['asked']}", "bold green" if result["found"] else "bold red"),
            f" questions, in at most {number(result['budget'])} tokens each.",
        )
        self._print(text)
        evicted, found = result["evicted"], result["found_evicted"]
        self._line(f"For {evicted} of them all evidence was in evicted turns: {found} of those found.")
        for question in missed:
            self._print(Text.assemble(("✗ ", "red"), (shortened(question, self._out.width - _INDENT - 2), "dim")))

    def begin_files(self, path: Path) -> None:
        """Announce the second part."""
        self._title(f"The same for {harmless(str(path))}")

    def ingested(self, report: IngestReport) -> None:
        """Show what was stored of somebody's files."""
        self._line(f"Stored {counted(report.files, 'file')} as {counted(report.chunks, 'chunk')}.")
        for line in skipped_lines(report):
            self._print(Text(line, style="dim"))

    def files(self, verdicts: list[Verdict]) -> None:
        """Show what was asked about the files, and where the text came from."""
        if not verdicts:
            self._line("No sentence in them makes a question; ask your own with --question.")
        for index, verdict in enumerate(verdicts, start=1):
            self._asked(index, verdict)
            self._hits(verdict, [near(place_of(hit)) for hit in verdict.hits])
            if verdict.expected:
                self._found(verdict)

    def end(self, report: Mapping[str, Any]) -> None:
        """Say what to run next."""
        self._title(f"Done in {report['seconds']:.1f} s. Next:")
        for line in report["next"]:
            if not self._quiet:
                # Never wrapped: a command must survive being copied.
                self._out.print(f"  {line}", style="cyan", soft_wrap=True)
        if report["files"] is None:
            self._line("And with your own files:")
            if not self._quiet:
                self._out.print("  ctxkit demo --path .", style="cyan", soft_wrap=True)

    def _asked(self, index: int, verdict: Verdict) -> None:
        answer = verdict.answer
        if self._quiet:
            return
        self._out.print()
        line = Table.grid(padding=(0, 1, 0, 0))
        line.add_row(Text(f"{index:>3}.", style="bold cyan"), Text(harmless(answer.question), style="bold"))
        self._out.print(line)
        self._print(token_bar(answer.parts, answer.budget, self._out))
        legend = token_legend(answer.parts, self._out)
        legend.append(f"   = {number(answer.tokens)} of {number(answer.budget)} tokens")
        self._print(legend)

    def _hits(self, verdict: Verdict, origins: list[str]) -> None:
        table = Table(box=None, show_header=False, padding=(0, 1, 0, 0), expand=True)
        table.add_column(justify="right", no_wrap=True)
        table.add_column(no_wrap=True, style="cyan")
        table.add_column(no_wrap=True, ratio=1, overflow="ellipsis")
        listed = [(hit, _end_of(name, self._out.width // 3)) for hit, name in zip(verdict.hits, origins, strict=True)]
        best = listed[:_HITS]
        best += [pair for pair in listed[_HITS:] if verdict.is_evidence(pair[0])][:1]
        widest = max((len(origin) for _, origin in best), default=0)
        for hit, origin in best:
            found = verdict.is_evidence(hit)
            room = self._out.width - _INDENT - widest - 10 - (2 if found else 0)
            text = Text("✓ ", style="bold green") if found else Text()
            text.append(self._snippet(verdict, hit, room), style="green" if found else "")
            table.add_row(f"{hit.score:.2f}", origin, text)
        if len(listed) > len(best):
            more = counted(len(listed) - len(best), "more hit")
            table.add_row("", "", Text(f"and {more} in the context", style="dim"))
        self._print(table)

    @staticmethod
    def _snippet(verdict: Verdict, hit: Seen, room: int) -> str:
        pieces = [piece for piece in verdict.expected if piece in hit.text]
        return shortened(_SPEAKER.sub(" ", hit.text).strip(), room, pieces or [verdict.answer.question])

    def _found(self, verdict: Verdict) -> None:
        if not verdict.answered:
            self._print(_mark(good=False, text="The evidence is not in this context."))
            return
        self._print(_mark(good=True, text="The evidence is in the context:"))
        for piece in verdict.found:
            quoted = Text(f"“{' '.join(harmless(piece).split())}”", style="bold green")
            if piece in verdict.left_view:
                quoted.append(" (evicted)", style="not bold dim")
            self._print(Padding(quoted, (0, 0, 0, 2), expand=False))
        if verdict.outdated:
            self._print(Text(f"  Also there: an older value, dated, in {', '.join(verdict.outdated)}.", style="dim"))

    def _title(self, text: str) -> None:
        if not self._quiet:
            self._out.print()
            self._out.print(Rule(Text(text, style="bold"), align="left", style="cyan"))

    def _step(self, index: int, text: str) -> None:
        if not self._quiet:
            self._out.print()
            self._out.print(Text.assemble((f" {index} ", "bold reverse cyan"), (f" {text}", "bold")))

    def _line(self, text: str) -> None:
        self._print(Text(text))

    def _print(self, what: RenderableType) -> None:
        if not self._quiet:
            self._out.print(Padding(what, (0, 0, 0, _INDENT), expand=False))


def _end_of(path: str, width: int) -> str:
    """Return the last parts of a path that fit: its name and line say more than its beginning."""
    if len(path) <= width:
        return path
    tail = path[1 - width :]
    return f"…{tail[tail.index('/') :] if '/' in tail else tail}"


def _mark(*, good: bool, text: str) -> Text:
    return Text.assemble(("✓ ", "bold green") if good else ("✗ ", "bold red"), text)


def _components(stats: Mapping[str, Any]) -> str:
    embedder = "no embedder, search by words" if stats["embedder"] == "none" else f"embedder {stats['embedder']}"
    return f"vector store {stats['vector_store']}, {embedder}, tokenizer {stats['tokenizer']}"
