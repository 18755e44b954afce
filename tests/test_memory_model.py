"""Random operations on memory: nothing lost, nothing leaked between scopes, the budget never exceeded.

CTXKIT_MODEL_OPERATIONS says how many (10000 for the long run), CTXKIT_MODEL_SEED with which dice.
"""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Final

import pytest
from every_store import ENGINES, STORES
from memory_model import Run

OPERATIONS: Final = int(os.environ.get("CTXKIT_MODEL_OPERATIONS", "160"))
SEED: Final = int(os.environ.get("CTXKIT_MODEL_SEED", "20260301"))
# How often each operation comes, of a hundred and fifty.
SHARES: Final = {
    "observe": 50,
    "add": 20,
    "add_expired": 3,
    "supersede": 10,
    "erase": 4,
    "build": 20,
    "query": 25,
    "switch": 12,
    "reopen": 4,
    "threads": 2,
}
_BETWEEN_CRASHES: Final = 120
_MANY: Final = 2_000


@pytest.mark.parametrize("store", STORES)
def test_random_operations_agree_with_the_model(store: str, tmp_path: Path) -> None:
    """Whatever is done in whatever order, by threads, by another process that is killed, and across restarts."""
    agree(store, OPERATIONS if store == "exact" else OPERATIONS // 4, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("store", STORES)
def test_many_random_operations_agree_with_the_model(store: str, tmp_path: Path) -> None:
    """The same for long, with kills."""
    agree(store, max(OPERATIONS, _MANY if store in ENGINES else _MANY // 10), tmp_path)


def agree(store: str, count: int, folder: Path) -> None:
    """Do so many operations, and compare memory with the model."""
    run = Run(folder / "store", store, random.Random(SEED))  # noqa: S311 - dice, no secrets
    try:
        for number in range(1, count + 1):
            if number % _BETWEEN_CRASHES == 0:
                run.step("crash")
            run.step(run.random.choices(list(SHARES), list(SHARES.values()))[0])
        run.audit()
    finally:
        run.cm.close()
    assert sum(run.done.values()) >= count
    assert run.done["observe"] > count // 5
