"""How the checks point an adapter at the server that fails as it is told, and how they ask."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final, TypeVar

import pytest

from ctxkit import errors
from ctxkit.errors import LLMError
from ctxkit.interfaces import LLM, BackendConfig, LLMCapabilities, Message
from ctxkit.plugins import PluginRegistry
from ctxkit_conformance.component import ComponentChecks
from ctxkit_conformance.faults import FaultServer, Scenario, Step, WireFormat
from ctxkit_conformance.journal import Journal, brief
from ctxkit_conformance.marks import not_applicable
from ctxkit_conformance.subject import Subject, find_subject

HOW: Final = ("complete", "stream", "acomplete", "astream")
STREAMING: Final = ("stream", "astream")
PATIENCE: Final = 10.0  # seconds after which a call counts as one that never ends
WORDS: Final = "Where is the boat? Is it at berth 14?"

every_way = pytest.mark.parametrize("how", HOW)
every_stream = pytest.mark.parametrize("how", STREAMING)

T = TypeVar("T")
_SERVER: Final = pytest.StashKey[FaultServer]()


class LLMChecks(ComponentChecks):
    """Base of every group of checks of a language model adapter.

    Say what is under test in one of two ways: `component`, the name under which an installed plugin announces it; or
    `llm_class` together with `make_config`. `wire_format` is the format that the adapter speaks; it may stand on this
    class, on the backend's Harness or on the adapter's own class. An adapter that declares `offline` needs none.
    `capabilities` is needed only for a class whose configuration does not answer `capabilities()`.
    """

    tier = "L"
    component: ClassVar[str] = ""
    llm_class: ClassVar[type[LLM]]
    capabilities: ClassVar[LLMCapabilities | None] = None
    wire_format: ClassVar[WireFormat | None] = None

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "component" in vars(cls):
            cls.subject = find_subject(PluginRegistry.discover(), f"llm:{cls.component}")
        if "subject" in vars(cls) and cls.subject is not None:
            cls.llm_class = cls.subject.factory
            declared = cls.subject.capabilities()
            cls.capabilities = declared if isinstance(declared, LLMCapabilities) else None

    def make_config(self, base_url: str, api_key: str) -> BackendConfig:
        """Return a configuration that sends everything to `base_url` with that key.

        The suite then sets its options `timeout` and `max_retries` as a check needs them.
        """
        own = getattr(self.llm_class, "config_class", None) if self.subject is None else self.subject.config_class
        if own is None:
            message = f"{type(self).__name__} has to set `component`, or define make_config(self, base_url, api_key)."
            raise NotImplementedError(message)
        options = {} if self.subject is None else self.subject.all_options()
        # The user's own options come second, their address and key never: no check asks a real provider.
        given = {"model": "answering-model", **options, "base_url": base_url, "api_key": api_key}
        known = {name: value for name, value in given.items() if name in own.model_fields or name in options}
        made: BackendConfig = own.model_validate(known)
        return made

    @pytest.fixture
    def server(self, request: pytest.FixtureRequest) -> FaultServer:
        """The provider; one for the whole run."""
        stash = request.config.stash
        if _SERVER not in stash:
            stash[_SERVER] = FaultServer()
            request.config.add_cleanup(stash[_SERVER].close)
        return stash[_SERVER]

    @pytest.fixture
    def key(self) -> str:
        """A key that nobody else has."""
        return f"sk-conformance-{secrets.token_hex(16)}"

    @pytest.fixture
    def declared(self, request: pytest.FixtureRequest) -> LLMCapabilities:
        """What the adapter declares."""
        own = self.make_config("http://127.0.0.1:9", "sk-none").capabilities()
        found = own if isinstance(own, LLMCapabilities) else self.capabilities
        if isinstance(found, LLMCapabilities):
            request.node.user_properties.append(("ctxkit_capabilities", found.model_dump(mode="json")))
            return found
        raise TypeError(f"set `capabilities` on {type(self).__name__} to those of the backend's BackendSpec.")

    @pytest.fixture(autouse=True)
    def provider(
        self,
        server: FaultServer,
        key: str,
        declared: LLMCapabilities,
        journal: Journal,
        monkeypatch: pytest.MonkeyPatch,
    ) -> Iterator[Provider]:
        """The provider as one check sees it; what the check made is closed in the end."""
        wire = self.wire_format or _wire_of_harness(self.subject) or getattr(self.llm_class, "wire_format", None)
        if wire is None and not declared.offline:
            not_applicable("neither the harness nor the adapter names a wire_format, openai or anthropic")
        made = Provider(self, server, wire or "openai", key, declared, journal)
        _set_environment(monkeypatch)
        _watch_network(monkeypatch, made.connections, allowed=made.allowed)
        yield made
        made.close()


class Provider:
    """Scenarios of the server, adapters that are pointed at them, and calls of those that always end.

    `offline` says that the adapter declares to touch no network: then nothing can go wrong at any provider, and every
    check of a fault looks instead at whether it answers and asks nobody.
    """

    def __init__(
        self,
        checks: LLMChecks,
        server: FaultServer,
        wire: WireFormat,
        key: str,
        declared: LLMCapabilities,
        journal: Journal,
    ) -> None:
        self.wire = wire
        self.key = key
        self.declared = declared
        self.offline = declared.offline
        self.allowed = frozenset() if declared.offline else frozenset({"127.0.0.1"})
        self.connections: list[str] = []
        self._checks = checks
        self._note = journal.note
        self._server = server
        self._made: list[LLM] = []

    def scenario(self, *steps: Step, then: Step | None = None) -> Scenario:
        """Return a new scenario."""
        return self._server.scenario(*steps, then=then)

    def config(self, base_url: str, **options: Any) -> BackendConfig:
        """Return a configuration for that address with `timeout` and `max_retries` set."""
        made = self._checks.make_config(base_url, self.key)
        known = type(made).model_fields
        if missing := [name for name in options if name not in known and not self.offline]:
            not_applicable(f"{type(made).__name__} has no option {', '.join(missing)}")
        wanted = {"timeout": 10.0, "max_retries": 0, **options}
        kept = {name: value for name, value in wanted.items() if name in known}
        return type(made).model_validate({**{name: getattr(made, name) for name in known}, **kept})

    def llm(self, where: Scenario | str, **options: Any) -> LLM:
        """Return an adapter that asks this scenario, or this address, and is closed when the check is over."""
        base_url = where if isinstance(where, str) else where.url(self.wire)
        owner = self._checks.llm_class
        self._note(f"llm = {owner.__name__}(config)  # {options or ''}".removesuffix("  # "))
        factory: Any = owner
        made: LLM = factory(self.config(base_url, **options))
        self._made.append(made)
        return made

    def ask(self, llm: LLM, how: str, messages: Sequence[Message] | None = None, **options: Any) -> str:
        """Return the text of the answer to the messages, or to `WORDS`; raises what the call raises."""
        return "".join(self.pieces(llm, how, messages, **options))

    def pieces(
        self,
        llm: LLM,
        how: str,
        messages: Sequence[Message] | None = None,
        seen: Callable[[str], object] = str,
        **options: Any,
    ) -> list[str]:
        """Return the pieces of the answer, or its whole text; `seen` is told of each as it comes."""
        asked = user(WORDS) if messages is None else messages
        found: list[str] = []
        given = "".join(f", {name}={value!r}" for name, value in options.items())
        line = f"llm.{how}({brief(asked)}{given})"

        def take(piece: str) -> None:
            found.append(piece)
            seen(piece)

        def call() -> None:
            if how == "complete":
                take(llm.complete(asked, **options).text)
            elif how == "stream":
                for piece in llm.stream(asked, **options):
                    take(piece)
            else:
                asyncio.run(_asked(llm, how, asked, take, options))

        try:
            bounded(call, line)
        except Exception as exc:
            self._note(f"{line}  # {type(exc).__name__}")
            raise
        finally:
            self.check_network()
        self._note(f"{line}  # {brief(''.join(map(str, found)))}")
        assert all(isinstance(piece, str) for piece in found), f"{line} gave {brief(found)}, and not only str"
        return found

    def failure(
        self, llm: LLM, how: str, wanted: type[LLMError], seen: Callable[[str], object] = str
    ) -> LLMError | None:
        """Check that the call raises exactly this error and says what to do, and return it.

        An adapter that is offline has nothing to fail with: it has to answer, and None is returned.
        """
        if self.offline:
            assert self.ask(llm, how), "an adapter that asks nobody has an answer of its own"
            return None
        try:
            text = self.pieces(llm, how, seen=seen)
        except Exception as exc:  # noqa: BLE001 - which one it is is what is checked
            return check_error(exc, wanted)
        raise AssertionError(f"{how} returned {text!r} where {wanted.__name__} was due")

    def answers(self, llm: LLM, how: str) -> None:
        """Check that the adapter answers an ordinary question."""
        text = self.ask(llm, how)
        assert self.offline or text == WORDS, f"{how} returned {text!r}, but the provider said {WORDS!r}"

    def check_network(self) -> None:
        """Check that nobody was asked who should not be: nobody at all, or nobody but the provider."""
        others = sorted(set(self.connections) - self.allowed)
        what = "declared offline" if self.offline else "pointed at 127.0.0.1"
        assert not others, f"{what}, but it turned to {', '.join(others)}"

    def close(self) -> None:
        """Close every adapter."""
        for each in self._made:
            each.close()


async def _asked(
    llm: LLM, how: str, asked: Sequence[Message], take: Callable[[str], None], options: Mapping[str, Any]
) -> None:
    if how == "acomplete":
        take((await llm.acomplete(asked, **options)).text)
        return
    async for piece in llm.astream(asked, **options):
        take(piece)


def user(words: str) -> list[Message]:
    """Return one message of the user."""
    return [{"role": "user", "content": words}]


def check_error(error: BaseException, wanted: type[LLMError]) -> LLMError:
    """Check that an error is exactly of the wanted kind, or of a class of the adapter's own below it, with a fix."""
    assert isinstance(error, LLMError), (
        f"{type(error).__module__}.{type(error).__name__} escaped where {wanted.__name__} was due: {error}"
    )
    kind = next(cls for cls in type(error).__mro__ if cls.__module__ == errors.__name__)
    assert kind is wanted, f"{kind.__name__} was raised where {wanted.__name__} was due: {error}"
    assert error.fix, f"{kind.__name__} names no fix: {error}"
    assert "Fix:" in str(error), f"the message does not show its fix: {error}"
    return error


