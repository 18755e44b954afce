"""The checks of the component that --ctxkit-backend names, where it is of this kind."""

from __future__ import annotations

from ctxkit_conformance.pytest_plugin import examined

_subject = examined()
if _subject is not None and _subject.kind == "vector_store":
    from ctxkit_conformance.stores.contract import VectorStoreContract

    class TestComponent(VectorStoreContract):
        """Everything that is checked, on the component under examination."""

        subject = _subject
