"""Who a provider is, as far as keys, addresses and messages are concerned."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Provider:
    """A provider: `name` is the backend in errors, `title` what people call it.

    `address` is its own API and `domain` that of all its hosts; `address_variable` and `key_variable` are read from
    the environment. Its keys begin with `key_prefix` and are made at `key_page`; its models are listed at `model_page`.
    """

    name: str
    title: str
    address: str
    domain: str
    address_variable: str
    key_variable: str
    key_prefix: str
    key_page: str
    model_page: str

    def address_of(self, base_url: str | None, environ: Mapping[str, str] | None = None) -> str:
        """Return the address that is asked: the configured one, that of the environment, or the provider's own."""
        found = base_url or (os.environ if environ is None else environ).get(self.address_variable, "").strip()
        return found or self.address

    def owns(self, address: str) -> bool:
        """Whether an address is one of the provider's own hosts, and not a compatible server."""
        host = urlsplit(address).hostname or ""
        return host == self.domain or host.endswith(f".{self.domain}")
