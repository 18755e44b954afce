"""All checks of a language model adapter in one class."""

from __future__ import annotations

from ctxkit_conformance.llms.completion import CompletionChecks
from ctxkit_conformance.llms.failures import FailureChecks
from ctxkit_conformance.llms.keys import SecretChecks
from ctxkit_conformance.llms.loops import AsyncChecks
from ctxkit_conformance.llms.retries import RetryChecks
from ctxkit_conformance.llms.sharing import SharingChecks
from ctxkit_conformance.llms.streams import StreamChecks


class LLMContract(
    CompletionChecks,
    StreamChecks,
    FailureChecks,
    RetryChecks,
    AsyncChecks,
    SharingChecks,
    SecretChecks,
):
    """Everything that this version checks of a language model adapter.

    Derive a class whose name pytest collects and say what is under test, as LLMChecks describes.
    """
