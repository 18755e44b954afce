"""The scaffold: names, files, and what is written or refused."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import pytest
from cli_support import Cli, assert_error, make_cli

from ctxkit.cli.scaffold_command import KindOption
from ctxkit.errors import ConfigError
from ctxkit.plugins import KINDS
from ctxkit.plugins.installing import pip_install
from ctxkit.scaffold import KEYWORDS, MAX_LENGTH, Names, Project, check_name, render, write
from ctxkit.scaffold.project import core_range


@pytest.fixture(name="cli")
def _cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run command lines in an empty folder."""
    return make_cli(tmp_path, monkeypatch, capsys)


class Files(Mapping[str, str]):
    """Files of a project whose second one cannot be had: `then` is called in its place."""

    def __init__(self, then: Callable[[], str]) -> None:
        self._then = then

    def __getitem__(self, path: str) -> str:
        return "text" if path == "first" else self._then()

    def __iter__(self) -> Iterator[str]:
        return iter(("first", "second"))

    def __len__(self) -> int:
        return 2


@pytest.mark.parametrize("name", ["a", "acme", "acme-db", "x2", "q-1-z", "a" * MAX_LENGTH])
def test_names_that_do(name: str) -> None:
    """A good name gives a distribution, a package, and classes that Python accepts."""
    names = check_name(name)
    assert names.distribution == f"ctxkit-{name}"
    assert names.package.isidentifier()
    assert names.prefix.isidentifier()
    assert names.prefix[0].isupper()


def test_the_forms_of_a_name() -> None:
    """A hyphen becomes an underscore in modules and a capital in classes."""
    names = Names("acme-db2")
    assert (names.package, names.identifier, names.prefix) == ("ctxkit_acme_db2", "acme_db2", "AcmeDb2")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "acme-db"),
        ("Acme", "acme."),
        ("acme_db", "acme-db."),
        ("acme.db", "acme-db."),
        ("acme--db", "acme-db."),
        ("acme-", "acme."),
        ("-acme", "acme."),
        ("7up", "up."),
        ("42", "acme-db."),
        ("my store", "my-store."),
        ("äcme", "acme."),
        ("日本", "acme-db."),
        ("../acme", "acme."),
        ("acme\n", "acme."),
        ("a" * (MAX_LENGTH + 1), f"{MAX_LENGTH} characters"),
        ("a" * 5000, "aaa...' is no name"),
        ("ctxkit-acme", "leave it out: acme."),
        ("class", "keyword"),
        ("match", "keyword"),
        ("json", "standard library"),
        ("queue", "standard library"),
        ("test", "pytest"),
        ("faiss", "ctxkit-faiss"),
        ("hnswlib", "ctxkit-hnswlib"),
        ("exact", "ctxkit-core"),
        ("core", "ctxkit-core"),
        ("conformance", "ctxkit-conformance"),
        ("testament", "pytest"),
        ("vector", "hide its base"),
        ("backend", "hide its base"),
    ],
)
def test_names_that_do_not(name: str, words: str) -> None:
    """Each is refused with a reason and a fix, and a suggestion would be accepted."""
    with pytest.raises(ConfigError, match="Fix:") as caught:
        check_name(name)
    assert words in str(caught.value)
    assert len(str(caught.value)) < 300
    suggestion = str(caught.value.fix).removesuffix(".").rsplit(" ", 1)[-1]
    if suggestion != "most":
        assert check_name(suggestion).name == suggestion


@pytest.mark.parametrize("kind", KINDS)
def test_a_project_is_whole(kind: str) -> None:
    """Every kind has the files of a distribution, in the new name only."""
    project = render("zebra-db", kind)  # type: ignore[arg-type]  # the kinds are strings here
    assert set(project.files) >= {
        ".github/workflows/ci.yml",
        ".gitignore",
        "README.md",
        "pyproject.toml",
        "src/ctxkit_zebra_db/__init__.py",
        "src/ctxkit_zebra_db/config.py",
        "src/ctxkit_zebra_db/py.typed",
        "tests/test_zebra_db_plugin.py",
    }
    assert list(project.files) == sorted(project.files)
    for path, text in project.files.items():
        assert "acme" not in (path + text).lower(), path
        assert not re.search("@[A-Z]+@", text), path
        assert text == "" or text.endswith("\n")
    assert "ctxkit plugins check ." in project.files[".github/workflows/ci.yml"]
    assert "## Work on it" in project.files["README.md"]


def test_a_name_that_holds_the_placeholder() -> None:
    """A name with the templates' own name in it is put in once."""
    files = render("acme-acme", "tokenizer").files
    assert 'name = "ctxkit-acme-acme"' in files["pyproject.toml"]
    assert "class AcmeAcmeTokenizer(Tokenizer)" in files["src/ctxkit_acme_acme/tokenizer.py"]


