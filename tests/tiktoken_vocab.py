"""The real vocabularies, from the copies inside llama-index-core: no download."""

from __future__ import annotations

import os
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import tiktoken

NAMES = ("cl100k_base", "o200k_base")


@cache
def encodings() -> dict[str, tiktoken.Encoding]:
    """Return both encodings by name; raises RuntimeError where llama-index-core or its copies are missing."""
    spec = find_spec("llama_index.core")
    folder = Path(spec.origin).parent / "_static" / "tiktoken_cache" if spec is not None and spec.origin else None
    if folder is None or not folder.is_dir():
        raise RuntimeError("these tests read tiktoken's vocabularies from llama-index-core: install it")
    before = os.environ.get("TIKTOKEN_CACHE_DIR")
    os.environ["TIKTOKEN_CACHE_DIR"] = str(folder)
    try:
        return {name: tiktoken.get_encoding(name) for name in NAMES}
    finally:
        if before is None:
            del os.environ["TIKTOKEN_CACHE_DIR"]
        else:
            os.environ["TIKTOKEN_CACHE_DIR"] = before


def real_counts(text: str) -> dict[str, int]:
    """Return the true number of tokens in each encoding, special-token text taken as plain."""
    return {name: len(encoding.encode(text, disallowed_special=())) for name, encoding in encodings().items()}
