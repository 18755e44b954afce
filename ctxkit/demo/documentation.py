"""The project's own documentation, as far as every installation has it."""

from __future__ import annotations

import importlib
import re
from importlib import metadata
from pathlib import Path

import ctxkit

_DISTRIBUTION = "ctxkit-core"
_MODULES = ("ctxkit", "ctxkit.errors", "ctxkit.filters.grammar", "ctxkit.hookspecs", "ctxkit.memory.entries")
_OUTPUT = re.compile(r"^```text\n.*?^```\n", re.MULTILINE | re.DOTALL)


def documents() -> dict[str, str]:
    """Map a name to its text: the README of the installed distribution, module docstrings, and a checkout's `docs`.

    Without what they show of a command's output: there the README answers the demo's own questions.
    """
    root = Path(ctxkit.__file__).resolve().parents[1]
    found = {"README.md": _readme()}
    for name in _MODULES:
        found[f"{name} (docstring)"] = importlib.import_module(name).__doc__ or ""
    for path in _checkout_pages(root):
        found[path.relative_to(root).as_posix()] = path.read_text(encoding="utf-8")
    told = {name: _OUTPUT.sub("", text) for name, text in found.items()}
    return {name: text for name, text in told.items() if text.strip()}


def _readme() -> str:
    try:
        described = metadata.metadata(_DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return ""
    # The JSON form has it under one name, whether it was written as a field or as the body.
    return str(described.json.get("description", ""))


def _checkout_pages(root: Path) -> list[Path]:
    """Return README and docs folder if the package lies in a checkout, as opposed to site-packages."""
    if not (root / "pyproject.toml").is_file():
        return []
    return [page for page in (root / "README.md", *sorted((root / "docs").glob("*.md"))) if page.is_file()]
