"""Stores that try to get through by other means than working; loaded with `ctxkit -p` by the tests of the command."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import pytest

from ctxkit.defaults.exact import ExactConfig, ExactStore
from ctxkit.errors import UnsupportedError
from ctxkit.hookspecs import hookimpl
from ctxkit.interfaces import BackendSpec, Capabilities
from ctxkit.records import Hits

LITTLE = Capabilities(metrics=frozenset({"cosine"}), exact=False, filter_operators=frozenset({"$eq"}))


class LittleConfig(ExactConfig):
    """Declares next to nothing."""

    def capabilities(self) -> Capabilities:
        """Return what the hostile stores claim."""
        return LITTLE


class Skips(ExactStore):
    """Skips whatever test asks it for something."""

    def upsert(self, *_arguments: Any, **_options: Any) -> None:
        """Leave the check."""
        pytest.skip("not today")


class Raises(ExactStore):
    """Says of everything that it is not supported."""

    def upsert(self, *_arguments: Any, **_options: Any) -> None:
        """Refuse."""
        raise UnsupportedError("no.", fix="none.", backend=self.backend)

    query = get = count = scan = delete = upsert  # type: ignore[assignment]


class Stub(ExactStore):
    """Accepts everything and knows nothing."""

    def upsert(self, *_arguments: Any, **_options: Any) -> None:
        """Forget."""

    def query(self, vectors: Any, *_arguments: Any, **_options: Any) -> list[Hits]:  # noqa: ARG002 - that is the point
        """Find nothing."""
        return [Hits()]


class Crashes(ExactStore):
    """Dies in the search, as a native library does."""

    def query(self, *_arguments: Any, **_options: Any) -> list[Hits]:
        """Die."""
        os.kill(os.getpid(), signal.SIGSEGV)
        return []


class Hangs(ExactStore):
    """Never returns from the search."""

    def query(self, *_arguments: Any, **_options: Any) -> list[Hits]:
        """Wait."""
        time.sleep(3600)
        return []


@hookimpl
def ctxkit_vector_stores() -> list[BackendSpec]:
    """Announce all of them."""
    return [
        BackendSpec(
            name=store.__name__.lower(),
            factory=f"hostile_backends:{store.__name__}",
            config=config,
            capabilities=LITTLE,
            summary=(store.__doc__ or "").strip(),
        )
        for store, config in (
            (Skips, "hostile_backends:LittleConfig"),
            (Raises, "hostile_backends:LittleConfig"),
            (Stub, "hostile_backends:LittleConfig"),
            (Crashes, "ctxkit.defaults.exact:ExactConfig"),
            (Hangs, "ctxkit.defaults.exact:ExactConfig"),
        )
    ]
