"""How the checks open a store, and how they treat what it does not declare."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from ctxkit.errors import UnsupportedError
from ctxkit.filters import Where, check_operators
from ctxkit.interfaces import (
    AsyncVectorStore,
    BackendConfig,
    Capabilities,
    CollectionSpec,
    Harness,
    VectorStore,
    asynchronous,
)
from ctxkit.plugins import PluginRegistry
from ctxkit.records import Hits, Metric, Record, RecordBatch
from ctxkit_conformance.component import ComponentChecks
from ctxkit_conformance.harness import AuthorsHarness, harness_for
from ctxkit_conformance.stores.bridge import Face, bridged, loop_of, parametrize_face
from ctxkit_conformance.stores.settling import settle
from ctxkit_conformance.subject import find_subject

METRICS: list[Metric] = ["cosine", "dot", "l2"]
DIMENSION = 3
_HARNESSES = pytest.StashKey[dict[type, Harness]]()


class StoreChecks(ComponentChecks):
    """Base of every group of checks of a vector store.

    Say what is under test in one of two ways: `component`, the name under which an installed plugin announces the
    store; or `store_class` together with `make_config`. `capabilities` is needed only for a class whose configuration
    does not answer `capabilities()`: then it is what the backend's BackendSpec says. `async_class` is a class with an
    asynchronous driver of its own, if there is one. The tolerances of scores are the contract's; a store that is more
    exact can set its own.

    A group of checks whose `faces` say so runs a second time through the asynchronous face: `async_class`, or else the
    one that every store has.
    """

    faces: ClassVar[tuple[Face, ...]] = ("sync",)
    component: ClassVar[str] = ""
    store_class: ClassVar[type[VectorStore]]
    async_class: ClassVar[type[AsyncVectorStore] | None] = None
    capabilities: ClassVar[Capabilities | None] = None
    relative_tolerance: ClassVar[float] = 1e-4
    absolute_tolerance: ClassVar[float] = 1e-6

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "component" in vars(cls):
            cls.subject = find_subject(PluginRegistry.discover(), f"vector_store:{cls.component}")
        if "subject" in vars(cls) and cls.subject is not None:
            cls.store_class = cls.subject.factory
            cls.async_class = cls.subject.async_factory
            declared = cls.subject.capabilities()
            cls.capabilities = declared if isinstance(declared, Capabilities) else None

    def make_config(self, folder: Path) -> BackendConfig:
        """Return a configuration whose collections live in `folder`, which does not exist yet, and nowhere else.

        A backend that keeps nothing in folders derives a namespace of its own from the path.
        """
        raise NotImplementedError(f"{type(self).__name__} has to set `component`, or define make_config(self, folder).")

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run the checks of a group through each of its faces."""
        parametrize_face(metafunc)

    @pytest.fixture
    def face(self) -> Face:
        """The face that a check goes through."""
        return "sync"

    @pytest.fixture(autouse=True)
    def _through_the_face(self, face: Face, request: pytest.FixtureRequest) -> None:
        if face == "async":
            # For this check alone: pytest makes an instance for each.
            vars(self)["store_class"] = bridged(self.async_face, loop_of(request.config))

    @property
    def async_face(self) -> type[AsyncVectorStore]:
        """The class of the asynchronous face."""
        return self.async_class or asynchronous(self.store_class)

    @pytest.fixture
    def harness(self, request: pytest.FixtureRequest) -> Harness:
        """What may be done to the store beyond its interface; one for all checks of a class, closed at the end."""
        made = request.config.stash.setdefault(_HARNESSES, {})
        if type(self) not in made:
            made[type(self)] = self._make_harness()
            request.config.add_cleanup(made[type(self)].close)
        return made[type(self)]

    def _make_harness(self) -> Harness:
        if self.subject is None:
            return AuthorsHarness(self.make_config)
        own, options = self.subject.harness_class(), self.subject.all_options()
        config_class = self.subject.config_class
        return harness_for(config_class, options) if own is None else own(config_class, options)

    @pytest.fixture
    def config(self, harness: Harness, tmp_path: Path) -> BackendConfig:
        """A configuration for one check, in a folder with a space and a letter beyond ASCII in its name."""
        return harness.fresh(tmp_path / "päth with space")

    @pytest.fixture
    def declared(self, config: BackendConfig, request: pytest.FixtureRequest) -> Capabilities:
        """What the store declares under this configuration."""
        own = config.capabilities()
        found = own if isinstance(own, Capabilities) else self.capabilities
        if isinstance(found, Capabilities):
            request.node.user_properties.append(("ctxkit_capabilities", found.model_dump(mode="json")))
            return found
        raise TypeError(
            f"{type(config).__name__}.capabilities() returned {found!r}; set `capabilities` on {type(self).__name__}"
            " to those of the backend's BackendSpec."
        )

    @pytest.fixture
    def metric(self, declared: Capabilities) -> Metric:
        """The metric of checks that hold under any: cosine where it is declared."""
        return next(metric for metric in METRICS if metric in declared.metrics)

    @pytest.fixture
    def store(self, config: BackendConfig, metric: Metric) -> Iterator[VectorStore]:
        """A new, empty collection of three dimensions named "c"."""
        with self.open(config, metric) as opened:
            yield opened

    @pytest.fixture
    def bare(self, declared: Capabilities) -> list[float] | None:
        """The vector of records whose vector plays no part: None where the store can hold such records."""
        return None if declared.optional_vectors else [1.0, 0.0, 0.0]

    def open(
        self, config: BackendConfig, metric: Metric, dimension: int = DIMENSION, name: str = "c", **more: Any
    ) -> VectorStore:
        """Open a collection; `more` are further parts of its CollectionSpec."""
        return self.open_spec(CollectionSpec(name=name, dimension=dimension, metric=metric, **more), config)

    def open_spec(self, spec: CollectionSpec, config: BackendConfig) -> VectorStore:
        """Open a collection through the face under test, and let the journal watch it."""
        options = "".join(f", {key}={value!r}" for key, value in spec.model_dump(exclude_defaults=True).items())
        self._journal.note(f"store = {self.store_class.__name__}.open(CollectionSpec({options.lstrip(', ')}), config)")
        opened = self.store_class.open(spec, config)
        settle(opened, self._journal.note)
        self._journal.watch(opened, "store")
        return opened

    def refuses_metric(self, config: BackendConfig, declared: Capabilities, metric: Metric) -> bool:
        """Whether the metric is not declared; then opening a collection with it must raise UnsupportedError."""
        if metric in declared.metrics:
            return False
        must_refuse(lambda: self.open(config, metric))
        return True

    def near(self, expected: Any) -> Any:
        """Return what a score must equal, within the tolerance."""
        return pytest.approx(expected, rel=self.relative_tolerance, abs=self.absolute_tolerance)


