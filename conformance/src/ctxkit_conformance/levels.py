"""The levels that a component can reach, each of which stands on the one before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ctxkit_conformance.marks import tier_number
from ctxkit_conformance.results import CheckResult


@dataclass(frozen=True)
class Level:
    """One level: the tiers that have to pass whole, and the capabilities that have to be declared."""

    name: str
    meaning: str
    tiers: frozenset[str]
    capabilities: Mapping[str, frozenset[Any]]


_YES: Final = frozenset({True})

LEVELS: Final[Mapping[str, tuple[Level, ...]]] = {
    "vector_store": (
        Level(
            "correct",
            "answers what the contract says, in one process",
            frozenset({"T0", "T1", "T2", "T3", "T4", "T8", "T10"}),
            {},
        ),
        Level(
            "durable",
            "keeps what it acknowledged, through restarts and kills",
            frozenset({"T5", "T6"}),
            {"persistent": _YES, "crash_safe": _YES},
        ),
        Level(
            "shared",
            "serves threads and processes at once, finds damage, and leaks nothing",
            frozenset({"T7", "T9"}),
            {"detects_corruption": _YES, "concurrency": frozenset({"single-writer", "multi-writer"})},
        ),
    ),
    "embedder": (Level("correct", "embeds what the contract says", frozenset({"E"}), {}),),
    "tokenizer": (Level("correct", "counts what the contract says", frozenset({"K"}), {}),),
    "llm": (Level("correct", "completes, streams and fails as the contract says", frozenset({"L"}), {}),),
}


def reached(kind: str, checks: Sequence[CheckResult], capabilities: Mapping[str, Any]) -> tuple[str | None, str]:
    """Return the highest level that the checks of a whole run grant, and what stands before the next one."""
    granted: str | None = None
    for level in LEVELS[kind]:
        obstacle = _obstacle(level, checks, capabilities)
        if obstacle:
            return granted, f"not {level.name}: {obstacle}"
        granted = level.name
    return granted, ""


def _obstacle(level: Level, checks: Sequence[CheckResult], capabilities: Mapping[str, Any]) -> str:
    for name, values in level.capabilities.items():
        if capabilities.get(name) not in values:
            return f"the capability {name} is {capabilities.get(name)!r}"
    of_level = [check for check in checks if check.tier in level.tiers]
    if {check.tier for check in of_level} != level.tiers:
        missing = sorted(level.tiers - {check.tier for check in of_level}, key=tier_number)
        return f"no check of {', '.join(missing)} ran"
    # A known failure is a failure, and what was not applicable was not shown to work.
    for check in of_level:
        if check.outcome not in {"passed", "advisory"}:
            return f"{check.tier} {check.name} {check.outcome.replace('_', ' ')}"
    return ""
