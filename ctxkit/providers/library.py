"""The clients of a vendor's library: those of OpenAI and Anthropic are made by one generator, and so are siblings."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any, Final

_UNSET: Final = "not looked up yet"  # each call sets its own key


@dataclass(frozen=True)
class VendorLibrary:
    """A library by the name of its module; `client` is its class that waits, whose sibling is called `Async...`.

    It is imported when the first client is made, which may take seconds.
    """

    module: str
    client: str

    def make_client(self, address: str, timeout: float, connect: float) -> Any:
        """Return a client that waits: without retries of its own, and without following anybody elsewhere.

        `timeout` is how many seconds of silence are too many, `connect` how many an address may take to connect.
        """
        return self._made(self.client, "DefaultHttpxClient", address, timeout, connect)

    def make_async_client(self, address: str, timeout: float, connect: float) -> Any:
        """Return an asynchronous client, otherwise the same."""
        return self._made(f"Async{self.client}", "DefaultAsyncHttpxClient", address, timeout, connect)

    def _made(self, client: str, http: str, address: str, timeout: float, connect: float) -> Any:
        library: Any = importlib.import_module(self.module)
        limits = library.Timeout(timeout, connect=connect)
        # A redirection would take the key to another host.
        inner = getattr(library, http)(timeout=limits, follow_redirects=False)
        made = getattr(library, client)
        return made(api_key=_UNSET, base_url=address, timeout=limits, max_retries=0, http_client=inner)
