"""The vendors' own SDKs take the fault server for the provider: they accept its answers and raise their errors."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any, Final

import anthropic
import openai
import pytest
from ctxkit_conformance.faults import FaultServer, Scenario, closed_port, step

KEY: Final = "sk-test-0123456789abcdef0123456789abcdef"
WORDS: Final = "hello there 🙂 my\u2028friend"
MESSAGES: Final[Any] = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": WORDS}]
PATIENCE: Final = 30.0  # seconds for what does answer, on a machine that is busy with other things
SILENCE: Final = openai.Timeout(PATIENCE, read=0.2)  # for what does not: only the waiting for an answer is short
TOOL: Final[Any] = {"name": "find", "description": "Finds.", "parameters": {"type": "object", "properties": {}}}


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    """One server for all; each test has a scenario of its own."""
    with FaultServer() as running:
        yield running


def of_openai(scenario: Scenario, *, strict: bool = True, **options: Any) -> openai.OpenAI:
    """Return a client that validates every answer against the SDK's own types."""
    options = {"max_retries": 0, "timeout": PATIENCE, **options}
    base = scenario.url("openai")
    return openai.OpenAI(base_url=base, api_key=KEY, _strict_response_validation=strict, **options)


def of_anthropic(scenario: Scenario, *, strict: bool = True, **options: Any) -> anthropic.Anthropic:
    """Return a client that validates every answer against the SDK's own types."""
    options = {"max_retries": 0, "timeout": PATIENCE, **options}
    base = scenario.url("anthropic")
    return anthropic.Anthropic(base_url=base, api_key=KEY, _strict_response_validation=strict, **options)


def chat(scenario: Scenario, **options: Any) -> str:
    """Complete with OpenAI's chat."""
    with of_openai(scenario, **options) as client:
        return client.chat.completions.create(model="m", messages=MESSAGES).choices[0].message.content or ""


def chat_stream(scenario: Scenario, **options: Any) -> str:
    """Stream OpenAI's chat."""
    with (
        of_openai(scenario, **options) as client,
        client.chat.completions.create(model="m", messages=MESSAGES, stream=True) as stream,
    ):
        return "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)


def respond(scenario: Scenario, **options: Any) -> str:
    """Complete with OpenAI's responses."""
    with of_openai(scenario, **options) as client:
        return client.responses.create(model="m", instructions="Be brief.", input=WORDS).output_text


def respond_stream(scenario: Scenario, **options: Any) -> str:
    """Stream OpenAI's responses."""
    with (
        of_openai(scenario, **options) as client,
        client.responses.create(model="m", input=WORDS, stream=True) as stream,
    ):
        return "".join(event.delta for event in stream if event.type == "response.output_text.delta")


def message(scenario: Scenario, **options: Any) -> str:
    """Complete with Anthropic's messages."""
    with of_anthropic(scenario, **options) as client:
        found = client.messages.create(model="m", max_tokens=50, system="Be brief.", messages=MESSAGES[1:])
        return "".join(block.text for block in found.content if block.type == "text")


def message_stream(scenario: Scenario, **options: Any) -> str:
    """Stream Anthropic's messages."""
    with (
        of_anthropic(scenario, **options) as client,
        client.messages.stream(model="m", max_tokens=50, messages=MESSAGES[1:]) as stream,
    ):
        return "".join(stream.text_stream)


Call = Callable[..., str]
OPENAI: Final[list[Call]] = [chat, chat_stream, respond, respond_stream]
ANTHROPIC: Final[list[Call]] = [message, message_stream]
EVERY: Final = pytest.mark.parametrize("call", [*OPENAI, *ANTHROPIC], ids=lambda call: call.__name__)


@EVERY
@pytest.mark.parametrize("name", ["ok", "drip", "bytes"])
@pytest.mark.parametrize("escaped", [False, True], ids=["utf8", "escaped"])
def test_answers_are_valid(server: FaultServer, call: Call, name: str, *, escaped: bool) -> None:
    """Every answer fits the SDK's types and says what was asked, however it is cut into pieces."""
    for by_character in (False, True):
        scenario = server.scenario(step(name, gap=0.001, escaped=escaped, by_character=by_character))
        assert call(scenario) == WORDS
        (request,) = scenario.requests
        assert request.key == KEY
        assert request.asked is not None
        assert request.asked.turns == (("user", WORDS),)


@EVERY
def test_an_empty_answer_is_valid(server: FaultServer, call: Call) -> None:
    """A model that says nothing is no error to the SDKs."""
    assert call(server.scenario(step("empty"))) == ""


