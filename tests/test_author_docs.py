"""The pages for authors: their files are written, their commands run, their tables are whole."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from ctxkit import hookspecs
from ctxkit.interfaces import Capabilities, EmbedderCapabilities, LLMCapabilities, TokenizerCapabilities
from ctxkit.interfaces.values import CheckedValue
from ctxkit.plugins import PluginRegistry, hooks

AUTHORS = Path(__file__).parents[1] / "docs" / "authors"
BLOCK = re.compile(r"^```(\w+)(?: ([^\n]+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: str) -> Iterator[tuple[str, str, str]]:
    """Yield language, file name ("" for none) and text of each fenced block."""
    yield from BLOCK.findall((AUTHORS / page).read_text(encoding="utf-8"))


class Reader:
    """Somebody who does what a page says, in a folder, and installs without a network."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.site = folder / "site"
        self.done: list[str] = []

    def follow(self, page: str, project: str) -> None:
        """Write every file and run every command of the page, in order."""
        for language, name, text in blocks(page):
            if language == "console":
                for line in text.splitlines():
                    self.run(line.removeprefix("$ "))
            elif name == "pyproject.toml":
                self.replace_line(self.folder / project / name, text)
            elif name:
                (self.folder / project / name).write_text(text, encoding="utf-8")

    def replace_line(self, file: Path, line: str) -> None:
        """Put one line of TOML in the place of the line with the same key."""
        key = line.split(" = ", maxsplit=1)[0]
        changed, count = re.subn(rf"^{key} = .*\n", line, file.read_text(encoding="utf-8"), flags=re.MULTILINE)
        assert count == 1, line
        file.write_text(changed, encoding="utf-8")

    def run(self, line: str) -> str:
        """Run one command line; it has to succeed."""
        program, *arguments = shlex.split(line)
        self.done.append(line)
        if program == "rm":
            for name in arguments:
                (self.folder / name).unlink()
            return ""
        if arguments[:3] == ["-m", "pip", "install"]:
            place = arguments[-1].removesuffix("[dev]")
            offline = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target", str(self.site)]
            arguments = ["-m", "pip", "install", *offline, place]
        prefix = {"ctxkit": ["-m", "ctxkit"], "python": []}[program]
        return self.python(*prefix, *arguments)

    def python(self, *arguments: str, cwd: Path | None = None) -> str:
        """Run this interpreter with what was installed, and nothing of the tests' own settings."""
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST_", "CTXKIT_"))}
        environment |= {"PYTHONPATH": str(self.site), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=cwd or self.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def tutorial(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    """A reader who has followed the tutorial to its end; its own tests have passed on the way."""
    reader = Reader(tmp_path_factory.mktemp("tutorial"))
    reader.follow("tutorial.md", "ctxkit-usearch")
    return reader


@pytest.mark.needs_usearch
def test_the_tutorial_leads_to_a_backend(tutorial: Reader) -> None:
    """Every command ran; the store is listed as ready, approximate, and searched by its name."""
    programs = [shlex.split(line)[:4] for line in tutorial.done]
    assert ["python", "-m", "pytest", "./ctxkit-usearch"] in programs
    assert ["ctxkit", "plugins", "check", "./ctxkit-usearch"] in programs
    assert ["ctxkit", "conformance", "run", "vector_store:usearch"] in programs
    listed = json.loads(tutorial.python("-m", "ctxkit", "plugins", "list", "--json"))
    (component,) = [each for each in listed["components"] if each["name"] == "usearch"]
    assert component["missing"] == []
    assert component["capabilities"]["exact"] is False


@pytest.mark.needs_usearch
def test_the_index_of_the_tutorial_is_really_searched(tutorial: Reader) -> None:
    """On clustered data the graph finds nine of ten true neighbours or more, and is not passed by."""
    program = """
import numpy as np
from ctxkit import get_registry
from ctxkit.interfaces import CollectionSpec
from ctxkit.local import exact
from ctxkit.records import RecordBatch

passed_by = []
by_force = exact.ExactRows.search
exact.ExactRows.search = lambda self, queries, *more: passed_by.append(len(queries)) or by_force(self, queries, *more)
rng = np.random.default_rng(0)
centres = rng.normal(size=(50, 32))
vectors = centres[rng.integers(0, 50, 3000)] + 0.3 * rng.normal(size=(3000, 32))
queries = centres[rng.integers(0, 50, 40)] + 0.3 * rng.normal(size=(40, 32))
spec = CollectionSpec(dimension=32)
for where in (None, {"i": {"$lt": 2000}}):
    found = []
    for name, options in (("usearch", {"exact_below": 0, "index_build": "inline"}), ("exact", {})):
        passed_by.clear()
        with get_registry().open_store(name, spec, options) as store:
            store.upsert(RecordBatch([str(i) for i in range(3000)], vectors, None, [{"i": i} for i in range(3000)]))
            found.append([set(hits.ids) for hits in store.query(queries, 10, where=where)])
        assert bool(passed_by) is (name == "exact")
    recall = np.mean([len(near & true) / 10 for near, true in zip(*found, strict=True)])
    assert recall >= 0.9, (where, recall)
"""
    tutorial.python("-W", "error", "-c", program)


@pytest.mark.needs_usearch
@pytest.mark.needs_linters
def test_the_code_of_the_tutorial_is_clean(tutorial: Reader) -> None:
    """The files pass the lint and type settings that the scaffold wrote."""
    project = tutorial.folder / "ctxkit-usearch"
    tutorial.python("-m", "ruff", "check", "--no-cache", ".", cwd=project)
    tutorial.python("-m", "ruff", "format", "--no-cache", "--check", ".", cwd=project)
    tutorial.python("-m", "mypy", "--cache-dir", os.devnull, cwd=project)


def test_a_plugin_in_one_file(tmp_path: Path) -> None:
    """The file of the page on private plugins works with the command that stands below it."""
    reader = Reader(tmp_path)
    reader.follow("private.md", ".")
    assert reader.done == ["ctxkit -p my_tokenizer.py plugins list"]
    assert "characters" in reader.run(reader.done[0])


def test_the_first_command_of_the_index(tmp_path: Path) -> None:
    """A reader who pastes it has a project."""
    reader = Reader(tmp_path)
    reader.follow("index.md", ".")
    assert (tmp_path / "ctxkit-acme" / "pyproject.toml").is_file()


@pytest.mark.parametrize("kind", [Capabilities, EmbedderCapabilities, TokenizerCapabilities, LLMCapabilities])
def test_the_table_of_capabilities_is_whole(kind: type[CheckedValue]) -> None:
    """Every field has a row, in the order of the class, and no row is about a field that is gone."""
    text = (AUTHORS / "capabilities.md").read_text(encoding="utf-8")
    section = re.split(rf"^## {kind.__name__}\b.*$", text, flags=re.MULTILINE)[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \|", section, flags=re.MULTILINE)
    assert rows == list(kind.rules)


def test_a_deprecated_hook_warns_its_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    """The policy on versions rests on this: what pluggy's marker says reaches whoever loads the plugin."""

    def ctxkit_tokenizers() -> list[object]:
        return []

    marked = hookspecs.hookspec(warn_on_impl=DeprecationWarning("use another hook"))(ctxkit_tokenizers)
    monkeypatch.setattr(hooks, "hookspecs", SimpleNamespace(PROJECT="ctxkit", ctxkit_tokenizers=marked))

    @hookspecs.hookimpl
    def announced() -> list[object]:
        return []

    plugin = SimpleNamespace(__name__="acme", ctxkit_tokenizers=announced)
    with pytest.warns(DeprecationWarning, match="use another hook"):
        PluginRegistry().register(plugin)


def test_the_index_names_every_page() -> None:
    """A page that is added can be found."""
    named = set(re.findall(r"\]\((\w+\.md)\)", (AUTHORS / "index.md").read_text(encoding="utf-8")))
    assert named == {page.name for page in AUTHORS.glob("*.md")} - {"index.md"}
