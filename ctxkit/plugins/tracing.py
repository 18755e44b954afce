"""Writes down what was called while a plugin was loaded."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from ctxkit.plugins.component import HookCall
from ctxkit.plugins.failures import one_line


class Tracer:
    """The steps of loading one plugin, in order."""

    def __init__(self, plugin: str) -> None:
        self.plugin = plugin
        self.calls: list[HookCall] = []

    @contextmanager
    def step(self, hook: str) -> Iterator[list[str]]:
        """Time one step; the list that it yields takes the names of what came back."""
        started = time.perf_counter()
        returned: list[str] = []
        error: str | None = None
        try:
            yield returned
        except BaseException as exc:
            error = one_line(exc)
            raise
        finally:
            elapsed = (time.perf_counter() - started) * 1000
            self.calls.append(HookCall(self.plugin, hook, tuple(returned), elapsed, error, started))
