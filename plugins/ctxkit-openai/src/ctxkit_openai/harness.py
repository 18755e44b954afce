"""How the conformance suite examines these components: against its own server, in the format of OpenAI."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from ctxkit.interfaces import Harness

_WIRE_FORMAT: Final = "openai"


class OpenAIHarness(Harness):
    """Both endpoints of the language model are examined."""

    wire_format: ClassVar[str] = _WIRE_FORMAT
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {"chat": {"api": "chat"}, "responses": {"api": "responses"}}


class OpenAIEmbedderHarness(Harness):
    """The embedder at the model's own length of vectors, and at a shorter one."""

    wire_format: ClassVar[str] = _WIRE_FORMAT
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "text-embedding-3-small": {},
        "dimension 256": {"dimension": 256},
    }