def test_what_openai_reports(server: FaultServer) -> None:
    """Usage, the reason to stop, the limit and tool calls arrive through chat and through responses."""
    scenario = server.scenario(then=step("ok", usage=(123, 45), model="m-2026"))
    with of_openai(scenario) as client:
        found = client.chat.completions.create(model="m", messages=MESSAGES, max_completion_tokens=2, temperature=0.5)
        assert (found.choices[0].message.content, found.choices[0].finish_reason) == ("hello there", "length")
        assert found.usage is not None
        assert (found.usage.prompt_tokens, found.usage.completion_tokens, found.model) == (123, 45, "m-2026")
        with client.chat.completions.create(
            model="m", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
        ) as stream:
            last = list(stream)[-1]
        assert last.usage is not None
        assert (last.usage.total_tokens, last.choices) == (168, [])
        answered = client.responses.create(model="m", input=WORDS, max_output_tokens=2)
        assert (answered.status, answered.output_text) == ("incomplete", "hello there")
        assert answered.usage is not None
        assert answered.usage.total_tokens == 168
        with client.responses.stream(model="m", input=WORDS) as events:
            assert events.get_final_response().output_text == WORDS
    asked = scenario.requests[0].asked
    assert asked is not None
    assert (asked.max_tokens, asked.temperature, asked.system) == (2, 0.5, "Be brief.")


def test_what_anthropic_reports(server: FaultServer) -> None:
    """Usage, the reason to stop and the limit arrive, and the helper for streams builds the same message."""
    scenario = server.scenario(then=step("ok", usage=(123, 45), model="m-2026"))
    with of_anthropic(scenario) as client:
        found = client.messages.create(model="m", max_tokens=2, messages=MESSAGES[1:])
        assert (found.stop_reason, found.model) == ("max_tokens", "m-2026")
        assert (found.usage.input_tokens, found.usage.output_tokens) == (123, 45)
        with client.messages.stream(model="m", max_tokens=2, messages=MESSAGES[1:]) as stream:
            built = stream.get_final_message()
        assert [block.text for block in built.content if block.type == "text"] == ["hello there"]
        assert built.stop_reason == found.stop_reason
        assert (built.usage.input_tokens, built.usage.output_tokens) == (123, 45)


def test_tools_are_called(server: FaultServer) -> None:
    """A tool that was offered is called, in each format, streamed or not."""
    scenario = server.scenario(then=step("tool_call"))
    with of_openai(scenario) as client:
        tools: Any = [{"type": "function", "function": TOOL}]
        found = client.chat.completions.create(model="m", messages=MESSAGES, tools=tools)
        calls: Any = found.choices[0].message.tool_calls
        assert (calls[0].function.name, json.loads(calls[0].function.arguments)) == ("find", {"words": WORDS})
        with client.chat.completions.stream(model="m", messages=MESSAGES, tools=tools) as stream:
            finished: Any = stream.get_final_completion().choices[0].message.tool_calls
        assert (finished[0].function.name, finished[0].id) == ("find", finished[0].id)
        flat: Any = [{"type": "function", **TOOL}]
        items: Any = client.responses.create(model="m", input=WORDS, tools=flat).output
        assert (items[0].type, items[0].name) == ("function_call", "find")
        with client.responses.stream(model="m", input=WORDS, tools=flat) as events:
            finished = events.get_final_response().output[0]
            assert json.loads(finished.arguments) == {"words": WORDS}
    with of_anthropic(scenario) as other:
        of_theirs: Any = [{"name": "find", "description": "Finds.", "input_schema": TOOL["parameters"]}]
        block: Any = other.messages.create(model="m", max_tokens=9, messages=MESSAGES[1:], tools=of_theirs).content[0]
        assert (block.type, block.name, block.input) == ("tool_use", "find", {"words": WORDS})
        with other.messages.stream(model="m", max_tokens=9, messages=MESSAGES[1:], tools=of_theirs) as messages:
            built: Any = messages.get_final_message().content[0]
        assert (built.name, built.input) == ("find", {"words": WORDS})