def must_refuse(call: Callable[[], object]) -> None:
    """Check that an operation that is not declared raises UnsupportedError and says what to do."""
    with pytest.raises(UnsupportedError) as caught:
        call()
    assert caught.value.fix, "an UnsupportedError has to name a fix"


def undeclared(store: VectorStore, where: Where) -> bool:
    """Whether the filter has an operator that the store does not declare."""
    try:
        check_operators(where, store.capabilities.filter_operators, backend=store.backend)
    except UnsupportedError:
        return True
    return False


def refuses_filter(store: VectorStore, where: Where) -> bool:
    """Whether the filter has an operator that is not declared; then every use must raise UnsupportedError."""
    if not undeclared(store, where):
        return False
    must_refuse(lambda: store.count(where))
    must_refuse(lambda: list(store.scan(where)))
    must_refuse(lambda: store.query([1.0] * store.spec.dimension, 1, where=where))
    must_refuse(lambda: store.delete(where=where))
    return True


def found_by_words(store: VectorStore, text: str, k: int = 5) -> list[str]:
    """Return the ids that a text search finds; where none is declared, check the refusal and return none."""
    if store.capabilities.text_search is None:
        must_refuse(lambda: store.text_query(text, k))
        return []
    return store.text_query(text, k).ids


def fill(store: VectorStore, records: Sequence[Record] | RecordBatch) -> None:
    """Write many records, in batches that the store declares to take."""
    limit = store.capabilities.max_batch
    if limit is None:
        store.upsert(records)
        return
    rows = list(records)
    for start in range(0, len(rows), limit):
        store.upsert(rows[start : start + limit])


def ids_of(records: Iterator[Record]) -> list[str]:
    """Return the ids of a scan whose order is not promised, sorted."""
    return sorted(record.id for record in records)


def check_order(hits: Hits) -> None:
    """Check that hits come best first, equal scores by id in code-point order, and none twice."""
    found = [(hit.score, hit.id) for hit in hits]
    in_order = sorted(found, key=lambda hit: (-hit[0], hit[1]))
    assert found == in_order, "hits have to come best first, equal scores by id in code-point order"
    assert len(set(hits.ids)) == len(hits), "a record was found twice"


def check_nearest(store: VectorStore, hits: Hits, expected: Sequence[str]) -> None:
    """Check the hits of a query: as many as expected, in order, and the very ones where the store is exact."""
    check_order(hits)
    assert not hits.truncated
    if store.capabilities.exact:
        assert hits.ids == list(expected)
    else:
        assert len(hits) == len(expected)
