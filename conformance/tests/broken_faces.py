"""The suite applied to the mutants of `faces`; run by the tests of its checks, not collected by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ctxkit_conformance.mutants.catalogue import COMPANIONS
from ctxkit_conformance.mutants.faces import FACES
from ctxkit_conformance.stores.announcement import AnnouncementChecks
from ctxkit_conformance.stores.asynchronous import AsyncChecks
from ctxkit_conformance.stores.lifecycle import LifecycleChecks
from ctxkit_conformance.stores.resources import ResourceChecks
from ctxkit_conformance.stores.search import SearchChecks

from ctxkit.defaults.exact import ExactConfig, ExactStore
from ctxkit.interfaces import BackendConfig


class Faces(AsyncChecks, AnnouncementChecks, ResourceChecks, SearchChecks, LifecycleChecks):
    """The groups that examine what stands around a store."""

    patience = 5.0

    def make_config(self, folder: Path) -> BackendConfig:  # noqa: ARG002 - in memory, which takes less time
        """Return a configuration of the mutant's own class."""
        model: type[ExactConfig] = getattr(self.store_class, "config_class", ExactConfig)
        return model()


class TestExactStore(Faces):
    """The store that every mutant derives from."""

    store_class = ExactStore


def _suite(mutant: type[Any]) -> type[Faces]:
    parts = {mine: getattr(mutant, its, None) for mine, its in COMPANIONS.items()}
    parts |= {"store_class": mutant, "__module__": __name__}
    return type(f"Test{mutant.__name__}", (Faces,), parts)


globals().update({f"Test{mutant.__name__}": _suite(mutant) for mutant in FACES})
