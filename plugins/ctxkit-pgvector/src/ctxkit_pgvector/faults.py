"""From PostgreSQL's errors to typed ones that name cause and fix, and hold no password."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import psycopg
from psycopg import errors as raw
from psycopg_pool import PoolClosed, PoolTimeout, TooManyRequests

from ctxkit.errors import (
    CollectionNotFoundError,
    CtxkitError,
    InvalidQueryError,
    InvalidRecordError,
    StoreClosedError,
    StoreCorruptError,
    StoreFullError,
    StoreLockedError,
    StoreUnavailableError,
)

BACKEND: Final = "pgvector"
RAISED: Final = (psycopg.Error, OSError, UnicodeError)
# What a transaction may simply be tried again for, as nothing of it was done.
TRY_AGAIN: Final = (raw.DeadlockDetected, raw.SerializationFailure)
_LONGEST: Final = 300
_FILE_TOO_LARGE: Final = "File too large"  # EFBIG has no code of its own
_ANY_FIX: Final = "look at the server and its log, and correct conninfo or the environment of libpq (PGHOST, ...)."
_FIXES: Final = (
    ("password", "set PGPASSWORD, or name a service or a password file that holds the right password."),
    ("does not match host name", "correct host, or give the server a certificate for that name."),
    ("certificate", "set sslrootcert to the authority that signed the server's certificate."),
    ("ssl", "correct sslmode, or switch TLS on at the server."),
    ("refused", "start the server, or correct host and port."),
    ("translate host name", "correct the host."),
    ("does not exist", "make the database or the role, or correct conninfo."),
    ("session is read-only", "name the host that takes writes, or wait for the failover."),
    ("pg_hba", "let the server's pg_hba.conf admit this user from this address."),
    ("timeout", "look at the server and the network, or allow more time."),
)


@dataclass(frozen=True, slots=True)
class Scene:
    """Where an error happened: what every message names, and the words that none may hold."""

    where: str
    collection: str | None = None
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def clean(self, cause: object) -> str:
        """Return a foreign message in one line, cut, and without credentials."""
        text = str(cause)
        for secret in self.secrets:
            text = text.replace(secret, "***")
        text = " ".join(text.split()) or type(cause).__name__
        return (text if len(text) <= _LONGEST else f"{text[:_LONGEST]}...").rstrip(".")

    def error(self, kind: type[CtxkitError], message: str, fix: str) -> CtxkitError:
        """Return an error of this scene."""
        return kind(message, fix=fix, backend=BACKEND, collection=self.collection)

    def gone(self) -> CtxkitError:
        """Return the error of a handle whose collection was dropped."""
        message = "the collection was dropped since this handle was opened."
        return self.error(CollectionNotFoundError, message, "open it again.")

    def missing(self) -> CtxkitError:
        """Return the error of a name that is not there."""
        return self.error(
            CollectionNotFoundError,
            f"there is no collection {self.collection!r} in {self.where}.",
            "open it once to make it, or check the name with `list_collections`.",
        )

    def closed(self) -> CtxkitError:
        """Return the error of a handle that was closed."""
        return self.error(StoreClosedError, "the store was closed.", "open it again.")

    def unavailable(self, cause: object, fix: str | None = None) -> CtxkitError:
        """Return the error of a server that does not do what it is asked."""
        said = self.clean(cause)
        found = fix or next((fix for words, fix in _FIXES if words in said.lower()), _ANY_FIX)
        return self.error(StoreUnavailableError, f"{self.where} cannot be used: {said}.", found)


def _full(scene: Scene, error: BaseException) -> CtxkitError:
    return scene.error(
        StoreFullError,
        f"there is no room left in {scene.where}: {scene.clean(error)}.",
        "make room on the server's disk, or raise its limit; what was acknowledged before is still there.",
    )


def _locked(scene: Scene, error: BaseException) -> CtxkitError:
    return scene.error(
        StoreLockedError,
        f"another session held what is needed for too long: {scene.clean(error)}.",
        "try again, or raise `lock_timeout`.",
    )


def _slow(scene: Scene, error: BaseException) -> CtxkitError:
    fix = "raise `statement_timeout`, ask for less, or call `optimize()` once after a large import."
    return scene.unavailable(error, fix)


def _corrupt(scene: Scene, error: BaseException) -> CtxkitError:
    return scene.error(
        StoreCorruptError,
        f"the server cannot read what it has stored: {scene.clean(error)}.",
        "restore the database from a backup; see its log for the file.",
    )


def _refused(scene: Scene, error: BaseException) -> CtxkitError:
    said = getattr(getattr(error, "diag", None), "constraint_name", None)
    return scene.error(
        InvalidRecordError,
        f"a record has a value of another type in a declared field ({said}).",
        "pass a value of the declared type; `describe_collection` shows the fields.",
    )


def _unencodable(scene: Scene, error: BaseException) -> CtxkitError:
    return scene.error(
        InvalidQueryError,
        f"a name or a value that was asked for has a lone surrogate, which no record has: {scene.clean(error)}.",
        "take it out, or text.encode('utf-8', 'replace').decode().",
    )


def _forbidden(scene: Scene, error: BaseException) -> CtxkitError:
    return scene.unavailable(error, "give this role the rights that docs/postgres.md lists, or use another role.")


def _read_only(scene: Scene, error: BaseException) -> CtxkitError:
    return scene.unavailable(
        error, "name all hosts in conninfo with target_session_attrs=read-write; this one takes no writes."
    )


_KINDS: Final[tuple[tuple[tuple[type[BaseException], ...], Callable[[Scene, BaseException], CtxkitError]], ...]] = (
    ((raw.UndefinedTable, raw.InvalidSchemaName), lambda scene, _error: scene.gone()),
    ((raw.DiskFull, raw.ConfigurationLimitExceeded), _full),
    ((raw.LockNotAvailable, *TRY_AGAIN), _locked),
    ((raw.QueryCanceled,), _slow),
    ((raw.DataCorrupted, raw.IndexCorrupted), _corrupt),
    ((raw.CheckViolation,), _refused),
    ((UnicodeError,), _unencodable),
    ((raw.InsufficientPrivilege,), _forbidden),
    ((raw.ReadOnlySqlTransaction,), _read_only),
    ((PoolClosed,), lambda scene, _error: scene.closed()),
    (
        (PoolTimeout, TooManyRequests),
        lambda scene, error: scene.unavailable(error, "look at the server, or raise `pool_size` or `pool_timeout`."),
    ),
)


def typed(error: BaseException, scene: Scene) -> CtxkitError:
    """Return the typed error for one of psycopg's."""
    if _FILE_TOO_LARGE in str(error):
        return _full(scene, error)
    for kinds, made in _KINDS:
        if isinstance(error, kinds):
            return made(scene, error)
    code = getattr(error, "sqlstate", None)
    return scene.unavailable(f"{error} (SQLSTATE {code})" if code else error)


@contextmanager
def guarded(scene: Scene) -> Iterator[None]:
    """Turn whatever psycopg raises inside the block into a typed error."""
    try:
        yield
    except RAISED as error:
        found = typed(error, scene)
        if any(secret in str(error) for secret in scene.secrets):
            raise found from None
        raise found from error


def is_lost(error: BaseException) -> bool:
    """Whether the connection is gone, other than by what was asked."""
    if isinstance(
        error, (raw.AdminShutdown, raw.CrashShutdown, raw.CannotConnectNow, raw.IdleInTransactionSessionTimeout)
    ):
        return True
    return isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)) and error.sqlstate is None
