"""From Chroma's errors to typed ones that name cause and fix."""

from __future__ import annotations

import errno
import resource
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, NoReturn

from ctxkit.errors import (
    CollectionNotFoundError,
    CtxkitError,
    MissingDependencyError,
    StoreCorruptError,
    StoreError,
    StoreFullError,
    StoreLockedError,
    StoreUnavailableError,
)

BACKEND = "chroma"


def _broken(error: ImportError) -> MissingDependencyError:
    return MissingDependencyError(
        f"chromadb cannot be imported: {error}.", fix="pip install ctxkit-chroma", backend=BACKEND
    )


try:
    # Every module of this package that needs chromadb imports this one first.
    import httpx
    from chromadb import errors as raw
except ImportError as error:
    raise _broken(error) from error

_FULL_NUMBERS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_FULL = ("disk is full", "no space left", "(code: 13)", "file too large", "quota exceeded")
_LOCKED = ("database is locked", "(code: 5)", "database table is locked")
_DAMAGED = ("malformed", "not a database", "corrupt", "no such table", "no such column", "(code: 11)", "(code: 26)")
_LIMITED = ("disk i/o error", "(code: 10)", "os error 27", "(code: 778)", "(code: 4874)")
_LONGEST = 300
_ANY_FIX = "check host, port, ssl, tenant, database, token and headers, and that a Chroma server answers there."
_REMOTE_FIXES = (
    (("certificate",), "set ssl_verify to the file of the authority that signed the server's certificate."),
    (("http 401", "http 403", "chromaautherror"), "correct token or headers."),
    (("tenant [", "database ["), "make the database on the server, or correct tenant and database."),
    (
        ("refused", "name or service", "nodename nor servname"),
        "start the server (`chroma run`), or correct host and port.",
    ),
    (("timeout",), "look at the server, or allow it more time with timeout."),
)


@dataclass(frozen=True, slots=True)
class Scene:
    """Where an error happened: what every message names, and the words that none may hold."""

    where: str
    collection: str | None = None
    remote: bool = False
    secrets: tuple[str, ...] = ()

    def clean(self, cause: object) -> str:
        """Return a foreign message in one line, cut, and without credentials."""
        text = " ".join(str(cause).split()) or type(cause).__name__
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."

    def gone(self) -> CollectionNotFoundError:
        """Return the error of a handle whose collection was dropped."""
        return CollectionNotFoundError(
            "the collection was dropped since this handle was opened.",
            fix="open it again.",
            backend=BACKEND,
            collection=self.collection,
        )

    def missing(self) -> CollectionNotFoundError:
        """Return the error of a name that is not there."""
        return CollectionNotFoundError(
            f"there is no collection {self.collection!r} in {self.where}.",
            fix="open it once to make it, or check the name with `list_collections`.",
            backend=BACKEND,
            collection=self.collection,
        )

    def full(self, cause: object) -> StoreFullError:
        """Return the error of a write for which there is no room."""
        return StoreFullError(
            f"there is no room left in {self.where}: {self.clean(cause)}.",
            fix="free some space; what was acknowledged before is still there.",
            backend=BACKEND,
            collection=self.collection,
        )

    def corrupt(self, cause: object) -> StoreCorruptError:
        """Return the error of data that Chroma cannot read."""
        return StoreCorruptError(
            f"Chroma cannot read {self.where}: {self.clean(cause)}.",
            fix="restore the directory from a copy; Chroma itself cannot repair it.",
            backend=BACKEND,
            collection=self.collection,
        )

    def overwritten(self, record_id: str, key: str) -> StoreCorruptError:
        """Return the error of a record whose exact metadata cannot be read."""
        return StoreCorruptError(
            f"the record {record_id!r} cannot be read: another client has written over its key {key!r}.",
            fix="write the record again with `upsert`, or delete it by its id.",
            backend=BACKEND,
            collection=self.collection,
        )

    def unavailable(self, cause: object) -> StoreUnavailableError:
        """Return the error of a server, or a directory, that does not answer as it should."""
        said = self.clean(cause)
        fix = "check that the directory may be read and written, and that nothing else has opened it."
        if self.remote:
            fix = next((fix for words, fix in _REMOTE_FIXES if any(word in said.lower() for word in words)), _ANY_FIX)
        return StoreUnavailableError(
            f"{self.where} cannot be used: {said}.",
            fix=fix,
            backend=BACKEND,
            collection=self.collection,
        )

    def locked(self, cause: object) -> StoreLockedError:
        """Return the error of a directory that somebody else has open, or of a server on which somebody is deleting."""
        fix = "close it there first, or run a server (`chroma run`) and set `host` in every process."
        if self.remote:
            fix = "try again when the server has less to do, or wait longer with timeout."
        return StoreLockedError(
            f"{self.where} is in use: {self.clean(cause)}.", fix=fix, backend=BACKEND, collection=self.collection
        )

    def overtaken(self) -> StoreLockedError:
        """Return the error of what was done while another client took the lock."""
        return StoreLockedError(
            "what was to be done is done, but this process stood still for so long meanwhile that another client took"
            " the lock: what was deleted here, it may have counted as well.",
            fix="count what is left where the number matters.",
            backend=BACKEND,
            collection=self.collection,
        )


# By words of the message, because Chroma's own types do not tell one failure of its database from another.
_WORDS: Final[Sequence[tuple[tuple[str, ...], Callable[[Scene, object], StoreError]]]] = (
    (_FULL, Scene.full),
    (_LOCKED, Scene.locked),
    (_DAMAGED, Scene.corrupt),
)


@contextmanager
def guarded(scene: Scene) -> Iterator[None]:
    """Turn whatever Chroma raises inside the block into a typed error; a panic of its native part too."""
    try:
        yield
    except (CtxkitError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except ImportError as error:
        raise _broken(error) from error
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        _raise(error, scene)


def _raise(error: BaseException, scene: Scene) -> NoReturn:
    typed = _typed(error, scene)
    if any(secret in str(part) for part in (error, error.__cause__, error.__context__) for secret in scene.secrets):
        raise typed from None
    raise typed from error


def _typed(error: BaseException, scene: Scene) -> StoreError:
    message = str(error).lower()
    if isinstance(error, raw.NotFoundError) and "collection" in message:
        return scene.gone()
    if isinstance(error, (httpx.HTTPError, httpx.StreamError, ConnectionError, TimeoutError)):
        return scene.unavailable(f"{type(error).__name__}: {error}")
    if isinstance(error, OSError):
        cause = error.strerror or error
        return scene.full(cause) if error.errno in _FULL_NUMBERS else scene.unavailable(cause)
    words = [*_WORDS, (_LIMITED, Scene.full)] if _at_a_limit() else _WORDS
    for known, made in words:
        if any(word in message for word in known):
            return made(scene, error)
    if type(error).__name__ == "PanicException":
        return scene.corrupt(error)
    return scene.unavailable(f"{_status(error) or type(error).__name__}: {error}")


def _status(error: BaseException) -> str:
    """Return the status of the HTTP answer that Chroma's client made an exception of, without a word of it."""
    refused = error.__context__
    return f"HTTP {refused.response.status_code}" if isinstance(refused, httpx.HTTPStatusError) else ""


def _at_a_limit() -> bool:
    return resource.getrlimit(resource.RLIMIT_FSIZE)[0] != resource.RLIM_INFINITY
