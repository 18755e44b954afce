"""What the checks run in another process: counts to compare, and texts that might never end."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any

from ctxkit.interfaces import BackendConfig


def count_elsewhere(
    connection: Connection, tokenizer_class: type[Any], config: BackendConfig, texts: Sequence[str], how: str
) -> None:
    """Send the tokenizer's name, the counts of the texts, and with "encode" as `how` their ids."""
    tokenizer = tokenizer_class(config)
    ids = [tokenizer.encode(text) for text in texts] if how == "encode" else None
    connection.send({"name": tokenizer.name, "counts": [tokenizer.count(text) for text in texts], "ids": ids})


def endure_elsewhere(
    connection: Connection, tokenizer_class: type[Any], config: BackendConfig, unit: str, sizes: Sequence[int], cut: int
) -> None:
    """Count texts of these sizes in bytes and cut one of `cut` bytes from both sides; send each time, then None."""
    tokenizer = tokenizer_class(config)
    tokenizer.count("a boat")  # what is loaded at the first use is not part of the time
    for size in sizes:
        text = long_text(unit, size)
        begin = time.perf_counter()
        tokenizer.count(text)
        connection.send(("count", len(text), time.perf_counter() - begin))
    text = long_text(unit, cut)
    budget = tokenizer.count(text) // 2
    for side in ("right", "left"):
        begin = time.perf_counter()
        kept = tokenizer.truncate(text, budget, side)
        connection.send((f"truncate, side {side}", len(text), time.perf_counter() - begin))
        if tokenizer.count(kept) > budget:
            raise AssertionError(f"cut to {budget} tokens, {tokenizer.count(kept)} are left of {len(text)} characters")
    connection.send(None)


def long_text(unit: str, size: int) -> str:
    """Return about `size` bytes: the unit over and over, or for an empty one letters without any order."""
    if not unit:
        noise = random.Random(size)  # noqa: S311 - a seed makes it the same every time
        return "".join(noise.choices("abcdefghijklmnopqrstuvwxyz", k=size))
    return unit * (size // len(unit.encode("utf-8", "surrogatepass")))
