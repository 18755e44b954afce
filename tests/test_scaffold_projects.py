"""What the scaffold writes, used as its author would: built, installed, tested, found by name."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ctxkit.interfaces import Kind
from ctxkit.plugins import KINDS
from ctxkit.scaffold import MAX_LENGTH, render, write

FEWEST_TESTS: dict[Kind, int] = {"vector_store": 150, "embedder": 8, "tokenizer": 30, "llm": 10}
# Programs that use the component of each kind by its name.
PROGRAMS: dict[Kind, str] = {
    "vector_store": """
from ctxkit import Config, ContextManager, Record, VectorStoreConfig, get_registry
from ctxkit.interfaces import CollectionSpec

with get_registry().open_store("acme", CollectionSpec(dimension=2)) as store:
    store.upsert([Record("a", "north", [0, 1]), Record("b", "east", [1, 0])])
    assert store.query([0.1, 1], 1)[0].ids == ["a"]
config = Config(vector_store=VectorStoreConfig(provider="acme"))
with ContextManager(config) as memory:
    memory.observe("The boat is moored at berth 14.", "Noted.")
    assert "berth 14" in memory.build_context("Where is the boat?")
    assert memory.query_memory("Where is the boat?", k=1)
    assert memory.get_stats()["fallbacks"] == []
""",
    "embedder": """
from ctxkit import Config, ContextManager, EmbedderConfig, VectorStoreConfig, get_registry

assert get_registry().create_embedder("acme").embed_query("boat").shape == (256,)
config = Config(embedder=EmbedderConfig(provider="acme"), vector_store=VectorStoreConfig(provider="exact"))
with ContextManager(config) as memory:
    memory.observe("The boat is moored at berth 14.", "Noted.")
    assert memory.query_memory("Where is the boat?", k=1)
    assert memory.get_stats()["pending_embeddings"] == 0
""",
    "tokenizer": """
from ctxkit import Config, ContextManager, TokenizerConfig, get_registry

assert get_registry().create_tokenizer("acme").count("boat") == 4
with ContextManager(Config(tokenizer=TokenizerConfig(provider="acme"))) as memory:
    memory.observe("The boat is moored at berth 14.", "Noted.")
    assert "berth 14" in memory.build_context("Where is the boat?")
""",
    "llm": """
from ctxkit import get_registry

assert get_registry().create_llm("acme").generate_sync("boat") == "You said: boat"
""",
}


def run(*command: str, cwd: Path, path: Path | None = None) -> str:
    """Run a module of this interpreter in a folder, with `path` importable, and return what it prints."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "CTXKIT_"))}
    environment["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    environment["PYTHONPATH"] = str(path or "")
    done = subprocess.run(
        [sys.executable, *command], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    """Each kind of plugin."""
    chosen: Kind = request.param
    return chosen


@pytest.fixture(scope="module")
def project(kind: Kind, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project of a kind, named acme."""
    return write(render("acme", kind), tmp_path_factory.mktemp(kind))


@pytest.fixture(scope="module")
def site(project: Path) -> Path:
    """A folder of installed distributions with the project's wheel in it, built without a network."""
    target = project.parent / "site"
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target", str(target)]
    run("-m", "pip", "install", *options, str(project), cwd=project.parent)
    return target


def test_its_own_tests_pass(kind: Kind, project: Path, site: Path) -> None:
    """All of them, none skipped, with warnings as errors, on the installed package."""
    printed = run("-W", "error", "-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=project, path=site)
    passed, word, *_ = printed.strip().splitlines()[-1].split()
    assert word == "passed", printed
    assert int(passed) >= FEWEST_TESTS[kind]


def test_it_is_listed_as_ready(kind: Kind, project: Path, site: Path) -> None:
    """`ctxkit plugins list` shows it loaded, with nothing missing."""
    listed = json.loads(run("-m", "ctxkit", "plugins", "list", "--json", cwd=project.parent, path=site))
    (plugin,) = [each for each in listed["plugins"] if each["distribution"] == "ctxkit-acme"]
    assert (plugin["status"], plugin["components"]) == ("loaded", [f"{kind}:acme"])
    (component,) = [each for each in listed["components"] if each["name"] == "acme"]
    assert (component["kind"], component["missing"]) == (kind, [])


def test_it_is_used_by_name(kind: Kind, project: Path, site: Path) -> None:
    """A program that knows only the name makes the component and uses it, without a warning."""
    run("-W", "error", "-c", PROGRAMS[kind], cwd=project.parent, path=site)


def test_it_passes_the_check(project: Path) -> None:
    """`ctxkit plugins check` finds nothing wrong with the folder as it was written."""
    run("-m", "ctxkit", "plugins", "check", str(project), cwd=project.parent)


def test_its_announcement_imports_nothing_heavy(project: Path, site: Path) -> None:
    """The entry point's module needs neither numpy nor pydantic, so that it costs a listing nothing."""
    program = "import sys, ctxkit_acme; print([each for each in ('numpy', 'pydantic') if each in sys.modules])"
    assert run("-c", program, cwd=project.parent, path=site).strip() == "[]"


def test_the_wheel_has_its_types(site: Path) -> None:
    """`py.typed` is installed with the package."""
    assert (site / "ctxkit_acme" / "py.typed").is_file()


def test_the_snippets_of_its_readme_run(project: Path, site: Path) -> None:
    """What a user pastes from the README works."""
    text = (project / "README.md").read_text(encoding="utf-8")
    (snippet,) = [part.split("```")[0] for part in text.split("```python\n")[1:]]
    assert run("-W", "error", "-c", snippet, cwd=project.parent, path=site).strip()


@pytest.mark.needs_linters
@pytest.mark.parametrize("name", ["a", "acme", "zebra-db", "-".join(["abcdefghij"] * 3)[:MAX_LENGTH]])
def test_it_is_clean_under_any_name(kind: Kind, name: str, tmp_path: Path) -> None:
    """ruff finds nothing to say and nothing to reformat, however long the name is."""
    folder = write(render(name, kind), tmp_path)
    run("-m", "ruff", "check", "--no-cache", ".", cwd=folder)
    run("-m", "ruff", "format", "--no-cache", "--check", ".", cwd=folder)


@pytest.mark.needs_linters
def test_its_types_are_right(project: Path) -> None:
    """mypy finds nothing under the project's own strict settings."""
    run("-m", "mypy", "--cache-dir", os.devnull, cwd=project)
