"""All checks of a vector store in one class."""

from __future__ import annotations

from ctxkit_conformance.stores.bypass import BypassChecks
from ctxkit_conformance.stores.collections import CollectionChecks
from ctxkit_conformance.stores.filters import FilterChecks
from ctxkit_conformance.stores.lifecycle import LifecycleChecks
from ctxkit_conformance.stores.persistence import PersistenceChecks
from ctxkit_conformance.stores.records import RecordChecks
from ctxkit_conformance.stores.scans import ScanChecks
from ctxkit_conformance.stores.search import SearchChecks
from ctxkit_conformance.stores.text import TextChecks


class VectorStoreContract(
    RecordChecks,
    BypassChecks,
    SearchChecks,
    FilterChecks,
    TextChecks,
    ScanChecks,
    CollectionChecks,
    LifecycleChecks,
    PersistenceChecks,
):
    """Everything that this version checks of a vector store.

    Derive a class whose name pytest collects, set `store_class`, and define `make_config`. The names of the classes
    here do not begin with "Test", so nothing is collected until you do.
    """
