"""The help of every command, as it is registered: a sentence, and examples that begin with the command itself."""

from __future__ import annotations

import re
import shlex

import pytest
from cli_support import every_command

from ctxkit.cli import run

COMMANDS = every_command()


def test_the_commands_are_found() -> None:
    """A walk that finds nothing would check nothing."""
    assert {("chat",), ("config", "show"), ("plugins", "new"), ("bench", "locomo")} <= set(COMMANDS)


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
