"""Requests of Chroma's client on the standard library's connections.

What carries them in httpx, with its parser of HTTP, works for as long on each request as all the rest of a query takes
in its client: here it is half. TLS, proxies and cookies are left to httpx.
"""

from __future__ import annotations

import select
from contextlib import suppress
from functools import lru_cache
from http.client import HTTPConnection
from typing import Any, Final
from urllib.request import getproxies, proxy_bypass

import httpx

_ADDRESSES: Final = 64


def is_direct(host: str) -> bool:
    """Whether nothing that the environment names stands between here and a host."""
    proxies = getproxies()
    return not (proxies.get("http") or proxies.get("all")) or bool(proxy_bypass(host))


class Wire:
    """Takes over the requests of a session, whose headers and timeout it keeps; of use to several threads at once."""

    def __init__(self, session: Any, timeout: float) -> None:
        self._session = session
        self._others = session.request
        self._timeout = timeout
        self._headers = {**session.headers, "accept-encoding": "identity"}
        self._asked = lru_cache(maxsize=_ADDRESSES)(httpx.Request)
        self._idle: list[HTTPConnection] = []
        session.request = self._request

    def close(self) -> None:
        """Close the connections that nobody uses."""
        idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _request(self, method: str, url: str, *, content: bytes | None = None, **more: Any) -> httpx.Response:
        if more:
            answer: httpx.Response = self._others(method, url, content=content, **more)
            return answer
        asked = self._asked(method, url)
        connection = self._connection(asked.url)
        try:
            connection.request(asked.method, asked.url.raw_path.decode("ascii"), content, self._headers)
            found = connection.getresponse()
            body = found.read()
        except BaseException:
            connection.close()
            raise
        self._idle.append(connection)
        answer = httpx.Response(found.status, headers=found.getheaders(), content=body, request=asked)
        if "set-cookie" in answer.headers:
            self._session.cookies.extract_cookies(answer)
            self._session.request = self._others
        return answer

    def _connection(self, address: httpx.URL) -> HTTPConnection:
        """Return a connection that is open, or will be; the server may have closed what was idle."""
        with suppress(IndexError):  # as soon as there is none left, which another thread may have taken
            while True:
                connection = self._idle.pop()
                if connection.sock is None or not _is_readable(connection.sock):
                    return connection
                connection.close()
        return HTTPConnection(address.host, address.port, timeout=self._timeout)


def _is_readable(found: Any) -> bool:
    poll = select.poll()
    poll.register(found, select.POLLIN)
    return bool(poll.poll(0))
