"""The help of every command, as it is registered: a sentence, and examples that begin with the command itself."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main

from ctxkit.cli import run
from ctxkit.cli.app import app


def every_command(group: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield each command below a group with the words that name it."""
    for name, each in group.commands.items():
        if hasattr(each, "commands"):
            yield from every_command(each, (*words, name))
        else:
            yield (*words, name), each


COMMANDS = dict(every_command(typer.main.get_command(app)))


def test_the_commands_are_found() -> None:
    """A walk that finds nothing would check nothing."""
    assert {("chat",), ("config", "show"), ("doctor",), ("inspect",), ("plugins", "new")} <= set(COMMANDS)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_each_command_has_help_with_an_example(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` prints what it does and an example; each example that calls this command has options that it knows."""
    assert run([*words, "--help"]) == 0
    text = capsys.readouterr().out
    assert re.search(rf"^Usage: ctxkit {' '.join(words)} ", text)
    examples = text.partition("\nOptions:")[0].partition("Example")[2].partition(":")[2]
    own = re.findall(rf"^ *((?:\w+=\S+ )*ctxkit {' '.join(words)}(?: .*)?)$", examples, re.MULTILINE)
    assert own, text
    known = {option for each in COMMANDS[words].params for option in each.opts}
    for line in own:
        used = {word.partition("=")[0] for word in shlex.split(line.rstrip("\\")) if re.match(r"--?[a-z]", word)}
        assert used <= known, line
