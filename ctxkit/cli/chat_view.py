"""How a chat looks: at a terminal, as plain lines, and as JSON Lines."""

from __future__ import annotations

import json
import math
import re
import sys
import termios
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from ctxkit.chat import Conversation, Reply
from ctxkit.chat.answering import Quotes
from ctxkit.chat.commands import Figures, Forgotten, Found, Help, Outcome, Sent, Sessions
from ctxkit.cli.errors import error_as_json
from ctxkit.cli.memory_commands import day, origin, show_account
from ctxkit.cli.output import console, counted, harmless, number, shortened, size
from ctxkit.cli.plain import table
from ctxkit.cli.settings import Settings
from ctxkit.errors import CtxkitError
from ctxkit.memory.erasing import ErasureReport

_PARTS = re.compile(r"\n|[^\S\n]+|\S+")
_HELD = 40  # characters of a word that are waited for
_NO_MODEL = (
    "Note: No language model is configured, and there is no key: answers are passages from memory, word for word."
    " Install ctxkit-openai or ctxkit-anthropic and set OPENAI_API_KEY or ANTHROPIC_API_KEY to have a model, or choose"
    " another: `ctxkit chat --set llm.provider=NAME`."
)
_NO_PLUGIN = (
    "Note: {variable} is set, but what uses it is not installed: answers are passages from memory, word for word."
    " `{line}` has the model answer."
)
_ERASED = (
    ("turns", "turn", ""),
    ("memories", "memory", "memories"),
    ("chunks", "chunk", ""),
    ("parts", "part", ""),
    ("summaries", "summary", "summaries"),
    ("summaries_remade", "summary made anew", "summaries made anew"),
    ("vectors", "vector", ""),
    ("cache_entries", "cached embedding", ""),
)


def tell(line: str, style: str = "") -> None:
    """Print one line on standard error, whatever stands in it; a terminal gets it wrapped between words."""
    err = console(stderr=True)
    err.print(" ".join(harmless(line).split()), style=style, soft_wrap=not err.is_terminal)


class View(ABC):
    """Shows what happens in a chat."""

    def opened(self, conversation: Conversation) -> None:
        """Say what the user has to know before the first question."""
        if conversation.recovered:
            tell(f"Note: {counted(conversation.recovered, 'turn')} of a chat that was killed came back into memory.")
        answerer = conversation.answerer
        if isinstance(answerer, Quotes):
            lacking = answerer.lacking
            tell(_NO_MODEL if lacking is None else _NO_PLUGIN.format(variable=lacking.variable, line=lacking.line))

    @contextmanager
    def answering(self, conversation: Conversation) -> Iterator[Callable[[str], None]]:
        """Show that an answer is waited for; yields what shows its pieces."""
        with waiting(f"Waiting for {harmless(conversation.answerer.name)}") as stop:
            yield lambda _piece: stop()

    @abstractmethod
    def replied(self, reply: Reply) -> None:
        """Show what became of a question, once its pieces were shown."""

    @abstractmethod
    def done(self, outcome: Outcome) -> None:
        """Show what became of a command."""

    def failed(self, error: CtxkitError) -> None:
        """Say why something could not be done, and what helps."""
        cause = CtxkitError(error.message, backend=error.backend, collection=error.collection)
        tell(f"Error: {cause}", style="red")
        if error.fix:
            tell(f"Fix: {error.fix}")


class JsonLines(View):
    """One JSON value on each line of standard output."""

    def replied(self, reply: Reply) -> None:
        """Write the reply."""
        self._write({"kind": "reply", **reply.as_dict()})

    def done(self, outcome: Outcome) -> None:
        """Write what the command came to."""
        self._write({"kind": type(outcome).__name__.lower(), **outcome.as_dict()})

    def failed(self, error: CtxkitError) -> None:
        """Write cause and fix."""
        self._write(error_as_json(error))

    def _write(self, value: dict[str, Any]) -> None:
        sys.stdout.write(f"{json.dumps(value)}\n")
        sys.stdout.flush()


class Lines(View):
    """Answers as plain text, and nothing else on standard output; `width` is where lines are wrapped."""

    width = math.inf

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @contextmanager
    def answering(self, conversation: Conversation) -> Iterator[Callable[[str], None]]:
        """Write the answer as it comes."""
        flow = Flow(self.width)
        with super().answering(conversation) as stop:

            def show(piece: str) -> None:
                stop("")
                flow.add(piece)

            try:
                yield show
            finally:
                flow.end()

    def replied(self, reply: Reply) -> None:
        """Say what was not as it should be."""
        if reply.error is not None:
            self.failed(reply.error)
            tell(
                f"Your question{' and what came of the answer are' if reply.answer else ' is'} in memory all the same."
            )
        elif reply.state == "cut":
            tell("Stopped. Your question and what came of the answer are in memory, marked as cut.")
        elif reply.completion is not None and reply.completion.finish_reason == "length":
            tell("The model stopped at its limit of tokens; llm.max_tokens raises it.")

    def done(self, outcome: Outcome) -> None:
        """Show what the command came to."""
        out = console()
        match outcome:
            case Sent(context):
                show_account(context, self._settings, explain=True)
            case Found():
                _show_found(outcome, out)
            case Forgotten(memory_id, report):
                _show_erasure(memory_id, report, out)
            case Figures():
                table(_figures(outcome, self._settings.where))
            case Sessions():
                _show_sessions(outcome, out)
            case Help(commands):
                table(commands, ["cyan"])


