"""The documentation says what the code says: tables, links, navigation, the map of the modules."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal, get_origin

import pytest
from cli_support import make_cli
from doc_blocks import FENCE, NAMES, PAGES, ROOT

from ctxkit import Config
from ctxkit.config.layers import SECTIONS, read_layers
from ctxkit.config.options import all_options


def test_the_first_place_that_gives_a_value_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All places at once, then one after the other taken away, from the first row of the table to the last."""
    cli = make_cli(tmp_path, monkeypatch, capsys)

    def value(*options: str) -> Any:
        return cli("config", "show", "--json", *options).json["options"]["memory.recent_k"]["value"]

    files = {"ctxkit.toml": "[memory]\nrecent_k = 13\n", "pyproject.toml": "[tool.ctxkit.memory]\nrecent_k = 14\n"}
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.setenv("CTXKIT_MEMORY__RECENT_K", "12")
    assert value("--set", "memory.recent_k=11") == 11
    assert value() == 12
    monkeypatch.delenv("CTXKIT_MEMORY__RECENT_K")
    for name, expected in (("ctxkit.toml", 13), ("pyproject.toml", 14)):
        assert value() == expected
        (tmp_path / name).unlink()
    assert value() == Config().memory.recent_k == 5


def test_every_option_has_its_type_and_its_variable() -> None:
    """The reference has those of the models, no more and no less, and each variable sets its option."""
    page = (ROOT / "docs" / "reference" / "config.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z_.]+)` \| (.+) \| `(\w+)` \|$", page, re.MULTILINE)
    options = {option.name: option for option in all_options()}
    assert [name for name, _, _ in rows] == list(options)
    given = {variable: options[name].default.strip('"') for name, _, variable in rows}
    layers = read_layers("/dev/null", environ=given)
    assert layers.config() == Config()
    for name, kind, variable in rows:
        key = options[name].key
        assert str(layers.origin(key)) == variable
        assert kind == kind_of((SECTIONS[key[0]] if len(key) > 1 else Config).model_fields[key[-1]].annotation)


def kind_of(annotation: Any) -> str:
    """Say what values an option has."""
    plain = {bool: "true or false", int: "whole number", float: "number", str: "text"}
    listed = {Literal: "one of some texts", tuple: "list"}
    return plain[annotation] if annotation in plain else listed[get_origin(annotation)]


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    """A relative link names a file of the repository, and a heading of it where it names one."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)]+))?\)", text):
        if not target.startswith("https://"):
            place = page.parent / target if target else page
            assert place.exists(), target
            assert not anchor or anchor in anchors(place), f"{target}#{anchor}"


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub and the site make them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\s-]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def test_the_table_of_backends_is_what_its_command_prints(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The page has the rows that the command makes, in their order, and a column for each of its stores."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    script = importlib.import_module("compare_backends")
    assert script.main(["exact", "--rows", "200", "--rounds", "1"]) == 0
    printed = [line.split(" | ") for line in capsys.readouterr().out.splitlines()]
    page = (ROOT / "docs" / "backends.md").read_text(encoding="utf-8")
    shown = [line.split(" | ") for line in page.partition("| | `exact`")[2].partition("\n\n")[0].splitlines()]
    assert [row[0] for row in shown[2:]] == [row[0] for row in printed[2:]]
    assert {len(row) for row in shown[2:]} == {1 + len(script.STORES)}


def test_every_page_is_in_the_navigation_of_the_site() -> None:
    """A page that the site does not lead to is not found."""
    docs = ROOT / "docs"
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    pages = {str(page.relative_to(docs)) for page in docs.rglob("*.md")}
    assert set(re.findall(r"[\w/.-]+\.md$", navigation, re.MULTILINE)) == pages


def test_every_plugin_has_its_guide() -> None:
    """The site shows each plugin's README under a name of its own."""
    guides = {guide.read_text(encoding="utf-8") for guide in (ROOT / "docs" / "guides").glob("*.md")}
    assert guides == {f'--8<-- "{page.relative_to(ROOT)}"\n' for page in ROOT.glob("plugins/*/README.md")}


def test_the_map_of_the_modules_is_what_the_code_says() -> None:
    """Each floor is drawn once, with its own words; `python scripts/module_map.py` draws it anew."""
    script = ROOT / "scripts" / "module_map.py"
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True, encoding="utf-8")
    assert done.stdout == (ROOT / "docs" / "images" / "modules.svg").read_text(encoding="utf-8")
    floors = {path.stem for path in (ROOT / "ctxkit").iterdir() if not path.name.startswith("_") and path.stem != "py"}
    assert set(re.findall(r'class="name"[^>]*>(\w+)<', done.stdout)) == floors - {"utils"}
