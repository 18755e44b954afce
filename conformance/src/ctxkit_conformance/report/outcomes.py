"""How each outcome is shown: a word and a symbol, so that nothing is told by colour alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from ctxkit_conformance.results import BAD, Outcome

Tone: TypeAlias = Literal["bad", "warn", "good", "quiet"]


@dataclass(frozen=True)
class Look:
    """The word and the symbol of an outcome, its tone, and what it says about the component.

    `plain` stands in for the symbol where only ASCII can be written.
    """

    word: str
    symbol: str
    plain: str
    tone: Tone
    meaning: str


# Worst first: this is the order in which outcomes are told everywhere.
LOOKS: Final[Mapping[Outcome, Look]] = {
    "crashed": Look("crashed", "✗", "X", "bad", "the process died during the check"),
    "hung": Look("hung", "✗", "X", "bad", "the check did not end within its time limit"),
    "failed": Look("failed", "✗", "X", "bad", "the component does not do what the contract says"),
    "unexpected_pass": Look("unexpected pass", "!", "!", "bad", "it passes, though the known-failures file lists it"),
    "not_run": Look("not run", "?", "?", "bad", "it was planned, but the run ended before"),
    "known": Look("known failure", "~", "~", "warn", "it fails, as the known-failures file says; no level counts it"),
    "advisory": Look(
        "advisory", "~", "~", "warn", "it fails, but the check is new and binding only from the next version"
    ),
    "not_applicable": Look("not applicable", "○", "o", "quiet", "it needs what the platform or the harness lacks"),
    "passed": Look("passed", "✓", "+", "good", "the component does what the contract says"),
}
ORDER: Final[tuple[Outcome, ...]] = tuple(LOOKS)


def is_bad(outcome: Outcome) -> bool:
    """Return whether an outcome speaks against the component."""
    return outcome in BAD
