"""How the checks make an embedder, and what they owe its vectors in comparison."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from ctxkit.errors import EmbedderError
from ctxkit.interfaces import BackendConfig, Embedder, EmbedderCapabilities
from ctxkit.plugins import PluginRegistry
from ctxkit.records import FloatVector, FloatVectors
from ctxkit_conformance.component import ComponentChecks, must_raise
from ctxkit_conformance.embedders import stand_in
from ctxkit_conformance.journal import Journal, brief
from ctxkit_conformance.marks import not_applicable
from ctxkit_conformance.subject import find_subject

_MADE = pytest.StashKey[dict[type, Embedder]]()


class EmbedderChecks(ComponentChecks):
    """Base of every group of checks of an embedder.

    Say what is under test in one of two ways: `component`, the name under which an installed plugin announces the
    embedder; or `embedder_class` together with `make_config`. `capabilities` is needed only for a class whose
    configuration does not answer `capabilities()`. `tolerance` is how far two vectors that should be the same, and a
    length that should be 1, may be off, relative to the length; a model in half precision needs a larger one.

    An embedder that asks a provider has a Harness with `wire_format`, and is pointed at the suite's own server.
    """

    tier = "E"
    component: ClassVar[str] = ""
    embedder_class: ClassVar[type[Any]]
    capabilities: ClassVar[EmbedderCapabilities | None] = None
    tolerance: ClassVar[float] = 1e-4

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "component" in vars(cls):
            cls.subject = find_subject(PluginRegistry.discover(), f"embedder:{cls.component}")
        if "subject" in vars(cls) and cls.subject is not None:
            cls.embedder_class = cls.subject.factory
            declared = cls.subject.capabilities()
            cls.capabilities = declared if isinstance(declared, EmbedderCapabilities) else None

    def make_config(self) -> BackendConfig:
        """Return the configuration under which the embedder is examined."""
        if self.subject is None:
            raise NotImplementedError(f"{type(self).__name__} has to set `component`, or define make_config(self).")
        wire = stand_in.wire_format(self.subject)
        if wire is None:
            return self.subject.config()
        # The user's own address and key never: no check asks a real provider.
        options = {**self.subject.all_options(), **stand_in.options_for(wire)}
        return self.subject.config_class.model_validate(options)

    @pytest.fixture
    def config(self, monkeypatch: pytest.MonkeyPatch) -> BackendConfig:
        """The configuration."""
        if stand_in.wire_format(self.subject) is not None:
            for name in ("NO_PROXY", "no_proxy"):  # a proxy would not find the server of this machine
                monkeypatch.setenv(name, "127.0.0.1")
        return self.make_config()

    def meaning_is_known(self) -> None:
        """Leave a check of meaning where the suite's own server has to make vectors that have none."""
        if stand_in.wire_format(self.subject) is not None and not stand_in.has_meaning():
            not_applicable("no embedder is installed whose vectors the provider's stand-in could use")

    @pytest.fixture
    def declared(self, config: BackendConfig, request: pytest.FixtureRequest) -> EmbedderCapabilities:
        """What the embedder declares under this configuration."""
        own = config.capabilities()
        found = own if isinstance(own, EmbedderCapabilities) else self.capabilities
        if isinstance(found, EmbedderCapabilities):
            request.node.user_properties.append(("ctxkit_capabilities", found.model_dump(mode="json")))
            return found
        raise TypeError(
            f"{type(config).__name__}.capabilities() returned {own!r}; set `capabilities` on {type(self).__name__}"
            " to those of the embedder's BackendSpec."
        )

    @pytest.fixture
    def embedder(self, request: pytest.FixtureRequest, config: BackendConfig) -> Embedder:
        """The embedder; one for all checks of a class, because models are slow to load, closed at the end."""
        made = request.config.stash.setdefault(_MADE, {})
        if type(self) not in made:
            made[type(self)] = self.make(config)
            request.config.add_cleanup(made[type(self)].close)
        return Watched(made[type(self)], self._journal)

    def make(self, config: BackendConfig) -> Embedder:
        """Make an embedder of its own for a check that closes it or is the first to use it."""
        made = self.embedder_class(config)
        assert isinstance(made, Embedder), f"{self.embedder_class.__name__} is not a subclass of Embedder"
        return made

    def check_same(self, found: NDArray[Any], expected: NDArray[Any], sentence: str) -> None:
        """Check that two arrays of vectors are the same within the tolerance; the message begins with `sentence`."""
        assert found.shape == expected.shape, f"{sentence}: shape {found.shape}, expected {expected.shape}"
        rows = distances(found, expected)
        worst = int(np.argmax(rows)) if rows.size else 0
        assert not rows.size or rows[worst] <= self.tolerance, (
            f"{sentence}: vector {worst} is off by {rows[worst]:.2g} of its length, {self.tolerance:g} is tolerated"
        )

    def check_unit_length(self, vectors: NDArray[Any], texts: Sequence[str]) -> None:
        """Check that each vector has length 1."""
        lengths = np.linalg.norm(np.atleast_2d(vectors).astype(np.float64), axis=1)
        for text, length in zip(texts, lengths, strict=True):
            assert abs(length - 1) <= self.tolerance, f"the vector of {brief(text)} has length {length:.6g}, not 1"


