"""What a benchmark finds: figures with their targets, and a report of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

SCHEMA_VERSION: Final = 1

Verdict = Literal["met", "missed", ""]


@dataclass(frozen=True)
class Target:
    """A limit: the value has to be at most, or at least, so much."""

    limit: float
    at_least: bool = False

    def verdict(self, value: float) -> Verdict:
        """Say whether a value keeps to it."""
        return "met" if (value >= self.limit if self.at_least else value <= self.limit) else "missed"

    def strain(self, value: float) -> float:
        """Return how much of the limit is used: 1 is the limit itself, more is a miss."""
        if self.at_least:
            return self.limit / value if value else float("inf")
        return value / self.limit if self.limit else float("inf")


@dataclass(frozen=True)
class Figure:
    """One line of the result.

    `value` is what the target speaks of, in `unit`: "x" is a ratio to the raw library. `ours` and `raw` are what it was
    made from, in `measured_in`. `spread` holds the lower and the upper quartile of `value` over the rounds.
    """

    part: str
    name: str
    value: float | None = None
    unit: str = "x"
    target: Target | None = None
    spread: tuple[float, float] | None = None
    ours: float | None = None
    raw: float | None = None
    measured_in: str = ""
    note: str = ""

    @property
    def verdict(self) -> Verdict:
        """Whether the target is met; empty where there is none, or no value."""
        return "" if self.target is None or self.value is None else self.target.verdict(self.value)

    def as_dict(self) -> dict[str, Any]:
        """Return the figure as JSON knows it."""
        target = self.target
        return {
            "part": self.part,
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "target": None if target is None else {"limit": target.limit, "at_least": target.at_least},
            "verdict": self.verdict,
            "spread": None if self.spread is None else list(self.spread),
            "ours": self.ours,
            "raw": self.raw,
            "measured_in": self.measured_in,
            "note": self.note,
        }

    @classmethod
    def from_dict(cls, found: dict[str, Any]) -> Figure:
        """Return the figure that `as_dict` wrote."""
        kept = {key: value for key, value in found.items() if key != "verdict"}
        target, spread = kept.pop("target"), kept.pop("spread")
        made = None if target is None else Target(target["limit"], target["at_least"])
        return cls(**kept, target=made, spread=None if spread is None else (spread[0], spread[1]))


@dataclass
class StoreResult:
    """What was found out about one store; `problems` are the parts that could not be measured, each with its cause."""

    name: str
    baseline: str = ""
    rows: int = 0
    dimension: int = 0
    config: dict[str, Any] = field(default_factory=dict)
    figures: list[Figure] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    data: str = ""
    seconds: float = 0.0

    @property
    def missed(self) -> list[Figure]:
        """The figures that miss their target."""
        return [figure for figure in self.figures if figure.verdict == "missed"]

    def as_dict(self) -> dict[str, Any]:
        """Return the result as JSON knows it."""
        return {**vars(self), "figures": [figure.as_dict() for figure in self.figures]}


@dataclass
class BenchReport:
    """A whole run: where it took place, how, and what was found."""

    created: str
    machine: dict[str, Any]
    settings: dict[str, Any]
    stores: Sequence[StoreResult]

    @property
    def ok(self) -> bool:
        """Whether everything was measured and nothing missed its target."""
        return not any(store.missed or store.problems for store in self.stores)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON knows it."""
        return {
            "schema_version": SCHEMA_VERSION,
            "created": self.created,
            "machine": self.machine,
            "settings": self.settings,
            "stores": [store.as_dict() for store in self.stores],
        }
