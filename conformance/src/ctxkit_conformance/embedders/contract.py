"""The whole contract of an embedder as one class, for an author's own test file."""

from __future__ import annotations

from ctxkit_conformance.embedders.batches import BatchChecks
from ctxkit_conformance.embedders.identity import IdentityChecks
from ctxkit_conformance.embedders.meaning import MeaningChecks
from ctxkit_conformance.embedders.texts import TextChecks
from ctxkit_conformance.embedders.use import UseChecks
from ctxkit_conformance.embedders.vectors import VectorChecks


class EmbedderContract(VectorChecks, TextChecks, BatchChecks, IdentityChecks, MeaningChecks, UseChecks):
    """Everything that is checked. Derive a class whose name begins with Test and set `component` to an installed name.

    from ctxkit_conformance import EmbedderContract

    class TestAcme(EmbedderContract):
        component = "acme"

    Without a plugin: `embedder_class = AcmeEmbedder`, and `make_config(self)` that returns its configuration.
    """
