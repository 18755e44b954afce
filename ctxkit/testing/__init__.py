"""For the tests of plugin authors: a registry of one's own, which leaves the process as it was.

    from ctxkit import ContextManager
    from ctxkit.testing import temporary_registry

    def test_my_embedder(tmp_path):
        with temporary_registry() as registry:
            registry.add("embedder", "acme", AcmeEmbedder, AcmeConfig)
            assert registry.create_embedder("acme", {"dimension": 64}).dimension == 64

The same as a pytest fixture, `ctxkit_registry`, is in `ctxkit.testing.fixtures`; nothing loads it unasked.
"""

from __future__ import annotations

from ctxkit.testing.registry import TemporaryRegistry, temporary_registry

__all__ = ["TemporaryRegistry", "temporary_registry"]
