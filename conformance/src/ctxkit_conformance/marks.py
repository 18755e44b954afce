"""What a check says of itself: its tier, the clauses of the contract that it covers, the version that brought it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

from _pytest.outcomes import Skipped

CONTRACT_VERSION = "1.0"
_ATTRIBUTE = "__ctxkit_check__"
_NO_NUMBER = 99  # of the tiers E, K and L, which stand alone

FunctionT = TypeVar("FunctionT", bound=Callable[..., object])


@dataclass(frozen=True)
class Clause:
    """One rule of the contract: its name in docs/contract.md, its sentence, and what to do when a check of it fails."""

    name: str
    sentence: str
    advice: str


@dataclass(frozen=True)
class Marks:
    """What the report knows of a check before it runs.

    `meaning` is the docstring: what a failure costs a user. A check is advisory in the minor version that brought it,
    and binding from the next one on.
    """

    name: str
    tier: str
    meaning: str
    clauses: tuple[Clause, ...]
    since: str

    @property
    def advisory(self) -> bool:
        """Whether a failure is reported without failing the run."""
        return self.since == CONTRACT_VERSION and not self.since.endswith(".0")


@dataclass(frozen=True)
class _Covered:
    clauses: tuple[Clause, ...]
    tier: str | None
    since: str


def covers(*clauses: Clause, tier: str | None = None, since: str = "1.0") -> Callable[[FunctionT], FunctionT]:
    """Mark a check with the clauses it covers; `tier` where it is not that of its class."""

    def mark(function: FunctionT) -> FunctionT:
        setattr(function, _ATTRIBUTE, _Covered(clauses, tier, since))
        return function

    return mark


def marks_of(owner: type, function: Callable[..., object], *, face: str | None = None) -> Marks | None:
    """Return the marks of a check of `owner`, None for a test that is no check of this suite.

    A check that runs through the asynchronous face belongs to the tier of that face.
    """
    covered: _Covered | None = getattr(function, _ATTRIBUTE, None)
    if covered is None:
        return None
    name = function.__name__
    group = next((cls for cls in owner.__mro__ if name in vars(cls)), owner)
    meaning = " ".join((inspect.getdoc(function) or "").split())
    tier = "T8" if face == "async" else covered.tier or str(getattr(group, "tier", ""))
    return Marks(name.removeprefix("test_"), tier, meaning, covered.clauses, covered.since)


class NotApplicable(Skipped):
    """A check that cannot be made here, for a reason that the report shows: the only kind of skip there is."""


def not_applicable(reason: str) -> NoReturn:
    """Leave a check: neither the backend nor the suite is at fault that it cannot be made.

    Only for what a platform does not offer and what needs a harness that the backend does not give. Never for what a
    backend does not declare: that has to be refused, and the refusal is checked.
    """
    raise NotApplicable(reason)


def checks_of(owner: type) -> dict[str, Any]:
    """Return the marks of all checks of a contract class, by name, in the order of the tiers."""
    found = [
        marks_of(owner, function)
        for name, function in inspect.getmembers(owner, inspect.isfunction)
        if name.startswith("test_")
    ]
    present = [marks for marks in found if marks is not None]
    return {marks.name: marks for marks in sorted(present, key=lambda marks: (tier_number(marks.tier), marks.name))}


def tier_number(tier: str) -> int:
    """Return the place of a tier: 10 for "T10"."""
    digits = tier.removeprefix("T")
    return int(digits) if digits.isdecimal() else _NO_NUMBER
