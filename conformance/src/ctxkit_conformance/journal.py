"""What a check did to the component, to be shown when the check fails."""

from __future__ import annotations

import functools
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

_KEPT: Final = 12  # calls that are shown
_SHORT: Final = 160  # characters of one argument
_METHODS: Final = (
    "upsert", "get", "delete", "count", "query", "text_query", "scan", "flush", "optimize", "stats", "health", "close",
)  # fmt: skip


class Journal:
    """The latest calls from outside, as lines of Python; those that a method makes on itself are left out."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=_KEPT)
        self._depth = threading.local()
        self._number = 0

    def note(self, line: str) -> None:
        """Add a line."""
        self._number += 1
        self._lines.append(line)

    def watch(self, component: Any, name: str) -> None:
        """Record the calls of a component's methods from now on; one that takes no attributes goes unrecorded."""
        for method in _METHODS:
            original = getattr(component, method, None)
            if original is None:
                continue
            try:
                setattr(component, method, self._recorded(original, f"{name}.{method}"))
            except AttributeError:
                return

    @property
    def text(self) -> str:
        """The lines, and how many came before them."""
        earlier = self._number - len(self._lines)
        lead = [f"# {earlier} earlier calls"] if earlier else []
        return "\n".join([*lead, *self._lines])

    def _recorded(self, original: Callable[..., Any], name: str) -> Callable[..., Any]:
        @functools.wraps(original)
        def call(*arguments: Any, **options: Any) -> Any:
            if getattr(self._depth, "inside", False):
                return original(*arguments, **options)
            self._depth.inside = True
            given = [brief(each) for each in arguments] + [f"{key}={brief(value)}" for key, value in options.items()]
            line = f"{name}({', '.join(given)})"
            try:
                result = original(*arguments, **options)
            except BaseException as exc:
                self.note(f"{line}  # {type(exc).__name__}")
                raise
            finally:
                self._depth.inside = False
            self.note(line if result is None or isinstance(result, Iterator) else f"{line}  # {brief(result)}")
            return result

        return call


def brief(value: Any) -> str:
    """Return a value as one would type it, shortened; arrays as lists."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Sequence) and not isinstance(value, str | bytes) and len(value) > _KEPT:
        try:
            head = ", ".join(brief(each) for each in value[:2])
        except TypeError:  # it is no list after all
            head = ""
        return f"[{head}, ... {len(value)} in all]"
    text = repr(value)
    return text if len(text) <= _SHORT else f"{text[:_SHORT]}..."