def test_refusals_are_told(server: FaultServer) -> None:
    """A refusal with status 200 stands where each SDK looks for it."""
    with of_openai(server.scenario(step("refusal"), step("filtered"), step("filtered"))) as client:
        assert client.chat.completions.create(model="m", messages=MESSAGES).choices[0].message.refusal
        assert client.chat.completions.create(model="m", messages=MESSAGES).choices[0].finish_reason == "content_filter"
        details = client.responses.create(model="m", input=WORDS).incomplete_details
        assert details is not None
        assert details.reason == "content_filter"
    with of_anthropic(server.scenario(step("refusal"))) as other:
        found = other.messages.create(model="m", max_tokens=50, messages=MESSAGES[1:])
        assert (found.stop_reason, found.stop_details and found.stop_details.type) == ("refusal", "refusal")


def test_embeddings_and_models(server: FaultServer) -> None:
    """The other endpoints fit the SDKs' types too."""
    scenario = server.scenario()
    # The SDK unpacks base64 after its validation, which would not let it pass.
    with of_openai(scenario, strict=False) as client:
        plain = client.embeddings.create(model="m", input=["a", "b", "a"], encoding_format="float", dimensions=5)
        packed = client.embeddings.create(model="m", input=["a", "b", "a"], dimensions=5)
        assert [len(each.embedding) for each in plain.data] == [5, 5, 5]
        assert plain.data[0].embedding == plain.data[2].embedding != plain.data[1].embedding
        assert packed.data[1].embedding == pytest.approx(plain.data[1].embedding, abs=1e-6)
        names = [model.id for model in client.models.list()]
        assert client.models.retrieve(names[0]).id == names[0]
        with pytest.raises(openai.NotFoundError):
            client.models.retrieve("none")
        with pytest.raises(openai.BadRequestError):
            client.embeddings.create(model="m", input=[""])
    with of_anthropic(scenario) as other:
        assert [model.id for model in other.models.list()] == names
        assert other.models.retrieve(names[0]).type == "model"


