"""The pytest fixtures of `ctxkit.testing`.

A test suite asks for them in its conftest.py, with `pytest_plugins = ["ctxkit.testing.fixtures"]`.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ctxkit.testing.registry import TemporaryRegistry, temporary_registry


@pytest.fixture
def ctxkit_registry() -> Iterator[TemporaryRegistry]:
    """A registry with the core's own components, for one test.

    def test_mine(ctxkit_registry):
        ctxkit_registry.register(my_plugin_module)
        assert ctxkit_registry.is_available("vector_store", "mine")
    """
    with temporary_registry() as registry:
        yield registry
