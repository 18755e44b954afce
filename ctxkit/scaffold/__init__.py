"""The beginning of a plugin: a whole distribution with one small component that works."""

from __future__ import annotations

from ctxkit.scaffold.naming import MAX_LENGTH, Names, check_name
from ctxkit.scaffold.project import KEYWORDS, Project, render
from ctxkit.scaffold.writing import write

__all__ = ["KEYWORDS", "MAX_LENGTH", "Names", "Project", "check_name", "render", "write"]
