"""The kinds of components and the tiers of their checks, by the names that people read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from ctxkit_conformance.results import CheckResult, Report, SubjectResult


@dataclass(frozen=True)
class Tier:
    """One tier: its number as in docs/contract.md, its name, and what its checks are about."""

    key: str
    name: str
    about: str

    @property
    def title(self) -> str:
        """The tier as it is called everywhere: T6 crash."""
        return f"{self.key} {self.name}"


KINDS: Final[Mapping[str, str]] = {
    "vector_store": "Vector stores",
    "embedder": "Embedders",
    "tokenizer": "Tokenizers",
    "llm": "Language models",
}

TIERS: Final[Mapping[str, tuple[Tier, ...]]] = {
    "vector_store": (
        Tier("T0", "plugin", "found, imported and described"),
        Tier("T1", "records", "what goes in comes out"),
        Tier("T2", "search", "scores, order, the law of k"),
        Tier("T3", "quality", "recall, also filtered and after churn"),
        Tier("T4", "filters", "one meaning for every operator"),
        Tier("T5", "persistence", "close, reopen, equal"),
        Tier("T6", "crash", "kills, damage, a full disk"),
        Tier("T7", "concurrency", "threads, processes, fork"),
        Tier("T8", "async", "the same through the async face"),
        Tier("T9", "resources", "leaks, large batches"),
        Tier("T10", "stateful", "any sequence of calls"),
    ),
    "embedder": (Tier("E", "embedder", "vectors that can be relied on"),),
    "tokenizer": (Tier("K", "tokenizer", "counts that can be relied on"),),
    "llm": (Tier("L", "language model", "answers, streams and errors"),),
}


def tiers_of(kind: str, checks: Iterable[CheckResult] = ()) -> list[Tier]:
    """Return the tiers of a kind in order, and after them those that only the checks know."""
    known = list(TIERS.get(kind, ()))
    keys = {tier.key for tier in known}
    further = sorted({check.tier for check in checks} - keys)
    return [*known, *(Tier(key, "", "") for key in further)]


def place_of(kind: str, key: str) -> int:
    """Return where a tier stands among those of its kind: the most basic one at 0."""
    keys = [tier.key for tier in TIERS.get(kind, ())]
    return keys.index(key) if key in keys else len(keys)


def tier_title(kind: str, key: str) -> str:
    """Return the key of a tier with its name."""
    found = next((tier for tier in TIERS.get(kind, ()) if tier.key == key), None)
    return key if found is None else found.title


def by_kind(report: Report) -> dict[str, list[SubjectResult]]:
    """Return the components of each kind that occurs, in the order of the contract."""
    occurring = {subject.kind for subject in report.subjects}
    order = [*(kind for kind in KINDS if kind in occurring), *sorted(occurring - set(KINDS))]
    return {kind: [subject for subject in report.subjects if subject.kind == kind] for kind in order}
