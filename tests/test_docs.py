"""The documentation runs: every Python block of the README and of docs/, in order, file by file."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted(ROOT.glob("plugins/*/README.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Pages whose commands build on one another from an empty folder with some notes.
WITH_COMMANDS = [ROOT / "docs" / "index.md"]
WITH_CODE = [page for page in PAGES if BLOCK.search(page.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("page", WITH_CODE, ids=[str(page.relative_to(ROOT)) for page in WITH_CODE])
def test_the_snippets_of_a_page_run(page: Path, tmp_path: Path) -> None:
    """A reader who pastes them one after the other gets no error and no warning."""
    script = tmp_path / "page.py"
    script.write_text("\n".join(BLOCK.findall(page.read_text(encoding="utf-8"))), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env=dict(os.environ),
    )
    assert done.returncode == 0, done.stderr


def test_there_are_pages_with_code() -> None:
    """A pattern that stops matching would leave nothing to run."""
    assert {"README.md", "memory.md", "backends.md", "reference.md", "private.md"} <= {page.name for page in WITH_CODE}


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    """A relative link names a file of the repository."""
    for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
        if not target.startswith("https://"):
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=[page.name for page in WITH_COMMANDS])
def test_the_commands_of_a_page_succeed(page: Path, tmp_path: Path) -> None:
    """A reader who types them one after the other, in a folder of their own, sees no error."""
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "kitchen.txt").write_text("The tiler comes on Thursday at eight.\n", encoding="utf-8")
    lines = [line for block in CONSOLE.findall(page.read_text(encoding="utf-8")) for line in block.splitlines()]
    assert lines
    for line in lines:
        program, *arguments = shlex.split(line.removeprefix("$ "))
        assert program == "ctxkit", line
        done = subprocess.run(
            [sys.executable, "-m", program, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, (line, done.stderr)


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
