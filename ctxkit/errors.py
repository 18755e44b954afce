"""Every exception ctxkit raises on purpose, as one tree.

CtxkitError
  ConfigError                     a configuration value, file or environment variable is wrong
  PluginError                     a plugin cannot be used
    PluginNotFoundError           no installed plugin provides that name
    PluginLoadError               the plugin is installed but failed to load
    AmbiguousPluginError          two distributions provide that name
    MissingDependencyError        the plugin needs a package that is not installed
  StoreError                      a vector store refused or failed
    DimensionMismatchError        the collection holds vectors of another length
    MetricMismatchError           the collection was made for another metric
    FingerprintMismatchError      the collection was embedded by another model
    InvalidRecordError            a record breaks the value rules; nothing was written
    InvalidQueryError             k < 1, NaN, a wrong dimension, a zero vector under cosine
    InvalidFilterError            a `where` filter is malformed; the message names the place
    UnsupportedError              the backend does not declare this capability
    CollectionNotFoundError       no such collection, or it was dropped
    StoreClosedError              the handle was closed
    StoreLockedError              another process holds the store
    StoreCorruptError             stored bytes do not match their checksum
    StoreFullError                the disk is full; the previous state is intact
    FormatVersionError            the directory was written by another format version
    StoreUnavailableError         the store cannot be reached, read or written
  EmbedderError                   an embedding model failed to load or to embed
    EmbedderTimeoutError          it did not answer in time
  TokenizerError                  a tokenizer failed to load, or text cannot be tokenized
  LLMError                        a language model call failed
    RateLimitedError              the provider wants fewer calls; `retry_after` says when to ask again
    AuthenticationFailedError     the key is missing, wrong, another provider's, or not allowed to do this
    ModelNotFoundError            the provider has no such model, or not for this key
    ContextTooLongError           the messages do not fit the model's context
    ContentRefusedError           the provider or the model refused to answer
    ProviderUnavailableError      the provider cannot be reached, failed, or gave no answer that can be read
    ProviderTimeoutError          the provider did not answer in time
  ContextError                    a prompt cannot be built
    BudgetTooSmallError           the question alone does not fit the token budget
  IngestError                     a path given for ingestion cannot be read

Each message says what happened and, after "Fix:", what to do. Where a backend or a collection is
involved, the message names it, and the attributes `backend` and `collection` hold it.
"""

from __future__ import annotations

__all__ = [
    "AmbiguousPluginError",
    "AuthenticationFailedError",
    "BudgetTooSmallError",
    "CollectionNotFoundError",
    "ConfigError",
    "ContentRefusedError",
    "ContextError",
    "ContextTooLongError",
    "CtxkitError",
    "DimensionMismatchError",
    "EmbedderError",
    "EmbedderTimeoutError",
    "FingerprintMismatchError",
    "FormatVersionError",
    "IngestError",
    "InvalidFilterError",
    "InvalidQueryError",
    "InvalidRecordError",
    "LLMError",
    "MetricMismatchError",
    "MissingDependencyError",
    "ModelNotFoundError",
    "PluginError",
    "PluginLoadError",
    "PluginNotFoundError",
    "ProviderTimeoutError",
    "ProviderUnavailableError",
    "RateLimitedError",
    "StoreClosedError",
    "StoreCorruptError",
    "StoreError",
    "StoreFullError",
    "StoreLockedError",
    "StoreUnavailableError",
    "TokenizerError",
    "UnsupportedError",
]


