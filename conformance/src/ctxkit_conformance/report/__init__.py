"""What a run found, in the forms that people and programs read.

from ctxkit_conformance.report import print_report, write_html, write_json

Importing a form costs only that form: JSON needs neither the page nor rich.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ctxkit_conformance.report.badge import as_badge, badge_name, write_badge
    from ctxkit_conformance.report.html import as_html, write_html
    from ctxkit_conformance.report.json_file import as_json, read_json, write_json
    from ctxkit_conformance.report.markdown import as_markdown, write_markdown
    from ctxkit_conformance.report.terminal import print_report

__all__ = [
    "as_badge",
    "as_html",
    "as_json",
    "as_markdown",
    "badge_name",
    "print_report",
    "read_json",
    "write_badge",
    "write_html",
    "write_json",
    "write_markdown",
]

_HOME_OF = {
    "as_badge": "badge",
    "as_html": "html",
    "as_json": "json_file",
    "as_markdown": "markdown",
    "badge_name": "badge",
    "print_report": "terminal",
    "read_json": "json_file",
    "write_badge": "badge",
    "write_html": "html",
    "write_json": "json_file",
    "write_markdown": "markdown",
}


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value
