"""The contract of a language model adapter, sentence by sentence."""

from __future__ import annotations

from typing import Final

from ctxkit_conformance.marks import Clause

DECLARATIONS: Final = Clause(
    "llm-declarations",
    "What the BackendSpec announces is what the configuration declares for its default options.",
    "Make the capabilities in one place, and use them in the BackendSpec and in the configuration.",
)
COMPLETION: Final = Clause(
    "llm-completion",
    "complete returns a Completion: the text, a str that is empty when the model said nothing; the model that answered;"
    ' the usage as the provider counts it; and why it stopped: "stop", "length" where the answer was cut, "tool_calls"'
    " where a tool is wanted.",
    "Read each of them from the provider's answer, and translate its words for why it stopped.",
)
MESSAGES: Final = Clause(
    "llm-messages",
    "Messages are any mappings with role and content, in any sequence; system, user and assistant reach the provider in"
    " their order and are not changed. None at all, an unknown role and a missing content raise LLMError with a fix.",
    "Copy what the provider needs out of each mapping; move the system's text where the provider wants it.",
)
PARAMETERS: Final = Clause(
    "llm-parameters",
    "max_tokens, temperature and other options reach the provider. What it does not take is left out with a warning or"
    " a line of log that names it, or refused with LLMError; never dropped in silence.",
    "Pass the options on, and say which one was left out.",
)
SHORT_FORMS: Final = Clause(
    "llm-short-forms",
    "generate_sync and generate return the text of the answer to one message of the user.",
    "Leave them to the base class.",
)
STREAM: Final = Clause(
    "llm-stream",
    "stream and astream yield the text of complete in pieces, each as it arrives; without the capability streams, in"
    " one piece.",
    "Yield each piece when the provider sends it, or declare streams=False.",
)
BROKEN_STREAM: Final = Clause(
    "llm-broken-stream",
    "A stream that breaks off, falls silent, reports an error or ends without the provider's last event raises LLMError"
    " after the pieces that came; it is never taken for a whole answer, and never begun again.",
    "Look for the finish reason before the iterator ends, and convert the errors of reading as well as those of"
    " calling.",
)
ASYNC: Final = Clause(
    "llm-async",
    "acomplete, astream and generate answer as their counterparts do, do not block the event loop, and work in every"
    " event loop that uses the adapter.",
    "Use the provider's asynchronous client, one for each event loop, or leave them to the base class.",
)
CANCELLATION: Final = Clause(
    "llm-cancellation",
    "A cancelled call and an abandoned stream close their connection: at once where native_async is declared or the"
    " stream is closed, and else no later than the timeout. The adapter stays usable.",
    "Close the response in a finally, also when GeneratorExit or CancelledError passes.",
)
ERRORS: Final = Clause(
    "llm-errors",
    "Whatever the provider or the network does, the call raises the error of ctxkit.errors that names it, with a fix:"
    " RateLimitedError, AuthenticationFailedError (401, 403), ModelNotFoundError, ContextTooLongError,"
    " ContentRefusedError (also a refusal with status 200), ProviderUnavailableError (5xx, no connection, no answer"
    " that can be read), ProviderTimeoutError, and LLMError itself for another rejected request.",
    "Catch the library's exceptions at the edge, look at status and code, and raise ours from them.",
)
RETRIES: Final = Clause(
    "llm-retries",
    "What may pass - 429, 5xx, a lost connection - is tried again at most max_retries times; nothing else is tried"
    " again.",
    "Count the attempts of one call in one place; two layers that retry multiply.",
)
RETRY_AFTER: Final = Clause(
    "llm-retry-after",
    "Retry-After is honoured as seconds and as a date, and RateLimitedError carries it in seconds. A wait that nobody"
    " would sit through is not begun: the error is raised instead.",
    "Sleep at least as long as was asked, up to a bound of your own.",
)
TIMEOUT: Final = Clause(
    "llm-timeout",
    "A provider that falls silent costs the configured timeout, and then ProviderTimeoutError.",
    "Set the timeout for reading as well as for connecting.",
)
UNICODE: Final = Clause(
    "llm-unicode",
    "Any text goes there and comes back as it is, however the network cuts it.",
    "Decode incrementally, and split events at line feeds only: str.splitlines also splits at U+2028.",
)
SECRETS: Final = Clause(
    "llm-secrets",
    "The key stands in no repr, message, traceback, log or output, not even when the provider repeats it in an error.",
    "Keep it as SecretStr, unwrap it where it is sent, and mask it in what you quote.",
)
SHARING: Final = Clause(
    "llm-sharing",
    "Threads share an adapter and get their own answers; adapters share nothing, their keys least of all.",
    "Keep state of a call on the stack, and the client on the instance.",
)
CLOSING: Final = Clause(
    "llm-closing",
    "Closing twice is fine; a call after it works or raises LLMError.",
    "Set a flag in close, and check it where a call begins.",
)
NETWORK: Final = Clause(
    "llm-network",
    "A call turns to the address that it was given and to no other; with the capability offline to none at all.",
    "Take telemetry and look-ups out, or declare offline=False.",
)
