"""What does not fit together in a configuration whose every value is fine."""

from __future__ import annotations

from ctxkit.config.models import Config


def conflicts(config: Config) -> list[str]:
    """Return what in a valid configuration does not fit together, one sentence each."""
    memory = config.memory
    found = []
    if memory.prompt_token_budget < memory.stm_capacity:
        found.append(
            f"memory.prompt_token_budget ({memory.prompt_token_budget}) is below memory.stm_capacity"
            f" ({memory.stm_capacity}): recent turns will not all fit one prompt."
        )
    if memory.chunk_size > memory.stm_capacity:
        found.append(
            f"memory.chunk_size ({memory.chunk_size}) is above memory.stm_capacity ({memory.stm_capacity}):"
            " each overflow will empty the short-term view."
        )
    if memory.ingestion_chunk_overlap >= memory.ingestion_chunk_size:
        found.append(
            f"memory.ingestion_chunk_overlap ({memory.ingestion_chunk_overlap}) is not below"
            f" memory.ingestion_chunk_size ({memory.ingestion_chunk_size}): half a chunk will be used instead."
        )
    return found
