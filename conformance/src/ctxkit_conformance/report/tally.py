"""Checks counted by outcome: what one cell of the matrix says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from ctxkit_conformance.report.outcomes import LOOKS, ORDER, is_bad
from ctxkit_conformance.results import CheckResult, Outcome, SubjectResult


@dataclass(frozen=True)
class Tally:
    """How many checks came to each outcome, worst first; outcomes that did not occur are left out."""

    counts: tuple[tuple[Outcome, int], ...]

    @property
    def total(self) -> int:
        """How many checks there are."""
        return sum(count for _, count in self.counts)

    @property
    def bad(self) -> int:
        """How many checks speak against the component."""
        return sum(count for outcome, count in self.counts if is_bad(outcome))

    @property
    def headline(self) -> Outcome | None:
        """The outcome that is told first: the worst one, but what passed before what was not applicable."""
        present = [outcome for outcome, _ in self.counts]
        if "passed" in present and "not_applicable" in present and len(present) == 2:
            return "passed"
        return present[0] if present else None

    @property
    def words(self) -> list[tuple[Outcome, str]]:
        """The counts in words, the headline first: 2 failed, 9 passed."""
        first = self.headline
        ordered = sorted(self.counts, key=lambda entry: entry[0] != first)
        return [(outcome, f"{count} {LOOKS[outcome].word}") for outcome, count in ordered]


def tally(checks: Iterable[CheckResult]) -> Tally:
    """Count checks by outcome."""
    counts = Counter(check.outcome for check in checks)
    return Tally(tuple((outcome, counts[outcome]) for outcome in ORDER if counts[outcome]))


def of_tier(subject: SubjectResult, key: str) -> list[CheckResult]:
    """Return the checks of one tier, the worst first."""
    return sorted((c for c in subject.checks if c.tier == key), key=lambda c: (ORDER.index(c.outcome), c.name))
