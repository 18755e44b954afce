"""The project's own documentation, as far as every installation has it."""

from __future__ import annotations

import importlib
import re
from importlib import metadata

_DISTRIBUTION = "ctxkit-core"
_MODULES = ("ctxkit", "ctxkit.errors", "ctxkit.filters.grammar", "ctxkit.hookspecs", "ctxkit.memory.entries")
_FENCED = re.compile(r"^```.*?^```\n", re.MULTILINE | re.DOTALL)


def documents() -> dict[str, str]:
    """Map a name to its text: the README of the installed distribution, and docstrings of modules.

    The same pages wherever it runs, so that the same questions are answered; without commands and what they print,
    because there the README asks and answers the demo's own questions.
    """
    found = {"README.md": _readme()}
    for name in _MODULES:
        found[f"{name} (docstring)"] = importlib.import_module(name).__doc__ or ""
    told = {name: _FENCED.sub("", text) for name, text in found.items()}
    return {name: text for name, text in told.items() if text.strip()}


def _readme() -> str:
    try:
        described = metadata.metadata(_DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return ""
    # The JSON form has it under one name, whether it was written as a field or as the body.
    return str(described.json.get("description", ""))
