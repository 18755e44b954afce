"""What does not fit together in a configuration whose every value is fine."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from ctxkit.config.models import Config


@dataclass(frozen=True)
class Conflict:
    """Two options of the section memory that do not fit: a sentence, and what the first would have to be."""

    options: tuple[str, str]
    sentence: str
    fitting: int


def conflicts(config: Config) -> list[str]:
    """Return what in a valid configuration does not fit together, one sentence each."""
    return [each.sentence for each in find_conflicts(config)]


def find_conflicts(config: Config) -> Iterator[Conflict]:
    """Yield what in a valid configuration does not fit together, with what would fit."""
    memory = config.memory
    if memory.prompt_token_budget < memory.stm_capacity:
        yield Conflict(
            ("prompt_token_budget", "stm_capacity"),
            f"memory.prompt_token_budget ({memory.prompt_token_budget}) is below memory.stm_capacity"
            f" ({memory.stm_capacity}): recent turns will not all fit one prompt.",
            math.ceil(memory.stm_capacity * 1.5),
        )
    if memory.chunk_size > memory.stm_capacity:
        yield Conflict(
            ("chunk_size", "stm_capacity"),
            f"memory.chunk_size ({memory.chunk_size}) is above memory.stm_capacity ({memory.stm_capacity}):"
            " each overflow will empty the short-term view.",
            max(1, memory.stm_capacity // 2),
        )
    if memory.ingestion_chunk_overlap >= memory.ingestion_chunk_size:
        yield Conflict(
            ("ingestion_chunk_overlap", "ingestion_chunk_size"),
            f"memory.ingestion_chunk_overlap ({memory.ingestion_chunk_overlap}) is not below"
            f" memory.ingestion_chunk_size ({memory.ingestion_chunk_size}): half a chunk will be used instead.",
            memory.ingestion_chunk_size // 8,
        )
