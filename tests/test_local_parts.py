"""The parts of the engine that other stores may use: named where an author looks, and all that plugins use."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from ctxkit.local import parts

ROOT = Path(__file__).parents[1]
PUBLIC = {"parts", "harness", "local_capabilities", "AnnIndex", "EngineStore", "LocalConfig", "Similarities", "Slots"}


def test_every_part_is_documented() -> None:
    """The table for authors has each name, so that nobody has to read the source to know what will stay."""
    page = (ROOT / "docs" / "authors" / "reference.md").read_text(encoding="utf-8")
    assert [name for name in parts.__all__ if f"`{name}`" not in page] == []


@pytest.mark.parametrize("plugin", ["chroma", "faiss", "hnswlib"])
def test_plugins_use_nothing_else(plugin: str) -> None:
    """What a plugin imports of the engine has a public home, so that the engine can change behind it."""
    imported: set[str] = set()
    for file in (ROOT / "plugins" / f"ctxkit-{plugin}" / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith("ctxkit.local."):
                module = str(node.module).removeprefix("ctxkit.local").lstrip(".")
                imported |= {module} if module else {name.name for name in node.names}
    assert imported
    assert imported <= PUBLIC