class Screen(Lines):
    """A terminal, with a line about each answer."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._out = console()
        self.width = self._out.width

    def opened(self, conversation: Conversation) -> None:
        """Say what this is, and where its memory is."""
        self._out.print("ctxkit chat", style="bold")
        rows = [("Memory", self._settings.where)]
        if conversation.session is not None:
            rows.append(("Session", conversation.session))
        rows.append(("Answers", conversation.answerer.name))
        table(rows, ["cyan"])
        super().opened(conversation)
        self._out.print("/help lists the commands, Ctrl-C stops an answer, Ctrl-D leaves.", style="dim")
        self._out.print()

    def replied(self, reply: Reply) -> None:
        """Say what the answer was made of."""
        super().replied(reply)
        context = reply.context
        if context is not None:
            memories = counted(len(context.kept("memory")), "memory", "memories")
            turns = counted(len(context.kept("recent")), "recent turn")
            tokens = f"{number(context.tokens)} of {number(context.budget)} tokens"
            self._out.print(f"{memories}, {turns}, {tokens}; /context shows them", style="dim")
        self._out.print()

    @contextmanager
    def answering(self, conversation: Conversation) -> Iterator[Callable[[str], None]]:
        """Write the answer as it comes; what is typed meanwhile shows when the next line is asked for."""
        with _unechoed(), super().answering(conversation) as show:
            yield show

    def done(self, outcome: Outcome) -> None:
        """Show what the command came to, and a blank line after it."""
        super().done(outcome)
        self._out.print()


class Flow:
    """Writes a text as it comes to standard output: whole words, wrapped, and nothing that steers a terminal."""

    def __init__(self, width: float) -> None:
        self._width = width
        self._column = 0
        self._blank = ""
        self._held = ""
        self._written = False

    def add(self, piece: str) -> None:
        """Write what is whole by now."""
        parts = _PARTS.findall(self._held + piece)
        self._held = parts.pop() if parts and _goes_on(parts[-1]) else ""
        for part in parts:
            self._put(part)
        sys.stdout.flush()

    def end(self) -> None:
        """Write the rest, and end the line."""
        if self._held:
            self._put(self._held)
            self._held = ""
        if self._column:
            self._put("\n")
        sys.stdout.flush()

    def _put(self, part: str) -> None:
        if part == "\n":
            sys.stdout.write(part)
            self._column, self._blank = 0, ""
        elif part.isspace():
            self._blank += " " * cell_len(part)
        else:
            word = harmless(part)
            # Scripts of wide characters have no blanks, and may be broken anywhere.
            for unit in word if cell_len(word) > len(word) else [word]:
                self._word(unit)

    def _word(self, word: str) -> None:
        if self._column and self._column + len(self._blank) + cell_len(word) > self._width:
            sys.stdout.write("\n")
            self._column, self._blank = 0, ""
        sys.stdout.write(self._blank + word)
        self._column += len(self._blank) + cell_len(word)
        self._blank = ""


def _goes_on(part: str) -> bool:
    """Whether the next piece may go on with this word; scripts without blanks are not waited for."""
    return not part.isspace() and len(part) < _HELD and cell_len(part) <= len(part)


@contextmanager
def waiting(what: str) -> Iterator[Callable[[], None]]:
    """Show on standard error, if that is a terminal, that something goes on and for how long; yields what ends it."""
    target = console(stderr=True)
    if not target.is_interactive:
        yield lambda: None
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=target, transient=True) as shown:
        shown.add_task(shortened(what, target.width - 16), total=None)
        yield shown.stop


@contextmanager
def _unechoed() -> Iterator[None]:
    """Have the terminal not mix what is typed into what is written."""
    before = termios.tcgetattr(sys.stdin)
    quiet = [*before[:3], before[3] & ~termios.ECHO, *before[4:]]
    termios.tcsetattr(sys.stdin, termios.TCSADRAIN, quiet)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _show_found(found: Found, out: Console) -> None:
    for place, (entry, score) in enumerate(found.hits, start=1):
        out.print(f"{place:>2}. {score:.3f}  {origin(entry)}", style="bold cyan", soft_wrap=True)
        out.print(Padding(shortened(entry.text, 2 * (out.width - 8), [found.text]), (0, 0, 0, 4), expand=False))
        out.print(f"    {harmless(entry.id)}", style="dim", soft_wrap=True)
    if not found.hits:
        out.print("Nothing found.")


def _show_erasure(memory_id: str, report: ErasureReport | None, out: Console) -> None:
    if report is None:
        out.print("Nothing was erased.")
        return
    counts = report.as_dict()
    gone = [counted(counts[kind], noun, plural) for kind, noun, plural in _ERASED if counts[kind]]
    out.print(f"Erased {harmless(memory_id)}: {', '.join(gone) or 'nothing was left of it'}.")
    out.print(report.remark or "No byte of it is left in the store's files.", soft_wrap=True)


def _figures(found: Figures, where: str) -> list[tuple[str, str]]:
    short, store = found.memory["short_term_memory"], found.memory["store"]
    tokens = f"{number(short['current_tokens'])} of {number(short['max_tokens'])} tokens"
    return [
        ("Answers", found.by),
        ("Session", found.memory["session_id"] or "all"),
        ("In view", f"{counted(short['num_turns'], 'turn')}, {tokens}"),
        ("Beyond", counted(found.memory["long_term_memory"]["num_entries"], "entry", "entries")),
        ("Store", f"{counted(store['records'], 'record')}, {size(store['bytes_on_disk'])} on disk"),
        ("Place", where),
    ]


def _show_sessions(found: Sessions, out: Console) -> None:
    current = "all sessions are in view" if found.current is None else f"session {harmless(found.current)}"
    out.print(f"Here: {current}.")
    if found.sessions:
        rows = [(each.id, counted(each.turns, "turn"), day(each.newest) or "") for each in found.sessions]
        table(rows, ["cyan"])
