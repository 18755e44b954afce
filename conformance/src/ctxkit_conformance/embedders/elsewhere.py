"""What the checks run in another process: one that may have no network."""

from __future__ import annotations

import errno
import socket
import sys
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any

from ctxkit.errors import EmbedderError
from ctxkit.interfaces import BackendConfig

_HERE = frozenset({"", "localhost", "127.0.0.1", "::1", socket.gethostname()})
_NAMES = frozenset({"socket.getaddrinfo", "socket.gethostbyname"})
_ADDRESSES = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})


class _NoNetwork:
    """An audit hook that fails whatever would leave this machine, as if no cable were plugged in, and notes it."""

    def __init__(self) -> None:
        self.attempts: list[str] = []

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Look at one event; see the table of audit events in Python's documentation."""
        if event in _NAMES:
            host = arguments[0]
        elif event in _ADDRESSES:
            # A local socket has a name in the file system for an address, not a pair.
            host = arguments[1][0] if isinstance(arguments[1], tuple) else None
        else:
            return
        host = host.decode("utf-8", "replace") if isinstance(host, bytes) else host
        if host is not None and host not in _HERE:
            self.attempts.append(f"{event} {host}")
            raise OSError(errno.ENETUNREACH, "the conformance suite allows no network here")


def embed_elsewhere(
    connection: Connection, embedder_class: type[Any], config: BackendConfig, texts: Sequence[str], *without: str
) -> None:
    """Embed texts as documents and as queries and send what came of it; `without` may be "network"."""
    guard = _NoNetwork()
    if "network" in without:
        sys.addaudithook(guard)
    answer: dict[str, Any] = {"refused": None}
    try:
        with embedder_class(config) as embedder:
            answer["fingerprint"] = embedder.fingerprint
            answer["documents"] = embedder.embed_documents(list(texts))
            answer["queries"] = [embedder.embed_query(text) for text in texts]
    except EmbedderError as error:
        answer["refused"] = str(error)
    answer["attempts"] = guard.attempts
    connection.send(answer)