def test_the_versions_of_the_core_that_go_with_it() -> None:
    """From the minor version that made it to the next major one."""
    assert core_range("0.1.0") == ">=0.1,<1"
    assert core_range("2.13.4rc1") == ">=2.13,<3"


def test_every_kind_has_a_word() -> None:
    """A kind that is added to the interfaces needs a template, and a choice on the command line."""
    assert set(KEYWORDS) == set(KINDS)
    assert {option.value for option in KindOption} == set(KEYWORDS.values())


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    """A folder, a file or a broken link of that name stays as it is."""
    project = render("acme", "llm")
    (tmp_path / "a" / "ctxkit-acme").mkdir(parents=True)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "ctxkit-acme").write_text("mine")
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "ctxkit-acme").symlink_to(tmp_path / "nowhere")
    for folder in "abc":
        with pytest.raises(ConfigError, match="exists already"):
            write(project, tmp_path / folder)
        assert [path.name for path in (tmp_path / folder).iterdir()] == ["ctxkit-acme"]
    assert (tmp_path / "b" / "ctxkit-acme").read_text() == "mine"
    assert list((tmp_path / "a" / "ctxkit-acme").iterdir()) == []


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    """A file system that refuses, half way through, leaves no folder of any name."""
    project = Project(Names("acme"), "llm", MappingProxyType({"a": "file", "a/b": "below a file"}))
    with pytest.raises(ConfigError, match="cannot be written"):
        write(project, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_interruption_leaves_nothing(tmp_path: Path) -> None:
    """Ctrl-C half way through leaves no folder, and is not swallowed."""

    def interrupt() -> str:
        assert len(list(tmp_path.iterdir())) == 1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(Project(Names("acme"), "llm", Files(interrupt)), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_rival_that_is_quicker_wins(tmp_path: Path) -> None:
    """What another process put there meanwhile is not touched."""

    def rival() -> str:
        (tmp_path / "ctxkit-acme").mkdir()
        (tmp_path / "ctxkit-acme" / "mine").write_text("mine")
        return "text"

    with pytest.raises(ConfigError, match="cannot be written"):
        write(Project(Names("acme"), "llm", Files(rival)), tmp_path)
    assert [path.name for path in tmp_path.rglob("*")] == ["ctxkit-acme", "mine"]


def test_the_folder_has_to_be_there(tmp_path: Path) -> None:
    """A mistyped folder is not made, and a file is no folder."""
    (tmp_path / "file").write_text("")
    for place, says in (
        ("nowhere", "there is no folder"),
        ("file", "is a file, not a folder"),
        ("a" * 5000, "cannot be written"),
    ):
        with pytest.raises(ConfigError, match=says):
            write(render("acme", "llm"), tmp_path / place)
    assert not (tmp_path / "nowhere").exists()


def test_the_command_says_what_it_wrote_and_what_comes_next(cli: Cli, tmp_path: Path) -> None:
    """Every file is named, and three commands that lead on."""
    outcome = cli("plugins", "new", "acme", "--kind", "vector-store")
    assert outcome.code == 0, outcome
    written = {
        path.relative_to(tmp_path / "ctxkit-acme").as_posix() for path in tmp_path.rglob("*") if not path.is_dir()
    }
    assert {f"  {path}" for path in written} <= set(outcome.out.splitlines())
    following = outcome.out.split("Next:\n")[1].splitlines()
    assert following == [
        f"  python -m {pip_install('ctxkit-conformance')} -e './ctxkit-acme[dev]'",
        "  python -m pytest ./ctxkit-acme",
        "  ctxkit plugins check ./ctxkit-acme",
    ]
    assert_error(cli("plugins", "new", "acme", "--kind", "vector-store"), "exists already")


def test_the_command_speaks_json(cli: Cli, tmp_path: Path) -> None:
    """A program learns the folder, the files and the next commands."""
    (tmp_path / "my projects").mkdir()
    described = cli("plugins", "new", "acme", "--kind", "llm", "--into", str(tmp_path / "my projects"), "--json").json
    folder = Path(described["folder"])
    assert folder == tmp_path / "my projects" / "ctxkit-acme"
    assert (described["name"], described["kind"], described["distribution"]) == ("acme", "llm", "ctxkit-acme")
    assert all((folder / name).is_file() for name in described["files"])
    assert described["next"][1] == f"python -m pytest '{folder}'"
    assert json.dumps(described)


def test_the_command_refuses(cli: Cli, tmp_path: Path) -> None:
    """A bad name and a missing folder are two lines; an unknown kind is a wrong command line."""
    assert_error(cli("plugins", "new", "Acme", "--kind", "llm"), "'Acme'", "acme.")
    assert_error(cli("plugins", "new", "acme", "--kind", "llm", "--into", "nowhere"), "nowhere")
    assert cli("plugins", "new", "acme", "--kind", "database").code == 2
    assert cli("plugins", "new", "acme").code == 2
    assert list(tmp_path.iterdir()) == []
