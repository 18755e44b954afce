"""What a scenario has planned, and what it has seen."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ctxkit_conformance.faults.steps import Step
from ctxkit_conformance.faults.wire import Asked, WireFormat

_LONGEST_HOLD: Final = 5.0  # seconds; nobody who forgets to release waits for ever


@dataclass
class Recorded:
    """One request, and what became of it. Times are seconds of `time.monotonic`.

    `asked` is None for a request that the provider itself would reject. `answered` is when the last of the answer was
    sent, None if it never was; `closed` is when the client closed the connection before that, and `over` when nothing
    more was done about the request, whoever ended it. `wait` is how many seconds the answer asked to wait. `released`
    says of a held answer whether it was released, or only ran out of patience.
    """

    method: str
    path: str
    headers: Mapping[str, str] = field(repr=False)  # the key is among them
    body: Any
    step: Step
    received: float
    asked: Asked | None = None
    status: int | None = None
    answered: float | None = None
    closed: float | None = None
    over: float | None = None
    wait: float | None = None
    released: bool = False

    @property
    def key(self) -> str:
        """The key that was sent, empty when there was none."""
        bearer = self.headers.get("authorization", "").removeprefix("Bearer ").strip()
        return self.headers.get("x-api-key", "") or bearer

    def as_json(self) -> dict[str, Any]:
        """Return what happened as values of JSON, without the key."""
        hidden = {"authorization", "x-api-key"}
        headers = {name: "..." if name in hidden else value for name, value in self.headers.items()}
        return {
            "method": self.method,
            "path": self.path,
            "headers": headers,
            "body": self.body,
            "step": self.step.name,
            "status": self.status,
            "answered": self.answered is not None,
            "closed_by_client": self.closed is not None,
        }


@dataclass
class Scenario:
    """Steps for the requests to one address, in their order; `then` is for every request after them.

    Everything here may be used from any thread.
    """

    name: str
    origin: str
    steps: deque[Step]
    then: Step
    _requests: list[Recorded] = field(default_factory=list)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _released: bool = False

    def url(self, wire: WireFormat) -> str:
        """Return the address that a client of this format takes as its base: OpenAI's ends with /v1."""
        base = f"{self.origin}/{self.name}" if self.name else self.origin
        return f"{base}/v1" if wire == "openai" else base

    @property
    def requests(self) -> Sequence[Recorded]:
        """The requests so far, in the order in which they came."""
        with self._changed:
            return tuple(self._requests)

    def release(self) -> None:
        """Let every answer go on that is held, or would be."""
        with self._changed:
            self._released = True
            self._changed.notify_all()

    def wait_until(self, condition: Callable[[Sequence[Recorded]], object], seconds: float = 10.0) -> bool:
        """Wait until the condition holds of the requests, at most so long; return whether it does."""
        with self._changed:
            return bool(self._changed.wait_for(lambda: condition(tuple(self._requests)), seconds))

    # What follows is for the server.

    def next_step(self) -> Step:
        """Return what to do with the next request."""
        with self._changed:
            return self.steps.popleft() if self.steps else self.then

    def record(self, request: Recorded) -> int:
        """Keep a request and return its number."""
        with self._changed:
            self._requests.append(request)
            self._changed.notify_all()
            return len(self._requests)

    def note(self, request: Recorded, **changes: Any) -> None:
        """Write down what became of a request."""
        with self._changed:
            for name, value in changes.items():
                setattr(request, name, value)
            self._changed.notify_all()

    def is_released(self, since: float) -> bool | None:
        """Whether held answers may go on: False when nobody released them for too long, None while they must wait."""
        with self._changed:
            if self._released:
                return True
        return False if time.monotonic() - since > _LONGEST_HOLD else None
