"""A store that another process has open: called from here, working there."""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

from typing_extensions import Self

from ctxkit.errors import CtxkitError, StoreError
from ctxkit.interfaces import BackendConfig, CollectionSpec, VectorStore
from ctxkit_conformance.children import PATIENCE, Child

_LATER: Final = [f"{__package__}.{name}" for name in ("workloads", "scarcity")]  # whose functions it will be given
_HERE: Final = Path(__file__).parent


class UntypedError(AssertionError):
    """What a store raised is no error of ctxkit.errors."""


@dataclass(frozen=True)
class Failure:
    """An error on its way between processes: as it is where it is ours, described where it is not."""

    error: CtxkitError | None
    description: str

    def as_error(self) -> Exception:
        """Return what to raise for it."""
        return UntypedError(self.description) if self.error is None else self.error


def failure(error: Exception) -> Failure:
    """Return an error in a form that any process can be sent."""
    if isinstance(error, AssertionError) and _is_ours(error):
        return Failure(None, str(error))
    if not isinstance(error, CtxkitError):
        where = "".join(traceback.format_exception(type(error), error, error.__traceback__)[-3:])
        return Failure(None, f"{type(error).__name__}, which is no error of ctxkit.errors, was raised:\n{where}")
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    except Exception:  # noqa: BLE001 - a subclass with arguments of its own
        error = StoreError(f"{type(error).__name__}: {error}", fix=error.fix)
    return Failure(error, str(error))


def _is_ours(error: AssertionError) -> bool:
    """Whether the suite itself has found something, other than a store that raises an AssertionError."""
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and Path(frames[-1].filename).is_relative_to(_HERE)


class Remote:
    """The store class in a process of its own, with at most one open handle; a context manager.

    `call` names a method of the handle, a class method of the store, or gives a function, which is called with the
    handle first. What it raises there is raised here; what is no error of ctxkit.errors as UntypedError.
    """

    def __init__(self, store_class: type[VectorStore], patience: float = PATIENCE) -> None:
        self._patience = patience
        self.child = Child(serve, store_class, modules=_LATER)

    @classmethod
    def opened(
        cls, store_class: type[VectorStore], spec: CollectionSpec, config: BackendConfig, patience: float = PATIENCE
    ) -> Self:
        """Return one that has opened the collection."""
        made = cls(store_class, patience)
        try:
            made.call("open", spec, config)
        except BaseException:
            made.__exit__()
            raise
        return made

    def call(self, what: str | Callable[..., object], *arguments: object, **options: object) -> Any:
        """Call something there and return its result, an iterator's as a list."""
        self.begin(what, *arguments, **options)
        return self.result()

    def begin(self, what: str | Callable[..., object], *arguments: object, **options: object) -> None:
        """Have a call begin there; `result` has to be asked for before the next one."""
        self.child.send((what, arguments, options))

    @property
    def answered(self) -> bool:
        """Whether the result of what was begun is there, or will never be."""
        return bool(self.child.connection.poll(0)) or not self.child.alive

    def result(self) -> Any:
        """Return the result of what was begun."""
        result = self.child.receive(self._patience)
        if isinstance(result, Failure):
            raise result.as_error()
        return result

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_details: object) -> None:
        self.child.__exit__()


def serve(connection: Connection, store_class: type[VectorStore]) -> None:
    """Answer calls, in the child, until the parent hangs up."""
    handle: VectorStore | None = None
    while True:
        what, arguments, options = connection.recv()
        try:
            if what == "open":
                handle, result = store_class.open(*arguments, **options), None
            elif isinstance(what, str):
                target = store_class if what.endswith(("_collection", "_collections")) else handle
                result = getattr(target, what)(*arguments, **options)
            else:
                result = what(handle, *arguments, **options)
            answer = list(result) if isinstance(result, Iterator) else result
        except Exception as error:  # noqa: BLE001 - the parent judges it
            answer = failure(error)
        connection.send(answer)
