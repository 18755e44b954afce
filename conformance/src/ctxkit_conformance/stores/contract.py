"""All checks of a vector store in one class."""

from __future__ import annotations

from ctxkit_conformance.stores.announcement import AnnouncementChecks
from ctxkit_conformance.stores.asynchronous import AsyncChecks
from ctxkit_conformance.stores.bypass import BypassChecks
from ctxkit_conformance.stores.collections import CollectionChecks
from ctxkit_conformance.stores.crash import CrashChecks
from ctxkit_conformance.stores.damage import DamageChecks
from ctxkit_conformance.stores.disk import FullDiskChecks
from ctxkit_conformance.stores.filters import FilterChecks
from ctxkit_conformance.stores.lifecycle import LifecycleChecks
from ctxkit_conformance.stores.openers import OpenerChecks
from ctxkit_conformance.stores.persistence import PersistenceChecks
from ctxkit_conformance.stores.processes import ProcessChecks
from ctxkit_conformance.stores.properties import PropertyChecks
from ctxkit_conformance.stores.quality import QualityChecks
from ctxkit_conformance.stores.records import RecordChecks
from ctxkit_conformance.stores.resources import ResourceChecks
from ctxkit_conformance.stores.scans import ScanChecks
from ctxkit_conformance.stores.search import SearchChecks
from ctxkit_conformance.stores.stateful import StatefulChecks
from ctxkit_conformance.stores.text import TextChecks
from ctxkit_conformance.stores.threads import ThreadChecks
from ctxkit_conformance.stores.visibility import VisibilityChecks


class QuickVectorStoreContract(
    RecordChecks,
    BypassChecks,
    VisibilityChecks,
    ScanChecks,
    CollectionChecks,
    LifecycleChecks,
    SearchChecks,
    TextChecks,
    FilterChecks,
    PersistenceChecks,
):
    """The quick part of the contract, for a test file that runs with every change; the whole is what counts.

    Records, search, filters and reopening, through both faces: no killed processes, damaged files, crowds or sequences.
    """


class VectorStoreContract(
    QuickVectorStoreContract,
    AnnouncementChecks,
    PropertyChecks,
    QualityChecks,
    OpenerChecks,
    CrashChecks,
    DamageChecks,
    FullDiskChecks,
    ThreadChecks,
    ProcessChecks,
    AsyncChecks,
    ResourceChecks,
    StatefulChecks,
):
    """Everything that is checked of a vector store.

    Derive a class whose name pytest collects, and say what is under test: `component`, or `store_class` together with
    `make_config`. The names of the classes here do not begin with "Test", so nothing is collected until you do.
    """
