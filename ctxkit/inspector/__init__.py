"""The context inspector: one built context with everything that explains it, as data and as a page."""

from __future__ import annotations

from ctxkit.inspector.document import FORMAT, VERSION, Inspection
from ctxkit.inspector.inspecting import Inspector, newest_question
from ctxkit.inspector.page import as_html, write_html
from ctxkit.inspector.serving import InspectorServer

__all__ = [
    "FORMAT",
    "VERSION",
    "Inspection",
    "Inspector",
    "InspectorServer",
    "as_html",
    "newest_question",
    "write_html",
]
