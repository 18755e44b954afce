"""How one endpoint of a provider is spoken: what is sent, and how its answers are read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

from ctxkit.interfaces.llm import Completion


class StreamReader(ABC):
    """Reads the events of one stream."""

    @abstractmethod
    def feed(self, event: Any) -> str:
        """Return the text that an event brings, often none; raises LLMError for an event that reports an error."""

    @abstractmethod
    def completion(self) -> Completion:
        """Return the whole answer when no event comes any more.

        Raises ProviderUnavailableError where the provider's last event is missing, ContentRefusedError for a refusal.
        """


class Dialect(ABC):
    """One endpoint, through the vendor's own library. Holds no state of a call."""

    @abstractmethod
    def create(self, client: Any) -> Callable[..., Any]:
        """Return the client's method that asks for an answer."""

    @abstractmethod
    def arguments(self, model: str, messages: list[dict[str, Any]], options: Mapping[str, Any]) -> dict[str, Any]:
        """Return what that method is called with. The messages are checked, and may be changed."""

    @abstractmethod
    def streaming(self) -> dict[str, Any]:
        """Return what is added to the arguments for an answer in pieces."""

    @abstractmethod
    def completion(self, answer: Any) -> Completion:
        """Return what an answer holds; raises ContentRefusedError, or ProviderUnavailableError where it is none.

        An AttributeError, LookupError, TypeError or ValueError while it is read counts as an answer that is none.
        """

    @abstractmethod
    def reader(self) -> StreamReader:
        """Return a reader for one stream."""