def bounded(call: Callable[[], T], what: str = "the call") -> T:
    """Return what the call returns; fail when it does not end, however long that would be."""
    outcome: list[T] = []
    raised: list[BaseException] = []

    def run() -> None:
        try:
            outcome.append(call())
        except BaseException as exc:  # noqa: BLE001 - it is raised again where it is waited for
            raised.append(exc)

    worker = threading.Thread(target=run, name="ctxkit-conformance-call", daemon=True)
    worker.start()
    worker.join(PATIENCE)
    if worker.is_alive():
        pytest.fail(f"{what} did not end within {PATIENCE:g} seconds", pytrace=False)
    if raised:
        raise raised[0]
    return outcome[0]


def _wire_of_harness(subject: Subject | None) -> WireFormat | None:
    return getattr(subject.harness_class(), "wire_format", None) if subject is not None else None


def _set_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep keys and addresses of real providers out of the checks, and proxies out of their way."""
    for name in [name for name in os.environ if name.startswith(("OPENAI_", "ANTHROPIC_"))]:
        monkeypatch.delenv(name)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")


def _watch_network(monkeypatch: pytest.MonkeyPatch, seen: list[str], allowed: frozenset[str]) -> None:
    """Note the host of every connection and every name that is looked up; nothing leaves this machine."""
    network = (socket.AF_INET, socket.AF_INET6)

    def note(host: Any) -> None:
        name = host.decode() if isinstance(host, bytes) else str(host)
        seen.append(name)
        if name not in allowed:
            raise socket.gaierror(socket.EAI_FAIL, f"{name} is not to be asked")

    def watched(name: str) -> Callable[..., Any]:
        original = getattr(socket.socket, name)

        def call(self: socket.socket, address: Any, *more: Any) -> Any:
            if self.family in network:
                note(address[0])
            return original(self, address, *more)

        return call

    look_up = socket.getaddrinfo

    def resolve(host: Any, *more: Any, **options: Any) -> Any:
        note(host)
        return look_up(host, *more, **options)

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, watched(name))
    monkeypatch.setattr(socket, "getaddrinfo", resolve)
