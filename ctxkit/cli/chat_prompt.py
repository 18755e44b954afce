"""The line that is typed at a terminal. What was typed before is read from memory, and kept nowhere else."""

from __future__ import annotations

from collections.abc import Iterable

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import WordCompleter
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

from ctxkit.cli.output import harmless

_MARK = "› "  # noqa: RUF001 - a mark that no answer begins with


class Prompt:
    """Reads lines: Ctrl-C clears the line, Ctrl-D on an empty one raises EOFError, the arrows go through `earlier`."""

    def __init__(self, commands: Iterable[str], earlier: Iterable[str]) -> None:
        self._commands = WordCompleter(list(commands), sentence=True)
        self.recall(earlier)

    def recall(self, earlier: Iterable[str]) -> None:
        """Have the arrows go through these lines, oldest first."""
        history = InMemoryHistory([harmless(line) for line in earlier])
        self._session: PromptSession[str] = PromptSession(
            _MARK, history=history, completer=self._commands, key_bindings=_bindings()
        )

    def line(self) -> str:
        """Return the next line."""
        return self._session.prompt()

    def agrees(self, question: str) -> bool:
        """Return whether the answer to a question is yes."""
        try:
            answer = PromptSession[str]().prompt(f"{question} [y/N] ")
        except (EOFError, KeyboardInterrupt):
            return False
        return answer.strip().lower() in {"y", "yes"}


def _bindings() -> KeyBindings:
    bindings = KeyBindings()

    @bindings.add("c-c")
    @bindings.add("<sigint>")
    def _clear(event: KeyPressEvent) -> None:
        event.current_buffer.reset()

    return bindings