ERRORS: Final[dict[str, tuple[str, str, str, str]]] = {
    # step: OpenAI's exception and code, Anthropic's exception and type
    "authentication": ("AuthenticationError", "invalid_api_key", "AuthenticationError", "authentication_error"),
    "permission": ("PermissionDeniedError", "missing_scope", "PermissionDeniedError", "permission_error"),
    "model_not_found": ("NotFoundError", "model_not_found", "NotFoundError", "not_found_error"),
    "context_too_long": ("BadRequestError", "context_length_exceeded", "BadRequestError", "invalid_request_error"),
    "too_large": ("APIStatusError", "request_too_large", "RequestTooLargeError", "request_too_large"),
    "content_refused": ("BadRequestError", "invalid_prompt", "BadRequestError", "invalid_request_error"),
    "bad_request": ("BadRequestError", "unsupported_parameter", "BadRequestError", "invalid_request_error"),
    "rate_limited": ("RateLimitError", "rate_limit_exceeded", "RateLimitError", "rate_limit_error"),
    "quota": ("RateLimitError", "insufficient_quota", "APIStatusError", "billing_error"),
    "internal": ("InternalServerError", "None", "InternalServerError", "api_error"),
    "bad_gateway": ("InternalServerError", "None", "InternalServerError", "None"),
    "unavailable": ("InternalServerError", "service_unavailable", "InternalServerError", "api_error"),
    "overloaded": ("InternalServerError", "overloaded", "InternalServerError", "overloaded_error"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_are_the_sdks_own(server: FaultServer, name: str) -> None:
    """Each error is the exception that the SDK has for it, and its code can be read."""
    theirs, code, others, kind = ERRORS[name]
    for call in OPENAI:
        with pytest.raises(getattr(openai, theirs)) as caught:
            call(server.scenario(step(name)))
        assert str(caught.value.code) == code
    for call in ANTHROPIC:
        with pytest.raises(getattr(anthropic, others)) as seen:
            call(server.scenario(step(name)))
        body = seen.value.body
        assert str(body["error"]["type"] if isinstance(body, dict) else None) == kind


@EVERY
def test_retries_and_their_waiting(server: FaultServer, call: Call) -> None:
    """The SDKs ask again, as often as they may, and wait as long as the answer says in each of its three forms."""
    for form in ("seconds", "milliseconds"):
        waiting = step("rate_limited", retry_after=0.2, retry_form=form)
        scenario = server.scenario(waiting, waiting)
        assert call(scenario, max_retries=2) == WORDS
        first, second, third = scenario.requests
        for before, after in ((first, second), (second, third)):
            assert before.answered is not None
            assert after.received - before.answered >= 0.19
    always = server.scenario(then=step("unavailable", headers={"retry-after-ms": "5"}))
    with pytest.raises((openai.InternalServerError, anthropic.InternalServerError)):
        call(always, max_retries=2)
    assert len(always.requests) == 3


@pytest.mark.parametrize("call", [chat, message], ids=lambda call: call.__name__)
def test_a_date_to_wait_for(server: FaultServer, call: Call) -> None:
    """A date is understood as well."""
    scenario = server.scenario(step("rate_limited", retry_after=0.3, retry_form="date"))
    assert call(scenario, max_retries=1) == WORDS
    first, second = scenario.requests
    assert first.answered is not None
    assert second.received - first.answered >= 0.29


CONNECTION: Final = (openai.APIConnectionError, anthropic.APIConnectionError)


@EVERY
def test_faults_before_an_answer(server: FaultServer, call: Call) -> None:
    """Silence is a timeout; a reset and a closed port are connection errors; the client's leaving is recorded."""
    silent = server.scenario(step("hang"))
    with pytest.raises((openai.APITimeoutError, anthropic.APITimeoutError)):
        call(silent, timeout=SILENCE)
    assert silent.wait_until(lambda requests: requests[0].closed is not None)
    with pytest.raises(CONNECTION):
        call(server.scenario(step("reset")))
    with closed_port() as address, pytest.raises(CONNECTION):
        call(Scenario("", address, server.default.steps, step("ok")))


@pytest.mark.parametrize("call", [chat, respond, message], ids=lambda call: call.__name__)
def test_faults_in_an_answer(server: FaultServer, call: Call) -> None:
    """A body that breaks off is a connection error; one that is no JSON escapes as it is; a page is not accepted."""
    for name in ("reset_midway", "cut"):
        with pytest.raises(CONNECTION):
            call(server.scenario(step(name)))
    with pytest.raises((openai.APITimeoutError, anthropic.APITimeoutError)):
        call(server.scenario(step("hang_midway")), timeout=SILENCE)
    with pytest.raises(json.JSONDecodeError):
        call(server.scenario(step("malformed")))
    with pytest.raises((openai.APIResponseValidationError, anthropic.APIResponseValidationError)):
        call(server.scenario(step("page")))
    with pytest.raises(AttributeError):  # without validation the page itself is returned, as a str
        call(server.scenario(step("page")), strict=False)


def _broken_stream(server: FaultServer, call: Call, name: str) -> str:
    try:
        return call(server.scenario(step(name, after=2)), timeout=SILENCE if name == "hang_midway" else PATIENCE)
    except Exception:  # noqa: BLE001 - a release of the SDK may give it another name
        return "raises"


def test_faults_in_a_stream(server: FaultServer) -> None:
    """What an adapter has to know: these faults end a stream as if it were whole, and the rest raises."""
    kinds = ("reset_midway", "cut", "hang_midway", "malformed", "error_event", "ended", "page", "no_answer")
    seen = {call.__name__: [_broken_stream(server, call, name) for name in kinds] for call in OPENAI + ANTHROPIC}
    raised = ["raises"] * 4
    assert seen["chat_stream"] == [*raised, "raises", "hello there", "", ""]
    assert seen["respond_stream"] == [*raised, "hello there", "hello there", "", ""]
    assert seen["message_stream"] == [*raised, "raises", "hello there", "", ""]


def test_the_asynchronous_clients(server: FaultServer) -> None:
    """They answer alike, and a cancelled call closes its connection."""
    scenario = server.scenario(step("ok"), step("ok"), step("hang"), step("hang"))

    async def use() -> None:
        async with (
            openai.AsyncOpenAI(base_url=scenario.url("openai"), api_key=KEY, max_retries=0) as one,
            anthropic.AsyncAnthropic(base_url=scenario.url("anthropic"), api_key=KEY, max_retries=0) as other,
        ):
            found = await one.chat.completions.create(model="m", messages=MESSAGES)
            assert found.choices[0].message.content == WORDS
            written = await other.messages.create(model="m", max_tokens=50, messages=MESSAGES[1:])
            assert [block.text for block in written.content if block.type == "text"] == [WORDS]
            pending: list[asyncio.Task[Any]] = [
                asyncio.ensure_future(one.chat.completions.create(model="m", messages=MESSAGES)),
                asyncio.ensure_future(other.messages.create(model="m", max_tokens=50, messages=MESSAGES[1:])),
            ]
            await asyncio.to_thread(scenario.wait_until, lambda requests: len(requests) == 4)
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)

    asyncio.run(use())
    assert scenario.wait_until(lambda requests: all(each.closed is not None for each in requests[2:]))
