"""The server: scenarios, each under an address of its own, served by a thread."""

from __future__ import annotations

import asyncio
import functools
import itertools
import re
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Final

from ctxkit_conformance.faults.anthropic_messages import Messages, anthropic_models
from ctxkit_conformance.faults.connection import Connection
from ctxkit_conformance.faults.openai_chat import ChatCompletions
from ctxkit_conformance.faults.openai_other import Vectors, embeddings, hashed, models, read_embeddings
from ctxkit_conformance.faults.openai_responses import Responses
from ctxkit_conformance.faults.reply import Reply, completion, fault_instead, plain, whole
from ctxkit_conformance.faults.requests import Recorded, Scenario
from ctxkit_conformance.faults.steps import Step
from ctxkit_conformance.faults.wire import Asked, Json, RejectedError, Wire

if TYPE_CHECKING:
    from typing_extensions import Self

THREAD_NAME: Final = "ctxkit-fault-server"
_HOST: Final = "127.0.0.1"
_PATH = re.compile(r"(?:/(?P<scenario>s\d+))?(?P<path>/v1/.*)")
_COMPLETING: Final[dict[str, Wire]] = {
    "/v1/chat/completions": ChatCompletions(),
    "/v1/responses": Responses(),
    "/v1/messages": Messages(),
}


class FaultServer:
    """Speaks both wire formats on a port of 127.0.0.1, from when it is made until `close`.

    `default` is what happens to a request that belongs to no scenario. `vectors` makes the embeddings of texts, in that
    length; without it they depend on the text and mean nothing.
    """

    def __init__(
        self, port: int = 0, default: tuple[Step, ...] = (), then: Step | None = None, vectors: Vectors = hashed
    ) -> None:
        self._vectors = vectors
        self._numbers = itertools.count(1)
        self._listening = socket.create_server((_HOST, port))
        self.port: int = self._listening.getsockname()[1]
        self.origin = f"http://{_HOST}:{self.port}"
        self.default = Scenario("", self.origin, deque(default), then or Step())
        self._scenarios = {"": self.default}
        self._loop = asyncio.new_event_loop()
        self._serving = threading.Event()
        self._thread = threading.Thread(target=self._run, name=THREAD_NAME, daemon=True)
        self._thread.start()
        self._serving.wait()

    def scenario(self, *steps: Step, then: Step | None = None) -> Scenario:
        """Return a new scenario: these steps, and after them `then`, or an ordinary answer, for every request."""
        name = f"s{next(self._numbers)}"
        made = Scenario(name, self.origin, deque(steps), then or Step())
        self._scenarios[name] = made
        return made

    def close(self) -> None:
        """Close every connection and stop; twice is fine."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _run(self) -> None:
        loop = self._loop
        asyncio.set_event_loop(loop)
        server = loop.run_until_complete(loop.create_server(self._connect, sock=self._listening))
        loop.call_soon(self._serving.set)
        loop.run_forever()
        server.close()
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        loop.run_until_complete(asyncio.sleep(0))  # transports close their sockets in the next round
        loop.close()

    def _connect(self) -> Connection:
        return Connection(self._find, functools.partial(_reply, self._vectors))

    def _find(self, target: str) -> tuple[Scenario, str]:
        found = _PATH.fullmatch(target)
        if found is None:
            return self.default, target
        return self._scenarios.get(found["scenario"] or "", self.default), found["path"]


def _reply(vectors: Vectors, request: Recorded, scenario: Scenario, path: str) -> Reply:
    """Return what is sent for a request to a path, the scenario's own part of it taken away."""
    anthropic = path.startswith("/v1/messages") or "anthropic-version" in request.headers
    wire = _COMPLETING["/v1/messages" if anthropic else "/v1/chat/completions"]
    if not request.key:
        return plain(*wire.error("authentication", None), Step())
    if request.method == "POST" and path in _COMPLETING:
        return completion(request, _COMPLETING[path], len(scenario.requests))
    if request.method == "POST" and path == "/v1/embeddings":
        return _embedded(request, wire, vectors)
    if request.method == "GET" and path.partition("?")[0].startswith("/v1/models"):
        return _listed(request, path, wire, anthropic_models if anthropic else models)
    error = {"message": f"Invalid URL ({request.method} {path})", "type": "invalid_request_error"}
    return plain(404, {"error": {**error, "param": None, "code": None}}, Step())


def _embedded(request: Recorded, wire: Wire, vectors: Vectors) -> Reply:
    try:
        asked = read_embeddings(request.body if isinstance(request.body, dict) else {}, request.key)
    except RejectedError as rejected:
        return plain(*wire.error(rejected.problem, None, rejected.message), Step())
    fault = fault_instead(request, asked, wire)
    if fault is not None:
        return fault
    return whole(embeddings(asked, request.step.usage, vectors), request.step, asked)


def _listed(request: Recorded, path: str, wire: Wire, listing: Callable[[str | None], Json | None]) -> Reply:
    fault = fault_instead(request, Asked("models", request.key), wire)
    if fault is not None:
        return fault
    found = listing(path.removeprefix("/v1/models").strip("/") or None)
    return plain(*wire.error("model_not_found", None), Step()) if found is None else plain(200, found, Step())


@contextmanager
def closed_port() -> Iterator[str]:
    """Offer the address of a port at which nobody listens, and keep others from listening there meanwhile."""
    with socket.socket() as taken:
        taken.bind((_HOST, 0))
        yield f"http://{_HOST}:{taken.getsockname()[1]}"
