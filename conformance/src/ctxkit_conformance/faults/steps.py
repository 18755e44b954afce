"""What the server does with one request: a step of a scenario."""

from __future__ import annotations

import email.utils
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias

Problem: TypeAlias = Literal[
    "authentication",  # 401
    "permission",  # 403, as for a key that may not do this, or is another provider's
    "model_not_found",  # 404
    "context_too_long",  # 400
    "too_large",  # 413
    "content_refused",  # 400
    "bad_request",  # 400
    "rate_limited",  # 429
    "quota",  # 429, and waiting does not help
    "internal",  # 500
    "bad_gateway",  # 502, a page of HTML from something in between
    "unavailable",  # 503
    "overloaded",  # 529
]
Says: TypeAlias = Literal[
    "echo",  # the last message of the user
    "nothing",  # an empty text, which is an answer too
    "no_answer",  # a body without any answer
    "refusal",  # the model declines, with status 200
    "filtered",  # a filter stops the answer in its middle, with status 200
    "tool_call",  # a call of the first tool that was offered
]
Delivery: TypeAlias = Literal[
    "whole",
    "hang",  # silence, until the client gives up
    "hold",  # silence, until the scenario is released
    "drip",  # slowly, in small parts
    "bytes",  # every byte by itself, so that characters are torn
    "reset",  # the connection is reset
    "cut",  # the connection is closed in the middle
    "ended",  # the body ends as if it were whole, but the last events are missing
    "malformed",  # what should be JSON is not
    "page",  # a page of HTML with status 200
    "error_event",  # a stream that reports an error; without a stream, status 529
]


@dataclass(frozen=True)
class Step:
    """What the server does with one request.

    `problem` is an error to answer with. Otherwise the model `says` something (`text` replaces the echo) and it is
    delivered: `after` counts the pieces of text that a stream sends before a delivery other than "whole" shows, and
    None means that not even a status line is sent; without a stream anything but None means half of the body. A fault
    that is `held` waits for the scenario to be released once those pieces are sent, so that they surely arrive.
    `retry_after` is seconds, sent in the form that `retry_form` says, or text to send as it is. `usage` are the tokens
    of input and output, `model` the name the answer bears, `gap` the seconds between the parts of a drip. `repeat_key`
    puts the key into the message of an error, as some gateways do. `escaped` writes JSON in ASCII.

    `verbatim` is sent as it stands in place of all that, with `status` and `content_type`: what a server says that only
    resembles the provider.
    """

    name: str = "ok"
    problem: Problem | None = None
    says: Says = "echo"
    text: str | None = None
    delivery: Delivery = "whole"
    after: int | None = None
    held: bool = False
    gap: float = 0.02
    retry_after: float | str | None = None
    retry_form: Literal["seconds", "date", "milliseconds"] = "seconds"
    usage: tuple[int, int] | None = None
    model: str | None = None
    repeat_key: bool = False
    escaped: bool = False
    by_character: bool = False
    verbatim: str | None = None
    status: int = 200
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)

    def retry_headers(self) -> dict[str, str]:
        """Return the headers that ask to wait, as of now."""
        if self.retry_after is None:
            return {}
        if isinstance(self.retry_after, str):
            return {"retry-after": self.retry_after}
        if self.retry_form == "milliseconds":
            return {"retry-after-ms": f"{self.retry_after * 1000:g}"}
        if self.retry_form == "date":
            # A date has whole seconds: rounding down would ask for less than was meant.
            return {"retry-after": email.utils.formatdate(math.ceil(time.time() + self.retry_after), usegmt=True)}
        return {"retry-after": f"{self.retry_after:g}"}


STEPS: Final[Mapping[str, Step]] = MappingProxyType(
    {
        made.name: made
        for made in (
            Step("ok"),
            Step("empty", says="nothing"),
            Step("no_answer", says="no_answer"),
            Step("refusal", says="refusal"),
            Step("filtered", says="filtered"),
            Step("tool_call", says="tool_call"),
            Step("authentication", problem="authentication"),
            Step("permission", problem="permission"),
            Step("model_not_found", problem="model_not_found"),
            Step("context_too_long", problem="context_too_long"),
            Step("too_large", problem="too_large"),
            Step("content_refused", problem="content_refused"),
            Step("bad_request", problem="bad_request"),
            Step("rate_limited", problem="rate_limited"),
            Step("quota", problem="quota"),
            Step("internal", problem="internal"),
            Step("bad_gateway", problem="bad_gateway"),
            Step("unavailable", problem="unavailable"),
            Step("overloaded", problem="overloaded"),
            Step("hang", delivery="hang"),
            Step("hang_midway", delivery="hang", after=1),
            Step("hold", delivery="hold"),
            Step("hold_midway", delivery="hold", after=1),
            Step("drip", delivery="drip", after=0),
            Step("bytes", delivery="bytes", after=0),
            Step("reset", delivery="reset"),
            Step("reset_midway", delivery="reset", after=1),
            Step("cut", delivery="cut", after=1),
            Step("ended", delivery="ended", after=1),
            Step("malformed", delivery="malformed", after=1),
            Step("page", delivery="page"),
            Step("error_event", delivery="error_event", after=1),
        )
    }
)


def step(name: str, **changes: Any) -> Step:
    """Return the step of that name with some of its fields replaced; raises ValueError when there is none."""
    if name not in STEPS:
        raise ValueError(f"there is no step {name!r}; there is {', '.join(STEPS)}")
    return replace(STEPS[name], **changes)


def steps_from(script: str) -> list[Step]:
    """Return the steps of a script as it is typed: "rate_limited retry_after=1, unavailable, ok".

    Raises ValueError for what is no step and for what no step has.
    """
    found = []
    for part in script.split(","):
        name, *settings = part.split()
        changes: dict[str, Any] = {}
        for setting in settings:
            key, equals, value = setting.partition("=")
            if not equals or key not in _TYPED:
                raise ValueError(f"{setting!r} cannot be set; what can is {', '.join(_TYPED)}")
            changes[key] = _TYPED[key](value)
        found.append(step(name, **changes))
    return found


_TYPED: Final[Mapping[str, Any]] = {
    "after": int,
    "gap": float,
    "model": str,
    "retry_after": float,
    "retry_form": str,
    "text": str,
}
