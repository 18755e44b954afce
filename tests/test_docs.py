"""The documentation runs: every block of the README, of docs/ and of the plugins' READMEs, page by page.

Python blocks of a page are one program. Commands are typed in a folder with some notes and a memory, and what is shown
below them has to come. What needs something that no test has says so ("# needs a key") and is read instead of run.
"""

from __future__ import annotations

import configparser
import io
import logging
import re
import runpy
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from cli_support import Cli, make_cli
from ctxkit_conformance.known import read_known_failures
from ctxkit_pgvector.config import PgvectorConfig
from ctxkit_pgvector.server import PostgresServer
from ctxkit_pgvector.store import PgvectorStore
from doc_blocks import FENCE, NAMES, PAGES, ROOT, Block, Command, blocks, shape
from doc_parsing import check

from ctxkit import Config, ContextManager
from ctxkit.errors import ConfigError
from ctxkit.interfaces import CollectionSpec
from ctxkit.records import Record

# Everything that keeps a command from being run, and how many commands it keeps. One more is one to be looked at.
NEEDS = {
    "a browser": 1,
    "a key": 3,
    "a network": 4,
    "a plugin named acme": 6,
    "a service": 1,
    "files of yours": 12,
    "minutes": 16,
    "the file of LoCoMo": 5,
    "torch": 1,
}
# Drawings, and words of other programs: in these there is nothing to run.
DRAWN = {
    "docs/architecture.md": 1,
    "docs/authors/index.md": 1,
    "docs/engine.md": 1,
    "docs/moving.md": 1,
    "docs/postgres.md": 1,
    "plugins/ctxkit-sentence-transformers/README.md": 1,
}
LANGUAGES = {"console", "ini", "python", "sql", "text", "toml"}
# tests/test_author_docs.py does what this page says, in an environment of its own.
FOLLOWED = ROOT / "docs" / "authors" / "tutorial.md"
# Plugins whose libraries need not be there.
OPTIONAL = {"ctxkit-hnswlib": pytest.mark.needs_hnswlib}
# What brings a reader to where commands run; nothing is installed here.
PREPARING = {".", "export", "pip"}


def pages_with(language: str) -> list[Any]:
    """Return the pages that have blocks of a language, under their names."""
    found = [page for page in PAGES if any(block.language == language for block in blocks(page))]
    return [
        pytest.param(page, id=str(page.relative_to(ROOT)), marks=OPTIONAL.get(page.parent.name, ()))
        for page in found
        if page != FOLLOWED
    ]


def in_pages(language: str) -> list[tuple[str, Block]]:
    """Return every block of a language with the name of its page."""
    pages = zip(NAMES, PAGES, strict=True)
    return [(name, block) for name, page in pages for block in blocks(page) if block.language == language]


@pytest.fixture(scope="module", name="scene")
def _scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as a reader has it: notes, some documents, questions, and a memory in use."""
    folder = tmp_path_factory.mktemp("scene")
    for name, text in {
        "notes/kitchen.txt": "The tiler comes on Thursday at eight.\n",
        "docs/embedder.txt": "If the embedder fails, the turn is stored and found by its words.\n",
        "README.md": "Memory for applications.\n",
        "questions.txt": "When does the tiler come?\n",
    }.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    with ContextManager(path=folder / "memory") as memory:
        memory.observe("When do we open?", "On Saturday, 9 May.")
        memory.ingest_file(folder / "notes" / "kitchen.txt")
    shutil.copytree(folder / "memory", folder / ".ctxkit")
    return folder


@pytest.fixture(name="cli")
def _cli(scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run command lines in a copy of the scene, on a terminal of 80 columns."""
    folder = tmp_path / "reader"
    shutil.copytree(scene, folder)
    cli = make_cli(folder, monkeypatch, capsys)
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    return cli


@pytest.mark.parametrize("page", pages_with("python"))
def test_the_snippets_of_a_page_run(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A reader who pastes them one after the other gets no error and no warning, and sees what is shown as printed."""
    program = tmp_path / "page.py"
    program.write_text("\n".join(block.text for block in written(page, tmp_path)), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    before, level = set(sys.modules), logging.getLogger("ctxkit").level
    try:
        runpy.run_path(str(program), run_name="__main__")
    finally:
        logging.getLogger("ctxkit").setLevel(level)
        for name in set(sys.modules) - before:
            if getattr(sys.modules[name], "__file__", None) == str(tmp_path / f"{name}.py"):
                del sys.modules[name]
    for block in blocks(page):
        if block.title == "printed":
            assert_shown(block.text.splitlines(), capsys.readouterr().out)


def written(page: Path, folder: Path) -> list[Block]:
    """Write the modules of a page into a folder; return its other Python, without what needs something."""
    rest = []
    for block in blocks(page):
        if block.language == "python":
            compile(block.text, block.title or page.name, "exec")
            if block.title:
                (folder / block.title).write_text(block.text, encoding="utf-8")
            elif not block.needs:
                rest.append(block)
    return rest


@pytest.mark.parametrize("page", pages_with("console"))
def test_the_commands_of_a_page_work(page: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """What can be run succeeds, or shows what the page shows; of the rest, every command and option is there."""
    for block in blocks(page):
        if block.title and block.language in {"python", "toml"}:
            Path(block.title).write_text(block.text, encoding="utf-8")
        for command in block.commands if block.language == "console" else ():
            if runs(command):
                run_command(command, cli, monkeypatch)
                continue
            for words in command.parts:
                check(words, page, monkeypatch)


def runs(command: Command) -> bool:
    """Say whether a command can be run here: it is ours, and needs nothing that is not here."""
    return not command.needs and {words[0] for words in command.parts} == {"ctxkit"}


def prepares(command: Command) -> bool:
    """Say whether a command makes an environment or puts something into one."""
    first = command.parts[0]
    return first[0] in PREPARING or Path(first[0]).name in PREPARING or first[1:3] in (["-m", "pip"], ["-m", "venv"])


def run_command(command: Command, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run one command in this process."""
    (words,) = command.parts
    typed = ""
    if "<" in words:
        typed = Path(words.pop()).read_text(encoding="utf-8")
        words.pop()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(typed.encode())))
    outcome = cli(*words[1:])
    if command.shown:
        assert_shown(command.shown, outcome.out + outcome.err)
    else:
        assert outcome.code == 0, (command.line, outcome.out, outcome.err)


