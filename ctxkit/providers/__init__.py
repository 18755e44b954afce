"""What the adapters of providers share: keys, retries, errors, clients. For plugin authors; imports no vendor library.

An adapter derives from `ProviderLLM`, says who its provider is in a `Provider` and what library asks it in a
`VendorLibrary`, and writes a `Dialect` for each of the provider's endpoints. Keys, masking, retries, timeouts, event
loops and errors are the same for all of them.
"""

from __future__ import annotations

from ctxkit.providers.clients import Clients
from ctxkit.providers.config import ProviderConfig, ProviderLLMConfig
from ctxkit.providers.dialect import Dialect, StreamReader
from ctxkit.providers.failures import Circumstances, Failure, ReportedError, refused, translated, unreadable
from ctxkit.providers.keys import KeySource, masked
from ctxkit.providers.library import VendorLibrary
from ctxkit.providers.llm import ProviderLLM
from ctxkit.providers.messages import checked_messages, well_formed
from ctxkit.providers.parameters import Parameters
from ctxkit.providers.provider import Provider
from ctxkit.providers.reach import Reach
from ctxkit.providers.retrying import Attempts
from ctxkit.providers.streams import AnswerStream, AsyncAnswerStream

__all__ = [
    "AnswerStream",
    "AsyncAnswerStream",
    "Attempts",
    "Circumstances",
    "Clients",
    "Dialect",
    "Failure",
    "KeySource",
    "Parameters",
    "Provider",
    "ProviderConfig",
    "ProviderLLM",
    "ProviderLLMConfig",
    "Reach",
    "ReportedError",
    "StreamReader",
    "VendorLibrary",
    "checked_messages",
    "masked",
    "refused",
    "translated",
    "unreadable",
    "well_formed",
]
