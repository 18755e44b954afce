"""How long it may take until a connection stands, with the look-up of a name and every address that it has.

An event loop bounds both by itself. Calls that wait do not: looking a name up may take as long as the system likes, and
each address is given the whole time to connect.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
import urllib.request
from typing import Final
from urllib.parse import urlsplit

_LONGEST: Final = 10.0  # seconds until a connection stands, at most
_FRESH: Final = 30.0  # seconds for which a look-up that worked need not be made again


class Reach:
    """Looks the name of an address up in bounded time, and shares the time to connect among its addresses."""

    def __init__(self, address: str, timeout: float) -> None:
        parts = urlsplit(address)
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        # Half for the look-up and half for connecting: together no more than the timeout.
        self._patience = min(timeout / 2, _LONGEST)
        self._known_until = float("inf") if _is_literal(self._host) else 0.0
        self._addresses = 1

    @property
    def connect_timeout(self) -> float:
        """How many seconds each address may take."""
        return self._patience / self._addresses

    def check(self) -> None:
        """Look the name up, unless that worked a moment ago or a proxy does it; raises TimeoutError."""
        now = time.monotonic()
        if now < self._known_until:
            return
        if urllib.request.getproxies():
            self._known_until = now + _FRESH
            return
        found: list[int] = []
        worker = threading.Thread(target=self._look_up, args=(found,), name="ctxkit-look-up", daemon=True)
        worker.start()
        worker.join(self._patience)
        if worker.is_alive():
            raise TimeoutError(f"the name {self._host} could not be looked up in time")
        if found:  # otherwise the call itself learns why, at once
            self._addresses = max(found[0], 1)
            self._known_until = time.monotonic() + _FRESH

    def _look_up(self, found: list[int]) -> None:
        try:
            answers = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            return
        found.append(len({answer[4][0] for answer in answers}))


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
