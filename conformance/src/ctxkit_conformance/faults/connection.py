"""One connection of a client: HTTP/1.1, and everything that can go wrong with it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

from ctxkit_conformance.faults.reply import Reply, Verbatim
from ctxkit_conformance.faults.requests import Recorded, Scenario

_LARGEST: Final = 2**26  # bytes of a request
_POLL: Final = 0.01  # seconds between looks at whether a scenario was released

Find = Callable[[str], tuple[Scenario, str]]
Answer = Callable[[Recorded, Scenario, str], Reply]


class GoneError(Exception):
    """The client closed the connection."""


class Connection(asyncio.Protocol):
    """Reads requests one after the other and answers each as its step says."""

    def __init__(self, find: Find, answer: Answer) -> None:
        self._find = find
        self._answer = answer
        self._reader = asyncio.StreamReader(limit=_LARGEST)
        self._gone = asyncio.Event()
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to serve."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        # Head and body are written apart: without this the body would wait 40 ms for the head to be acknowledged.
        found: socket.socket = transport.get_extra_info("socket")
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.task = asyncio.get_running_loop().create_task(self._serve())

    def data_received(self, data: bytes) -> None:
        """Hand over what came."""
        self._reader.feed_data(data)

    def eof_received(self) -> bool:
        """Take the end of what the client sends for its leaving."""
        self._gone.set()
        self._reader.feed_eof()
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - how it was lost makes no difference
        """Note that the client is gone."""
        self._gone.set()
        self._reader.feed_eof()

    async def _serve(self) -> None:
        request: Recorded | None = None
        try:
            while True:
                request = None
                head = await self._reader.readuntil(b"\r\n\r\n")
                scenario, request, path = await self._read(head)
                number = scenario.record(request)
                await self._respond(request, scenario, self._answer(request, scenario, path), number)
        except (GoneError, asyncio.IncompleteReadError, ConnectionError, asyncio.LimitOverrunError, ValueError):
            pass  # it left, was thrown out, or does not speak HTTP
        finally:
            if request is not None and request.over is None:
                now = time.monotonic()
                scenario.note(request, over=now, closed=now if self._gone.is_set() else None)
            self._transport.close()

    async def _read(self, head: bytes) -> tuple[Scenario, Recorded, str]:
        first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
        method, target, _ = first.split(" ", 2)
        pairs = (line.partition(":") for line in lines)
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        if headers.get("expect", "").lower() == "100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        raw = await self._body(headers)
        try:
            body: Any = json.loads(raw) if raw else None
        except ValueError:
            body = raw.decode("utf-8", "replace")
        scenario, path = self._find(target.partition("?")[0])
        received = time.monotonic()
        return scenario, Recorded(method, target, headers, body, scenario.next_step(), received), path

    async def _body(self, headers: Mapping[str, str]) -> bytes:
        if headers.get("transfer-encoding", "").lower() != "chunked":
            return await self._reader.readexactly(int(headers.get("content-length", 0)))
        parts = []
        while True:
            size = int((await self._reader.readline()).split(b";")[0], 16)
            parts.append(await self._reader.readexactly(size))
            await self._reader.readline()
            if not size:
                return b"".join(parts)

    async def _respond(self, request: Recorded, scenario: Scenario, reply: Reply, number: int) -> None:
        """Send the reply as the step delivers it, and write down what became of it."""
        scenario.note(request, status=reply.status, wait=reply.wait, asked=reply.asked)
        early = None if isinstance(reply, Verbatim) else request.step.after
        begun = 0 if early is None else reply.parts_until(early)
        if early is not None:
            self._send_head(reply, number)
            self._send(reply, reply.parts[:begun], end=False, each_byte=request.step.delivery == "bytes")
        if not isinstance(reply, Verbatim):
            await self._misbehave(request, scenario)
        if early is None:
            self._send_head(reply, number)
        rest = reply.parts[begun:]
        if request.step.delivery == "drip" and not isinstance(reply, Verbatim):
            for part in rest:
                await self._pause(request.step.gap)
                self._send(reply, [part], end=False)
            rest = []
        if self._gone.is_set():
            raise GoneError
        # First it is written down: whoever has the whole answer can rely on that.
        now = time.monotonic()
        scenario.note(request, answered=now, over=now)
        self._send(reply, rest, each_byte=request.step.delivery == "bytes")

    async def _misbehave(self, request: Recorded, scenario: Scenario) -> None:
        """Do what the step does once its first parts are sent."""
        delivery = request.step.delivery
        if delivery == "hang":
            await self._gone.wait()
            raise GoneError
        if delivery == "hold" or request.step.held:
            since = time.monotonic()
            while (released := scenario.is_released(since)) is None:
                await self._pause(_POLL)
            scenario.note(request, released=released)
        if delivery == "reset":
            # Closing a socket that does not linger sends RST instead of FIN.
            found: socket.socket = self._transport.get_extra_info("socket")
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()
        elif delivery == "cut":
            self._transport.close()
        if delivery in {"reset", "cut"}:
            raise ConnectionError

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._gone.wait(), seconds)
        if self._gone.is_set():
            raise GoneError

    def _send_head(self, reply: Reply, number: int) -> None:
        try:
            phrase = HTTPStatus(reply.status).phrase
        except ValueError:  # 529 is nobody's standard
            phrase = "Overloaded"
        length = sum(len(part) for part in reply.parts)
        framing = {"transfer-encoding": "chunked"} if reply.streamed else {"content-length": str(length)}
        identity = {"x-request-id": f"req_{number:032x}", "request-id": f"req_{number:032x}"}
        headers = {"content-type": reply.content_type, **framing, **identity, **reply.headers}
        lines = [f"HTTP/1.1 {reply.status} {phrase}", *(f"{name}: {value}" for name, value in headers.items())]
        self._transport.write("\r\n".join([*lines, "", ""]).encode("latin-1"))

    def _send(self, reply: Reply, parts: list[bytes], *, end: bool = True, each_byte: bool = False) -> None:
        for part in [bytes([byte]) for byte in b"".join(parts)] if each_byte else parts:
            self._transport.write(b"%x\r\n%b\r\n" % (len(part), part) if reply.streamed else part)
        if end and reply.streamed:
            self._transport.write(b"0\r\n\r\n")
