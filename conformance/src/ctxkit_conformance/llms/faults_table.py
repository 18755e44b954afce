"""Every fault of the server, met in every way of asking: what an adapter makes of each, in one table."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any, Final

import pytest

from ctxkit import errors
from ctxkit.errors import LLMError
from ctxkit.interfaces import LLM
from ctxkit_conformance.faults import FaultServer, Scenario, Step, WireFormat, closed_port, step
from ctxkit_conformance.llms.base import HOW, PATIENCE, WORDS, bounded, user
from ctxkit_conformance.subject import Subject

ANSWERS: Final = "answers"
NOBODY: Final = "nobody listens"
ENDLESS: Final = "does not end"
_KEY: Final = "sk-conformance-faults-table"
_TIMEOUT: Final = 0.4  # seconds of silence
_WAIT: Final = 1.0  # seconds that a provider asks to wait
# What each step of the server has to become. The steps that wait to be released answer, and are for tests.
EXPECTED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "ok": ANSWERS,
        "empty": ANSWERS,
        "tool_call": ANSWERS,
        "drip": ANSWERS,
        "bytes": ANSWERS,
        "authentication": "AuthenticationFailedError",
        "permission": "AuthenticationFailedError",
        "model_not_found": "ModelNotFoundError",
        "context_too_long": "ContextTooLongError",
        "too_large": "ContextTooLongError",
        "content_refused": "ContentRefusedError",
        "refusal": "ContentRefusedError",
        "filtered": "ContentRefusedError",
        "bad_request": "LLMError",
        "rate_limited": "RateLimitedError",
        "quota": "RateLimitedError",
        "internal": "ProviderUnavailableError",
        "bad_gateway": "ProviderUnavailableError",
        "unavailable": "ProviderUnavailableError",
        "overloaded": "ProviderUnavailableError",
        NOBODY: "ProviderUnavailableError",
        "reset": "ProviderUnavailableError",
        "reset_midway": "ProviderUnavailableError",
        "cut": "ProviderUnavailableError",
        "ended": "ProviderUnavailableError",
        "malformed": "ProviderUnavailableError",
        "page": "ProviderUnavailableError",
        "no_answer": "ProviderUnavailableError",
        "error_event": "ProviderUnavailableError",
        "hang": "ProviderTimeoutError",
        "hang_midway": "ProviderTimeoutError",
    }
)


@dataclass(frozen=True)
class Met:
    """One fault met by one adapter in one way; `found` is "answers", "does not end", or what was raised."""

    adapter: str
    fault: str
    how: str
    found: str
    expected: str
    seconds: float
    message: str = ""

    @property
    def ok(self) -> bool:
        """Whether it became what it has to become, and the key is in no message."""
        return self.found == self.expected and _KEY not in self.message


@dataclass(frozen=True)
class Waited:
    """How long after an answer that asked to wait `asked` seconds the answer that followed came."""

    adapter: str
    how: str
    asked: float
    seconds: float


def wire_of(subject: Subject) -> WireFormat | None:
    """Return the format in which an adapter can be asked; None for one that asks nobody."""
    named: WireFormat | None = getattr(subject.harness_class(), "wire_format", None)
    return named or getattr(subject.factory, "wire_format", None)


def title_of(subject: Subject) -> str:
    """Return how an adapter is called in the table."""
    return f"{subject.component.name} ({subject.variant})" if subject.variant else subject.component.name


def meet(
    subject: Subject,
    wire: WireFormat,
    server: FaultServer,
    progress: Callable[[str], object] = str,
    only: Collection[str] | None = None,
) -> Iterator[Met]:
    """Yield what becomes of every fault, or of these alone, in every way of asking, without retries."""
    for fault in EXPECTED if only is None else only:
        for how in HOW:
            progress(f"{fault} {how}")
            yield _met(subject, wire, server, fault, how)


def wait(subject: Subject, wire: WireFormat, server: FaultServer) -> Iterator[Waited]:
    """Yield how long each way of asking waits when it is told how long."""
    for how in HOW:
        scenario = server.scenario(step("rate_limited", retry_after=_WAIT))
        with _adapter(subject, scenario.url(wire), max_retries=1, timeout=PATIENCE) as llm:
            _answer(llm, how, ())
        first, second = scenario.requests
        assert first.answered is not None
        assert second.answered is not None
        yield Waited(title_of(subject), how, _WAIT, second.answered - first.answered)


def _met(subject: Subject, wire: WireFormat, server: FaultServer, fault: str, how: str) -> Met:
    tools = _tools(wire) if fault == "tool_call" else ()
    if fault == NOBODY:
        with closed_port() as origin:
            return _asked(subject, f"{origin}/v1" if wire == "openai" else origin, fault, how, tools)
    made: Step = step(fault, repeat_key=True, gap=0.001)
    scenario: Scenario = server.scenario(made)
    return _asked(subject, scenario.url(wire), fault, how, tools)


def _asked(subject: Subject, base_url: str, fault: str, how: str, tools: Sequence[Any]) -> Met:
    message = ""
    silent = EXPECTED[fault] == "ProviderTimeoutError"
    with _adapter(subject, base_url, max_retries=0, timeout=_TIMEOUT if silent else PATIENCE) as llm:
        since = time.perf_counter()
        try:
            bounded(lambda: _answer(llm, how, tools), f"{fault} in {how}")
            found = ANSWERS
        except LLMError as error:
            found, message = _name(error), str(error)
        except pytest.fail.Exception as error:
            found, message = ENDLESS, str(error)
        except Exception as error:  # noqa: BLE001 - a raw error is what the table is to show
            found, message = f"{type(error).__module__}.{type(error).__name__}", str(error)
        seconds = time.perf_counter() - since
    return Met(title_of(subject), fault, how, found, EXPECTED[fault], seconds, message)


def _name(error: LLMError) -> str:
    """Return the name of the error in ctxkit's tree, also for a class of the adapter's own below it."""
    return next(cls.__name__ for cls in type(error).__mro__ if cls.__module__ == errors.__name__)


def _adapter(subject: Subject, base_url: str, **options: Any) -> LLM:
    given = {"model": "answering-model", **subject.all_options(), "base_url": base_url, "api_key": _KEY, **options}
    known = subject.config_class.model_fields
    config = subject.config_class.model_validate({name: value for name, value in given.items() if name in known})
    made: LLM = subject.factory(config)
    return made


def _answer(llm: LLM, how: str, tools: Sequence[Any]) -> None:
    options: dict[str, Any] = {"tools": list(tools)} if tools else {}
    messages = user(WORDS)
    if how == "complete":
        llm.complete(messages, **options)
    elif how == "stream":
        list(llm.stream(messages, **options))
    elif how == "acomplete":
        asyncio.run(_acomplete(llm, messages, options))
    else:
        asyncio.run(_astream(llm, messages, options))


async def _acomplete(llm: LLM, messages: Any, options: Mapping[str, Any]) -> None:
    await llm.acomplete(messages, **options)


async def _astream(llm: LLM, messages: Any, options: Mapping[str, Any]) -> None:
    async for _ in llm.astream(messages, **options):
        pass


def _tools(wire: WireFormat) -> Sequence[Any]:
    schema = {"type": "object", "properties": {"words": {"type": "string"}}}
    if wire == "anthropic":
        return [{"name": "look_up", "input_schema": schema}]
    return [{"type": "function", "function": {"name": "look_up", "parameters": schema}}]


def as_dict(met: Sequence[Met], waited: Sequence[Waited]) -> dict[str, Any]:
    """Return the table as plain values of JSON."""
    return {
        "ok": all(each.ok for each in met),
        "faults": [{**asdict(each), "ok": each.ok} for each in met],
        "waits": [asdict(each) for each in waited],
    }


def print_faults(met: Sequence[Met], waited: Sequence[Waited], width: int | None = None) -> None:
    """Print a line for each fault and a column for each adapter and way of asking; what is wrong comes last, whole."""
    from rich.console import Console  # noqa: PLC0415 - whoever wants the values needs no colours
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    console = Console(width=width)
    for adapter in dict.fromkeys(each.adapter for each in met):
        mine = [each for each in met if each.adapter == adapter]
        table = Table(adapter, "becomes", *HOW, box=None, pad_edge=False, header_style="bold")
        for fault in dict.fromkeys(each.fault for each in mine):
            cells = [_cell(each) for each in mine if each.fault == fault]
            table.add_row(fault, EXPECTED[fault], *cells)
        console.print(table)
        waits = ", ".join(f"{each.how} {each.seconds:.3f} s" for each in waited if each.adapter == adapter)
        if waits:
            console.print(Text(f"429 with Retry-After {_WAIT:g} s, then an answer after: {waits}", "dim"))
        console.print()
    for each in met:
        if not each.ok:
            console.print(Text(f"{each.adapter} {each.fault} {each.how}: {each.found}: {each.message}", "red"))
    right = sum(each.ok for each in met)
    console.print(f"{right} of {len(met)} are as they have to be, the slowest took {max(e.seconds for e in met):.2f} s")


def _cell(met: Met) -> Any:
    from rich.text import Text  # noqa: PLC0415

    shown = f"✓ {met.seconds:.2f} s" if met.ok else f"✗ {met.found}"
    return Text(shown, "green" if met.ok else "red")
