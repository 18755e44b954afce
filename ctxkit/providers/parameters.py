"""Parameters that a vendor's library or a model no longer takes: left out, with a note."""

from __future__ import annotations

import inspect
import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final

_log = logging.getLogger(__name__)
# What a request cannot do without.
_NEEDED: Final = frozenset({"model", "messages", "input", "stream", "instructions", "system"})


class Parameters:
    """Knows what one adapter leaves out of its requests, and says so once for each parameter.

    `renamed` are parameters that a provider knows under two names, of which a model takes only one.
    """

    def __init__(self, title: str, renamed: Mapping[str, str] | None = None) -> None:
        self._title = title
        self._renamed = dict(renamed or {})
        self._not_taken: dict[str, str] = {}
        self._noted: set[str] = set()
        self._lock = threading.Lock()
        self._known: dict[Any, frozenset[str] | None] = {}

    def fitted(self, create: Callable[..., Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments that the library's function takes and that no answer has complained of."""
        known = self._known_to(create)
        fitting: dict[str, Any] = {}
        for name, value in arguments.items():
            if name in self._not_taken:
                other = self._not_taken[name]
                if other and other not in arguments and other not in self._not_taken:
                    fitting[other] = value
            elif known is not None and name not in known:
                why = f"its library does not take it; extra_body={{{name!r}: ...}} would send it all the same"
                self._note(name, why)
            else:
                fitting[name] = value
        return fitting

    def leave_out(self, name: str, sent: Mapping[str, Any]) -> bool:
        """Do without a parameter that the provider did not take; False where it was not sent, or is needed."""
        if name not in sent or name in _NEEDED:
            return False
        with self._lock:
            known_before = name in self._not_taken
            self._not_taken[name] = self._renamed.get(name, "")
        if not known_before:
            other = self._renamed.get(name)
            self._note(name, f"the model does not take it{f'; {other} is sent instead' if other else ''}")
        return True

    def _known_to(self, create: Callable[..., Any]) -> frozenset[str] | None:
        """Return the names that a function takes, None where it takes any."""
        function = getattr(create, "__func__", create)
        if function not in self._known:
            signature = inspect.signature(create)
            any_name = any(each.kind is each.VAR_KEYWORD for each in signature.parameters.values())
            self._known[function] = None if any_name else frozenset(signature.parameters)
        return self._known[function]

    def _note(self, name: str, why: str) -> None:
        with self._lock:
            level = logging.DEBUG if name in self._noted else logging.WARNING
            self._noted.add(name)
        _log.log(level, "%s: %s is left out: %s", self._title, name, why)
