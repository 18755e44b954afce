"""Stores as they are named on the command line: NAME, or NAME:KEY=VALUE,KEY=VALUE."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ctxkit_conformance.options import parsed_options

_NEXT_OPTION = re.compile(r",(?=\w+=)")


@dataclass(frozen=True)
class Named:
    """One store with the options that it is measured under; `text` is how it was typed."""

    text: str
    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


def parsed(text: str) -> Named:
    """Return what `faiss:index_type=HNSW,m=16` or `distribution:name:m=16` says; raises ConfigError."""
    before, equals, _ = text.partition("=")
    name, colon, _ = before.rpartition(":")
    if not equals or not colon:
        return Named(text, text)
    return Named(text, name, parsed_options(_NEXT_OPTION.split(text[len(name) + 1 :])))
