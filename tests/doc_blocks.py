"""The fenced blocks of the documentation, and the command lines in them."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted(ROOT.glob("plugins/*/README.md"))]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
FENCE = re.compile(r'^```(\w+)(?: title="([^"\n]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
_NEEDS = re.compile(r"# [^#\n]*\bneeds ([^#\n]+)$", re.MULTILINE)


@dataclass(frozen=True)
class Command:
    """What is typed after `$ `, what it needs that no test has ("" for nothing), and the lines shown below it."""

    line: str
    needs: str
    shown: tuple[str, ...]

    @property
    def parts(self) -> list[list[str]]:
        """The words of each command of the line, which `&&` separates; variables set in front of one are left out."""
        words = shlex.split(self.line, comments=True)
        groups = [list(group) for joined, group in groupby(words, "&&".__eq__) if not joined]
        return [group[next(at for at, word in enumerate(group) if not _assigns(word)) :] for group in groups]


@dataclass(frozen=True)
class Block:
    """One block: its language, the file that it is ("" for none), and its text."""

    language: str
    title: str
    text: str

    @property
    def needs(self) -> str:
        """What the block needs that no test has: its first line says so."""
        return needed(self.text.partition("\n")[0])

    @property
    def commands(self) -> list[Command]:
        """The commands of a console block."""
        entries: list[list[str]] = []
        for line in self.text.replace("\\\n", " ").splitlines():
            if line.startswith("$ "):
                entries.append([line.removeprefix("$ ")])
            else:
                entries[-1].append(line)
        return [Command(line, needed(line), tuple(shown)) for line, *shown in entries]


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page, in order."""
    return [Block(*found) for found in FENCE.findall(page.read_text(encoding="utf-8"))]


def needed(line: str) -> str:
    """Return what follows "needs" in the comment of a line, "" where there is none."""
    found = _NEEDS.search(line)
    return found[1] if found else ""


def shape(line: str) -> str:
    """Return a line with each number as 0 and each run of blanks as one: what does not change from run to run."""
    return re.sub(r"\d+(?:[.,]\d+)*", "0", " ".join(line.split()))


def _assigns(word: str) -> bool:
    return re.match(r"[A-Z_]+=", word) is not None
