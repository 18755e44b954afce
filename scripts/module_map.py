"""Draw the floors of the house: one box for each package of the core, with what it is for.

    python scripts/module_map.py > docs/images/modules.svg

The order is that of the contract in pyproject.toml, which `lint-imports` enforces; the texts are the packages' own
first lines. So the picture cannot say anything else than the code does, and a test compares the two.
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CORE = ROOT / "ctxkit"
GROUPS = (
    ("speaks with people", ("testing", "cli", "chat", "doctor", "inspector", "moving", "scaffold", "demo")),
    ("remembers", ("async_manager", "manager", "context", "memory", "ingest", "retrieval")),
    ("what it is made of", ("llm", "tokens", "cache", "defaults", "local")),
    ("finds and names", ("plugins", "config", "hookspecs", "providers")),
    ("what everybody agrees on", ("interfaces", "filters", "records", "errors")),
)
COLUMNS, BOX_WIDTH, BOX_HEIGHT, GAP, MARGIN = 4, 236, 92, 12, 24
CHARACTERS = 32
STYLE = """
  text { font-family: system-ui, sans-serif; fill: #1c2330 }
  .name { font: 600 15px ui-monospace, monospace }
  .line { font-size: 12px }
  .group { font-size: 13px; font-weight: 600; fill: #39445a }
  rect { fill: #f4f6fb; stroke: #b9c3d8 }
  .ground { fill: #ffffff; stroke: none }
  path { stroke: #6b7690; fill: none }
  @media (prefers-color-scheme: dark) {
    text { fill: #e3e8f2 }
    .group { fill: #aebbd2 }
    rect { fill: #1a2130; stroke: #3b4761 }
    .ground { fill: #0d1017 }
  }
"""


def main() -> None:
    """Print the picture."""
    print(drawing(), end="")


def drawing() -> str:
    """Return the picture as SVG."""
    shapes: list[str] = []
    y = MARGIN
    width = 2 * MARGIN + COLUMNS * BOX_WIDTH + (COLUMNS - 1) * GAP
    floors = _floors()
    for number, (title, names) in enumerate(GROUPS):
        if number:
            shapes.append(f'<path d="M {width / 2:g} {y - 14} v 22 m -6 -7 l 6 7 l 6 -7"/>')
            y += 22
        shapes.append(f'<text class="group" x="{MARGIN}" y="{y + 4}">{escape(title)}</text>')
        y += 16
        for place, name in enumerate(name for name in floors if name in names):
            column, row = place % COLUMNS, place // COLUMNS
            shapes += _box(name, MARGIN + column * (BOX_WIDTH + GAP), y + row * (BOX_HEIGHT + GAP))
        y += -(-len(names) // COLUMNS) * (BOX_HEIGHT + GAP) + 10
    height = y + 6
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-label="The floors">'
    ground = f'<rect class="ground" width="{width}" height="{height}"/>'
    return "\n".join([head, f"<style>{STYLE}</style>", ground, *shapes, "</svg>", ""])


def _floors() -> list[str]:
    """Return the names of the floors from the top, as pyproject.toml has them."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (layers,) = re.findall(r"^layers = \[\n(.*?)^\]", text, re.MULTILINE | re.DOTALL)
    names = re.findall(r'"\(?(\w+)\)?"', layers)
    return [name for name in names if name != "__main__"]


def _box(name: str, x: int, y: int) -> Iterator[str]:
    """Yield the shapes of one package."""
    yield f'<rect x="{x}" y="{y}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="8"/>'
    yield f'<text class="name" x="{x + 12}" y="{y + 22}">{escape(name)}</text>'
    purpose = textwrap.shorten(_purpose(name), 3 * CHARACTERS - 8, placeholder=" ...")
    for number, line in enumerate(textwrap.wrap(purpose, CHARACTERS)[:3]):
        yield f'<text class="line" x="{x + 12}" y="{y + 43 + 16 * number}">{escape(line)}</text>'


def _purpose(name: str) -> str:
    """Return the first sentence of a package's docstring."""
    module = CORE / f"{name}.py"
    file = module if module.exists() else CORE / name / "__init__.py"
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return text.partition("\n\n")[0].replace("\n", " ").replace("`", "")


if __name__ == "__main__":
    main()