class Watched(Embedder):
    """An embedder whose calls are noted in the journal of the check."""

    def __init__(self, embedder: Embedder, journal: Journal) -> None:
        self._embedder = embedder
        self._journal = journal

    @property
    def dimension(self) -> int:
        """As the embedder."""
        return self._embedder.dimension

    @property
    def normalized(self) -> bool:
        """As the embedder."""
        return self._embedder.normalized

    @property
    def max_tokens(self) -> int | None:
        """As the embedder."""
        return self._embedder.max_tokens

    @property
    def fingerprint(self) -> str:
        """As the embedder."""
        return self._embedder.fingerprint

    def embed_documents(self, texts: Sequence[str]) -> FloatVectors:
        """As the embedder, and note it."""
        self._journal.note(f"embedder.embed_documents({brief(texts)})")
        return self._embedder.embed_documents(texts)

    def embed_query(self, text: str) -> FloatVector:
        """As the embedder, and note it."""
        self._journal.note(f"embedder.embed_query({brief(text)})")
        return self._embedder.embed_query(text)


def distances(found: NDArray[Any], expected: NDArray[Any]) -> NDArray[np.float64]:
    """Return how far each pair of rows is apart, relative to the longer one; infinite where one is not finite."""
    left, right = (np.atleast_2d(array).astype(np.float64) for array in (found, expected))
    longer = np.maximum(np.linalg.norm(left, axis=1), np.linalg.norm(right, axis=1))
    apart = np.linalg.norm(left - right, axis=1) / np.where(longer > 0, longer, 1.0)
    return np.asarray(np.where(np.isfinite(apart), apart, np.inf), np.float64)


def cosines(left: NDArray[Any], right: NDArray[Any]) -> NDArray[np.float64]:
    """Return the cosine of each pair of rows."""
    left, right = left.astype(np.float64), right.astype(np.float64)
    lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    return np.asarray((left * right).sum(axis=1) / np.where(lengths > 0, lengths, 1.0), np.float64)


def check_array(found: object, shape: tuple[int, ...]) -> FloatVectors:
    """Check that something is a finite float32 array of this shape, and return it."""
    assert isinstance(found, np.ndarray), f"a {type(found).__name__} was returned, not a numpy array"
    assert found.dtype == np.float32, f"the vectors are {found.dtype}, not float32"
    assert found.shape == shape, f"the shape is {found.shape}, expected {shape}"
    rows = np.isfinite(found.reshape(-1, shape[-1])).all(axis=1)
    assert rows.all(), f"vector {int(np.argmin(rows))} holds NaN or infinity"
    return found


def must_be_refused(call: Callable[[], object], what: str) -> None:
    """Check that a call raises EmbedderError that says what to do."""
    must_raise(EmbedderError, call, what)
