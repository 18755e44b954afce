"""The command line: the only place that prints. Importing it loads no store, no model and no plugin."""

from __future__ import annotations

from ctxkit.cli.app import main, run

__all__ = ["main", "run"]
