"""How the conformance suite examines these tokenizers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from ctxkit.interfaces import Harness


class TiktokenHarness(Harness):
    """Both encodings of current models; where a vocabulary is missing, the estimate is what gets examined."""

    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "o200k_base": {"encoding": "o200k_base"},
        "cl100k_base": {"encoding": "cl100k_base"},
    }


class HuggingFaceHarness(Harness):
    """A small byte-level vocabulary inside the package, because a tokenizer without a file is none."""

    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "byte-level": {"file": Path(__file__).with_name("example.json")}
    }
