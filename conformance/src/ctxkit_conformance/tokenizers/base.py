"""How the checks make a tokenizer, and how they treat what it does not declare."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal, TypeAlias

import pytest

from ctxkit.errors import TokenizerError, UnsupportedError
from ctxkit.interfaces import BackendConfig, Tokenizer, TokenizerCapabilities
from ctxkit.plugins import PluginRegistry
from ctxkit_conformance.component import ComponentChecks, must_raise
from ctxkit_conformance.journal import Journal, brief
from ctxkit_conformance.subject import find_subject

Side: TypeAlias = Literal["left", "right"]
SIDES: list[Side] = ["left", "right"]
_MADE = pytest.StashKey[dict[type, Tokenizer]]()


class TokenizerChecks(ComponentChecks):
    """Base of every group of checks of a tokenizer.

    Say what is under test in one of two ways: `component`, the name under which an installed plugin announces the
    tokenizer; or `tokenizer_class` together with `make_config`. `capabilities` is needed only for a class whose
    configuration does not answer `capabilities()`.
    """

    tier = "K"
    component: ClassVar[str] = ""
    tokenizer_class: ClassVar[type[Any]]
    capabilities: ClassVar[TokenizerCapabilities | None] = None

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "component" in vars(cls):
            cls.subject = find_subject(PluginRegistry.discover(), f"tokenizer:{cls.component}")
        if "subject" in vars(cls) and cls.subject is not None:
            cls.tokenizer_class = cls.subject.factory
            declared = cls.subject.capabilities()
            cls.capabilities = declared if isinstance(declared, TokenizerCapabilities) else None

    def make_config(self) -> BackendConfig:
        """Return the configuration under which the tokenizer is examined."""
        if self.subject is None:
            raise NotImplementedError(f"{type(self).__name__} has to set `component`, or define make_config(self).")
        return self.subject.config()

    @pytest.fixture
    def config(self) -> BackendConfig:
        """The configuration."""
        return self.make_config()

    @pytest.fixture
    def declared(self, config: BackendConfig, request: pytest.FixtureRequest) -> TokenizerCapabilities:
        """What the tokenizer declares under this configuration."""
        own = config.capabilities()
        found = own if isinstance(own, TokenizerCapabilities) else self.capabilities
        if isinstance(found, TokenizerCapabilities):
            request.node.user_properties.append(("ctxkit_capabilities", found.model_dump(mode="json")))
            return found
        raise TypeError(
            f"{type(config).__name__}.capabilities() returned {own!r}; set `capabilities` on {type(self).__name__}"
            " to those of the tokenizer's BackendSpec."
        )

    @pytest.fixture
    def tokenizer(self, request: pytest.FixtureRequest, config: BackendConfig) -> Tokenizer:
        """The tokenizer; one for all checks of a class, because vocabularies are slow to load."""
        made = request.config.stash.setdefault(_MADE, {})
        if type(self) not in made:
            made[type(self)] = self.make(config)
        return Watched(made[type(self)], self._journal)

    def make(self, config: BackendConfig) -> Tokenizer:
        """Make a tokenizer of its own for a check that is the first to use it, or might spoil it."""
        made = self.tokenizer_class(config)
        assert isinstance(made, Tokenizer), f"{self.tokenizer_class.__name__} is not a subclass of Tokenizer"
        return made


class Watched(Tokenizer):
    """A tokenizer whose calls are noted in the journal of the check."""

    def __init__(self, tokenizer: Tokenizer, journal: Journal) -> None:
        self._tokenizer = tokenizer
        self._journal = journal

    @property
    def name(self) -> str:
        """As the tokenizer."""
        return self._tokenizer.name

    @property
    def exact(self) -> bool:
        """As the tokenizer."""
        return self._tokenizer.exact

    @property
    def concatenation_bound(self) -> int:
        """As the tokenizer."""
        return self._tokenizer.concatenation_bound

    def count(self, text: str) -> int:
        """As the tokenizer, and note it."""
        self._journal.note(f"tokenizer.count({brief(text)})")
        return self._tokenizer.count(text)

    def encode(self, text: str) -> list[int]:
        """As the tokenizer, and note it."""
        self._journal.note(f"tokenizer.encode({brief(text)})")
        return self._tokenizer.encode(text)

    def decode(self, ids: Sequence[int]) -> str:
        """As the tokenizer, and note it."""
        self._journal.note(f"tokenizer.decode({brief(ids)})")
        return self._tokenizer.decode(ids)

    def truncate(self, text: str, max_tokens: int, side: Side = "right") -> str:
        """As the tokenizer, and note it."""
        self._journal.note(f"tokenizer.truncate({brief(text)}, {max_tokens}, {side!r})")
        return self._tokenizer.truncate(text, max_tokens, side)


def refuses_encoding(tokenizer: Tokenizer, declared: TokenizerCapabilities) -> bool:
    """Whether encoding is not declared; then encode and decode must raise UnsupportedError."""
    if declared.encodes:
        return False
    must_raise(UnsupportedError, lambda: tokenizer.encode("a boat"), "encode, which is not declared,")
    must_raise(UnsupportedError, lambda: tokenizer.decode([1]), "decode, which is not declared,")
    return True


def must_be_refused(call: Callable[[], object], what: str) -> None:
    """Check that a call raises TokenizerError and says what to do."""
    must_raise(TokenizerError, call, what)
