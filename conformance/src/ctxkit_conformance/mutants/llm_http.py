"""Just enough HTTP to talk to a provider, waiting and in an event loop, with a connection for each call."""

from __future__ import annotations

import asyncio
import http.client
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

_SOME: Final = 65_536


@dataclass(frozen=True)
class Request:
    """What is sent: an address, headers and a body, and how many seconds of silence are too many."""

    url: str
    headers: Mapping[str, str]
    body: bytes
    timeout: float


@dataclass(frozen=True)
class Response:
    """What comes first: a status and headers, whose names are in small letters."""

    status: int
    headers: Mapping[str, str]


@contextmanager
def exchange(request: Request) -> Iterator[tuple[Response, Iterator[bytes]]]:
    """Send a request; offer the response and its body as it comes. Raises OSError or HTTPException."""
    parts = urlsplit(request.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=request.timeout)
    try:
        connection.request("POST", parts.path, request.body, dict(request.headers))
        with connection.getresponse() as found:
            headers = {name.lower(): value for name, value in found.getheaders()}
            yield Response(found.status, headers), _body(found)
    finally:
        connection.close()


def _body(found: http.client.HTTPResponse) -> Iterator[bytes]:
    expected = found.length
    while part := found.read1(_SOME):
        yield part
        expected = None if expected is None else expected - len(part)
    if expected:
        raise http.client.IncompleteRead(b"", expected)


@asynccontextmanager
async def aexchange(request: Request) -> AsyncIterator[tuple[Response, AsyncIterator[bytes]]]:
    """Do the same in an event loop. Raises OSError, HTTPException, asyncio.IncompleteReadError or TimeoutError."""
    parts = urlsplit(request.url)
    limit = request.timeout
    reader, writer = await asyncio.wait_for(asyncio.open_connection(parts.hostname, parts.port), limit)
    try:
        headers = {"host": parts.netloc, "content-length": str(len(request.body)), **request.headers}
        lines = [f"POST {parts.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        writer.write("\r\n".join(lines).encode() + request.body)
        first, *rest = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), limit)).decode().strip().split("\r\n")
        pairs = (line.partition(":") for line in rest)
        found = Response(int(first.split()[1]), {name.lower(): value.strip() for name, _, value in pairs})
        yield found, _abody(reader, found, limit)
    finally:
        writer.transport.abort()
        await asyncio.sleep(0)  # the socket is closed in the next round of the loop


async def _abody(reader: asyncio.StreamReader, found: Response, limit: float) -> AsyncIterator[bytes]:
    if found.headers.get("transfer-encoding") != "chunked":
        yield await asyncio.wait_for(reader.readexactly(int(found.headers.get("content-length", 0))), limit)
        return
    while True:
        size = int(await asyncio.wait_for(reader.readuntil(b"\r\n"), limit), 16)
        part = await asyncio.wait_for(reader.readexactly(size + 2), limit)
        if not size:
            return
        yield part[:-2]
