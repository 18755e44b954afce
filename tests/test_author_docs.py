"""The pages for authors: their files are written, their commands run, their tables are whole."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from doc_blocks import ROOT, blocks

from ctxkit import hookspecs
from ctxkit.interfaces import Capabilities, EmbedderCapabilities, LLMCapabilities, TokenizerCapabilities
from ctxkit.interfaces.values import CheckedValue
from ctxkit.plugins import PluginRegistry, hooks

AUTHORS = ROOT / "docs" / "authors"


class Reader:
    """Somebody who does what a page says, in a folder, and installs without a network."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.site = folder / "site"
        self.done: list[str] = []

    def follow(self, page: str, project: str) -> None:
        """Write every file and run every command of the page, in order."""
        for block in blocks(AUTHORS / page):
            file = self.folder / project / block.title
            if block.language == "console":
                for command in block.commands:
                    if not command.needs:
                        self.run(command.line)
            elif block.title == "pyproject.toml":
                self.replace_line(file, block.text)
            elif block.title:
                file.write_text(block.text, encoding="utf-8")

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