class CtxkitError(Exception):
    """Base of every error raised on purpose.

    `message` is the cause, `fix` the remedy (may be None), `backend` and `collection` where it happened.
    """

    def __init__(
        self,
        message: str,
        *,
        fix: str | None = None,
        backend: str | None = None,
        collection: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix
        self.backend = backend
        self.collection = collection

    def __str__(self) -> str:
        where = "/".join(part for part in (self.backend, self.collection) if part)
        text = f"{where}: {self.message}" if where else self.message
        return f"{text} Fix: {self.fix}" if self.fix else text

    def as_dict(self) -> dict[str, str | None]:
        """Return the kind, the cause and the fix as plain JSON values."""
        return {"type": type(self).__name__, "message": self.message, "fix": self.fix}

    def __reduce__(self) -> tuple[object, ...]:
        # The default rebuilds an exception from positional arguments alone and would lose the keywords
        # when an error crosses a process boundary.
        return (_rebuild, (type(self), self.message, self.fix, self.backend, self.collection))


def _rebuild(
    cls: type[CtxkitError], message: str, fix: str | None, backend: str | None, collection: str | None
) -> CtxkitError:
    return cls(message, fix=fix, backend=backend, collection=collection)


class ConfigError(CtxkitError):
    """A configuration value, file or environment variable is wrong."""


class PluginError(CtxkitError):
    """A plugin cannot be used."""


class PluginNotFoundError(PluginError):
    """No installed plugin provides the requested name."""


class PluginLoadError(PluginError):
    """An installed plugin failed to load; `__cause__` is its own exception."""


class AmbiguousPluginError(PluginError):
    """Several distributions provide the requested name."""


class MissingDependencyError(PluginError):
    """A plugin needs a package that is not installed."""


class StoreError(CtxkitError):
    """A vector store refused a request or failed."""


class DimensionMismatchError(StoreError):
    """The collection holds vectors of another length."""


class MetricMismatchError(StoreError):
    """The collection was made for another metric."""


class FingerprintMismatchError(StoreError):
    """The collection was embedded by another model."""


class InvalidRecordError(StoreError):
    """A record breaks the value rules; nothing of its batch was written."""


class InvalidQueryError(StoreError):
    """A query breaks the value rules: k, vector values or dimension."""


class InvalidFilterError(StoreError):
    """A `where` filter is malformed; the message names the place."""


class UnsupportedError(StoreError):
    """The backend does not declare the capability that was asked for."""


class CollectionNotFoundError(StoreError):
    """There is no such collection, or it was dropped."""


class StoreClosedError(StoreError):
    """The handle was closed."""


class StoreLockedError(StoreError):
    """Another process holds the store."""


class StoreCorruptError(StoreError):
    """Stored bytes do not match their checksum."""


class StoreFullError(StoreError):
    """There is no room left to write; the previous state is intact."""


class FormatVersionError(StoreError):
    """The directory was written by another format version."""


class StoreUnavailableError(StoreError):
    """The store cannot be reached, read or written."""


class EmbedderError(CtxkitError):
    """An embedding model failed to load or to embed."""


class EmbedderTimeoutError(EmbedderError):
    """An embedding model did not answer in time."""


class TokenizerError(CtxkitError):
    """A tokenizer failed to load, or text cannot be tokenized."""


class LLMError(CtxkitError):
    """A language model call failed."""


class RateLimitedError(LLMError):
    """The provider wants fewer calls; `retry_after` is how many seconds it asks to wait, None where it does not say."""

    def __init__(
        self,
        message: str,
        *,
        fix: str | None = None,
        backend: str | None = None,
        collection: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, fix=fix, backend=backend, collection=collection)
        self.retry_after = retry_after

    def __reduce__(self) -> tuple[object, ...]:
        return (*super().__reduce__(), {"retry_after": self.retry_after})


class AuthenticationFailedError(LLMError):
    """The key is missing, wrong, another provider's, or not allowed to do this."""


class ModelNotFoundError(LLMError):
    """The provider has no such model, or not for this key."""


class ContextTooLongError(LLMError):
    """The messages do not fit the model's context."""


class ContentRefusedError(LLMError):
    """The provider or the model refused to answer."""


class ProviderUnavailableError(LLMError):
    """The provider cannot be reached, failed, or gave no answer that can be read."""


class ProviderTimeoutError(LLMError):
    """The provider did not answer in time."""


class ContextError(CtxkitError):
    """A prompt cannot be built."""


class BudgetTooSmallError(ContextError):
    """The question alone does not fit the token budget."""


class IngestError(CtxkitError):
    """A path given for ingestion cannot be read."""
