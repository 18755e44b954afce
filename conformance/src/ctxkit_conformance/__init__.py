"""The checks that every vector store has to pass, as classes for an author's own pytest file.

from ctxkit_conformance import VectorStoreContract

class TestAcme(VectorStoreContract):
    store_class = AcmeStore

    def make_config(self, folder):
        return AcmeConfig(path=folder)
"""

from __future__ import annotations

import pytest

_SUBJECTS = ("base", "collections", "filters", "lifecycle", "persistence", "records", "scans", "search", "text")
# Before they are imported: a failed check then shows the values it compared.
pytest.register_assert_rewrite(*(f"{__name__}.{subject}" for subject in _SUBJECTS))

from ctxkit_conformance.contract import VectorStoreContract  # noqa: E402

__all__ = ["VectorStoreContract"]
