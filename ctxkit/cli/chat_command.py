"""`ctxkit chat`: a conversation with memory, at a terminal or line by line."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from ctxkit.cli.output import shortened
from ctxkit.cli.settings import Settings
from ctxkit.errors import CtxkitError

if TYPE_CHECKING:
    from ctxkit.chat import Conversation, Reply
    from ctxkit.chat.commands import Confirm, Outcome
    from ctxkit.cli.chat_view import View
    from ctxkit.memory import Entry


def chat(
    settings: Settings,
    *,
    once: Annotated[
        str | None, typer.Option("--once", metavar="QUESTION", help="Ask this and leave.", show_default=False)
    ] = None,
) -> None:
    """Chat with a language model that remembers: every turn is stored, and each answer has the memory it needs.

    The model is that of the section `llm`, or one whose key is in the environment; without one, answers are passages
    from memory. Where the input is no terminal, each of its lines is a question. Commands begin with a slash: /help
    lists them.

    \b
    Examples:
      ctxkit chat
      ctxkit chat --session kitchen --set llm.provider=anthropic
      ctxkit chat --once "what did we decide about the floor?"
      ctxkit chat --json < questions.txt
    """  # noqa: D301 - \b is for the help formatter
    from ctxkit.chat import open_conversation  # noqa: PLC0415 - start-up stays light
    from ctxkit.cli.chat_view import JsonLines, Lines, Screen, waiting  # noqa: PLC0415

    at_terminal = once is None and not settings.as_json and sys.stdin.isatty() and sys.stdout.isatty()
    view = JsonLines() if settings.as_json else (Screen if at_terminal else Lines)(settings)
    with (
        waiting("Opening the memory") as ready,
        settings.manager(create=True) as manager,
        open_conversation(manager) as conversation,
    ):
        ready()
        view.opened(conversation)
        if at_terminal:
            _converse(conversation, view)
        elif not _answer_all(conversation, view, _lines_of_input() if once is None else [once]):
            raise typer.Exit(1)


def _converse(conversation: Conversation, view: View) -> None:
    """Ask for lines and answer them until the user leaves."""
    from ctxkit.chat import COMMANDS  # noqa: PLC0415
    from ctxkit.chat.commands import Forgotten, Leave, Sessions  # noqa: PLC0415
    from ctxkit.cli.chat_prompt import Prompt  # noqa: PLC0415 - what edits a line is needed at a terminal alone
    from ctxkit.cli.chat_view import tell  # noqa: PLC0415

    prompt = Prompt([f"/{name}" for name in COMMANDS], conversation.questions())

    def confirm(entry: Entry) -> bool:
        return prompt.agrees(f"{shortened(entry.text, 160)}\nErase this for good?")

    while True:
        try:
            came = _take(prompt.line().strip(), conversation, view, confirm)
        except EOFError:
            return
        except KeyboardInterrupt:
            tell("Stopped.")
        except CtxkitError as exc:
            view.failed(exc)
        else:
            if isinstance(came, Leave):
                return
            if isinstance(came, Forgotten | Sessions):
                prompt.recall(conversation.questions())


def _answer_all(conversation: Conversation, view: View, lines: Iterable[str]) -> bool:
    """Answer one line after the other; return whether all of them were."""
    from ctxkit.chat import Reply  # noqa: PLC0415
    from ctxkit.chat.commands import Leave  # noqa: PLC0415

    good = True
    for line in lines:
        try:
            came = _take(line.strip(), conversation, view, _nobody_to_ask)
        except CtxkitError as exc:
            view.failed(exc)
            good = False
            continue
        if isinstance(came, Leave):
            break
        if isinstance(came, Reply):
            if came.state == "cut":
                raise KeyboardInterrupt
            good = good and came.state == "whole"
    return good


def _take(line: str, conversation: Conversation, view: View, confirm: Confirm) -> Reply | Outcome | None:
    """Answer a question or do what a command says, and show it; None for a blank line."""
    from ctxkit.chat import is_command, perform  # noqa: PLC0415

    if not line:
        return None
    if is_command(line):
        outcome = perform(line, conversation, confirm)
        view.done(outcome)
        return outcome
    with view.answering(conversation) as show:
        reply = conversation.ask(line.removeprefix("/"), show)
    view.replied(reply)
    return reply


def _nobody_to_ask(entry: Entry) -> bool:
    raise CtxkitError("erasing has to be agreed to, and there is nobody to ask.", fix=f"/forget {entry.id} yes")


def _lines_of_input() -> Iterable[str]:
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")
    return sys.stdin
