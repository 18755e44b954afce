"""Why a model did not load: network, disk, memory or name, and what to do about it. For plugins that load models."""

from __future__ import annotations

import errno
import json
import os
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from ctxkit.errors import EmbedderError

Reason: TypeAlias = Literal["network", "disk", "memory", "name", "library"]

_WITHOUT: Final = "use the embedder that needs nothing: provider 'static' (pip install ctxkit-static)."
_WORDS: Final[dict[Reason, str]] = {
    "network": "it is not on this machine, and the hub cannot be reached",
    "disk": "its files cannot be written or read",
    "memory": "there is not enough memory for it",
    "name": "there is no such model, or it is not open to you",
}
# By name, because versions of the hub's client speak through different libraries: requests, httpx and others.
_NETWORK: Final = frozenset(
    {
        "ConnectError",
        "ConnectTimeout",
        "ConnectionError",
        "NetworkError",
        "OfflineModeIsEnabled",
        "ProtocolError",
        "ProxyError",
        "SSLError",
        "Timeout",
        "TimeoutException",
        "TransportError",
    }
)
_NO_SUCH_NAME: Final = frozenset(
    {"GatedRepoError", "HFValidationError", "RepositoryNotFoundError", "RevisionNotFoundError"}
)
_DAMAGED: Final = frozenset({"IncompleteSnapshotError", "SafetensorError", "UnpicklingError"})
_OUT_OF_MEMORY: Final = frozenset({"MemoryError", "OutOfMemoryError"})
_DISK_ERRNO: Final = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ENOTDIR}
)
_REFUSED: Final = frozenset({401, 403, 404})
_BUSY: Final = frozenset({408, 429})
_SERVER_FAULT: Final = 500
_NO_MEMORY: Final = re.compile("allocate memory|not enough memory|out of memory", re.IGNORECASE)
_KEY: Final = re.compile(r"hf_\w+")
_LONGEST = 200


def told_offline() -> bool:
    """Whether the environment forbids the network: HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE."""
    named = (os.environ.get(name, "") for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"))
    return any(value.upper() in {"1", "ON", "YES", "TRUE"} for value in named)


@dataclass(frozen=True)
class LoadFailures:
    """Tells one embedder's failures to load: `backend` is its name, `smaller` what to choose where memory is short."""

    backend: str
    smaller: str

    def failed(self, model: str, reason: Reason, what: str) -> EmbedderError:
        """Return the error for a model that did not load; `what` is a sentence that begins in lower case."""
        fix: dict[Reason, str] = {
            "network": "connect to the network for the first use, name the folder of a model as `model`, or ",
            "disk": "make room or correct the rights, remove what is damaged so that it is fetched again, or ",
            "memory": f"choose {self.smaller}, or ",
            "name": "correct `model`; for a private one set HF_TOKEN; or ",
            "library": "see the cause of this error, or ",
        }
        message = f"Failed to load embedding model {model!r} ({reason}): {what}"
        return EmbedderError(message, fix=fix[reason] + _WITHOUT, backend=self.backend)

    def explained(self, exc: BaseException, model: str) -> EmbedderError:
        """Return what an exception of the libraries means; the exception itself belongs into the error's cause."""
        if isinstance(exc, EmbedderError):
            return exc
        for each in _chain(exc):
            reason = _reason(each)
            if reason is not None:
                return self.failed(model, reason, f"{_WORDS[reason]} ({_brief(each)}).")
        return self.failed(model, "library", f"{_brief(exc)}.")


def out_of_memory(exc: BaseException) -> bool:
    """Whether an exception, or what caused it, says that there was no memory left."""
    return any(_reason(each) == "memory" for each in _chain(exc))


def _reason(exc: BaseException) -> Reason | None:
    """Return what one exception says by itself."""
    kinds = {kind.__name__ for kind in type(exc).__mro__}
    number = getattr(exc, "errno", None)
    status = getattr(getattr(exc, "response", None), "status_code", None)
    if kinds & _OUT_OF_MEMORY or number == errno.ENOMEM or _NO_MEMORY.search(str(exc)):
        return "memory"
    if number in _DISK_ERRNO or kinds & _DAMAGED or isinstance(exc, json.JSONDecodeError):
        return "disk"
    if kinds & _NO_SUCH_NAME or status in _REFUSED:
        return "name"
    unreachable = kinds & _NETWORK or isinstance(exc, (ConnectionError, TimeoutError, socket.gaierror))
    if unreachable or (status is not None and (status in _BUSY or status >= _SERVER_FAULT)):
        return "network"
    return None


def _chain(exc: BaseException) -> Iterator[BaseException]:
    """Yield an exception and what caused it, outermost first."""
    seen: set[int] = set()
    following: BaseException | None = exc
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        yield following
        following = following.__cause__ or following.__context__


def _brief(exc: BaseException) -> str:
    """Return the kind of an exception and the first line of what it says, without anything like a key."""
    first = (_KEY.sub("hf_***", str(exc)).strip().splitlines() or [""])[0]
    shown = first if len(first) <= _LONGEST else first[:_LONGEST] + "…"
    return f"{type(exc).__name__}: {shown}".rstrip(": .")
