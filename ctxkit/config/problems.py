"""What is wrong with a configuration, in the words of the person who wrote it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import ValidationError

from ctxkit.errors import ConfigError

if TYPE_CHECKING:
    from ctxkit.config.models import Config


def as_config_error(error: ValidationError, where: str) -> ConfigError:
    """Turn pydantic's report into one ConfigError that names each field, its limit and the value found.

    The value is shown for numbers and short words only, so that a key never reaches a message.
    """
    problems = []
    for item in error.errors(include_url=False):
        field = ".".join(str(part) for part in (where, *item["loc"]) if part != "")
        if item["type"] == "extra_forbidden":
            problems.append(f"{field}: there is no such option")
            continue
        value = item["input"]
        found = f" (found {value!r})" if isinstance(value, (bool, int, float)) else ""
        problems.append(f"{field}: {item['msg'].removeprefix('Value error, ')}{found}")
    return ConfigError("; ".join(problems) + ".", fix="correct the named value.")


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