def assert_shown(lines: list[str] | tuple[str, ...], printed: str) -> None:
    """Each line occurs in what was printed, in this order, with whatever numbers."""
    there = iter([shape(line) for line in printed.splitlines()])
    for line in lines:
        assert shape(line) in there, f"not printed, or not in this order: {line}\n{printed}"


def test_every_block_is_run_or_says_why_not() -> None:
    """A new one that no test runs, under whatever pretext, changes these numbers."""
    commands = [each for _, block in in_pages("console") for each in block.commands]
    followed = {command for block in blocks(FOLLOWED) if block.language == "console" for command in block.commands}
    left = [each for each in commands if not (each.needs or runs(each) or prepares(each) or each in followed)]
    assert left == []
    kept = [each.needs for each in commands] + [block.needs for _, block in in_pages("python")]
    assert Counter(filter(None, kept)) == NEEDS
    drawn = Counter(name for name, block in in_pages("text") if block.title != "printed")
    assert drawn == DRAWN


@pytest.mark.parametrize(
    "line",
    [
        "ctxkit bench vector-store faiss --nope",
        "ctxkit conformance ran vector_store:acme",
        "python scripts/none.py",
        "python scripts/soak.py --nope 1",
        "pip install ctxkit-none",
        "pip install 'ctxkit-static[none]'",
        "pip install -r none.txt",
        "pytest tests/none.py",
        "curl localhost",
    ],
)
def test_what_is_only_read_may_be_found_wrong(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program, a file, an option or a distribution that is not there does not pass for one that is."""
    (words,) = Command(line, "", ()).parts
    with pytest.raises((AssertionError, FileNotFoundError)):
        check(words, ROOT / "README.md", monkeypatch)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_no_code_escapes(page: Path) -> None:
    """Code stands between fences, in a form that the site shows as code, and in a language that is looked at here."""
    text = page.read_text(encoding="utf-8")
    found = blocks(page)
    assert {block.language for block in found} <= LANGUAGES
    assert text.count("```") == 2 * len(found)
    assert not re.search(r"^\n {4}\S", FENCE.sub("", text), re.MULTILINE), "code that is only indented"


@pytest.mark.parametrize(("page", "block"), in_pages("toml"))
def test_files_of_options_are_read(page: str, block: Block, tmp_path: Path) -> None:
    """A configuration that is shown can be used, or is refused where it says that it is wrong."""
    file = tmp_path / (block.title or "ctxkit.toml")
    file.write_text(block.text, encoding="utf-8")
    if "# wrong" in block.text:
        with pytest.raises(ConfigError):
            Config.load(file)
    elif file.name == "ctxkit.toml":
        assert Config.load(file) != Config(), page
    elif file.name == "known-failures.toml":
        assert read_known_failures(file, "vector_store:acme").entries
    else:
        assert (page, file.name) == (str(FOLLOWED.relative_to(ROOT)), "pyproject.toml")


@contextmanager
def stopping(server: PostgresServer) -> Iterator[PostgresServer]:
    """Yield the server, and end it."""
    try:
        yield server
    finally:
        server.stop()


def test_the_sql_of_the_page_on_postgresql_runs() -> None:
    """An administrator who pastes it has a database, and a role that can work with what is there."""
    making, granting = (block.text for _, block in in_pages("sql"))
    create, _, extend = making.partition("\\c app\n")
    with stopping(PostgresServer()) as server, closing(psycopg.connect(server.conninfo, autocommit=True)) as admin:
        admin.execute(create)
        conninfo = psycopg.conninfo.make_conninfo(server.conninfo, dbname="app")
        with closing(psycopg.connect(conninfo, autocommit=True)) as inside:
            inside.execute(extend)
            spec = CollectionSpec(name="notes", dimension=2)
            PgvectorStore.open(spec, PgvectorConfig(conninfo=conninfo, schema_name="memory")).close()
            inside.execute("CREATE ROLE app LOGIN")
            inside.execute(granting)
        given = psycopg.conninfo.make_conninfo(conninfo, user="app")
        with PgvectorStore.open(spec, PgvectorConfig(conninfo=given, schema_name="memory")) as store:
            store.upsert([Record(str(number), "by the application", [1, number]) for number in range(70)])
            assert store.count() == 70


def test_other_formats_are_well_formed() -> None:
    """What is called INI can be read as that."""
    for _, block in in_pages("ini"):
        parser = configparser.ConfigParser()
        parser.read_string(block.text)
        assert parser.sections()
