"""An extension of griffe for the site: methods that are made of those of another class are shown as what they are.

`AsyncContextManager` makes its methods of `ContextManager`'s: `build = _reading(ContextManager.build)`. To whoever
reads the source without running it each is an attribute without a docstring; here it becomes the coroutine function
that it is, with the arguments, the result and the docstring of the method that it is made of.
"""

from __future__ import annotations

from typing import Any

import griffe

_MAKERS = {"_reading", "_writing"}


class AwaitableMethods(griffe.Extension):
    """Puts a coroutine function in the place of each attribute that is made of a method."""

    def on_package(self, *, pkg: griffe.Module, **_more: Any) -> None:
        """Look at the one class that has such attributes, once the whole package is read."""
        if pkg.name == "ctxkit":
            own, blocking = pkg["async_manager.AsyncContextManager"], pkg["manager.ContextManager"]
            for name, member in list(own.members.items()):
                source = _made_of(own, member)
                if source is not None:
                    own.set_member(name, _awaitable(name, member, blocking[source]))


def _made_of(own: griffe.Class, member: Any) -> str | None:
    """Return the name of the method that an attribute is made of, None for any other member."""
    value = getattr(member, "value", None)
    if isinstance(value, griffe.ExprName) and value.name in own.members:
        return _made_of(own, own.members[value.name]) or value.name
    if isinstance(value, griffe.ExprCall) and str(value.function) in _MAKERS:
        return str(value.arguments[0]).rpartition(".")[2]
    return None


def _awaitable(name: str, place: Any, method: griffe.Function) -> griffe.Function:
    """Return the method as a coroutine function of that name."""
    made = griffe.Function(
        name,
        parameters=method.parameters,
        returns=method.returns,
        docstring=method.docstring,
        lineno=place.lineno,
        endlineno=place.endlineno,
    )
    made.labels.add("async")
    made.overloads = method.overloads
    return made
