"""How the conformance suite examines the adapter: against its own server, in the format of Anthropic."""

from __future__ import annotations

from typing import ClassVar

from ctxkit.interfaces import Harness


class AnthropicHarness(Harness):
    """Names the format."""

    wire_format: ClassVar[str] = "anthropic"
