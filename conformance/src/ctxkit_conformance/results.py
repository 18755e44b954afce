"""What a run found, as values that are written and read as JSON; `SCHEMA` names their shape."""

from __future__ import annotations

from typing import Any, Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict

SCHEMA: Final = "ctxkit-conformance-report/1"

Outcome: TypeAlias = Literal[
    "passed",
    "failed",  # what the store did is not what the contract says
    "crashed",  # the process died
    "hung",  # no end within the time limit
    "known",  # failed, as the known-failures file says
    "unexpected_pass",  # passed, though the known-failures file says otherwise
    "advisory",  # failed, but the check is new in this minor version
    "not_applicable",  # needs what the platform or the harness does not offer
    "not_run",  # planned, but the run ended before
]
BAD: Final[frozenset[Outcome]] = frozenset({"failed", "crashed", "hung", "unexpected_pass", "not_run"})


class _Value(BaseModel):
    model_config = ConfigDict(extra="ignore")  # a later report may say more


class ClauseText(_Value):
    """One sentence of the contract, its name in docs/contract.md, and what to do when a check of it fails."""

    name: str
    sentence: str
    advice: str


class CaseResult(_Value):
    """One case of a check: its parameters, what came of it, and how long it took.

    `message` says what was found and what was expected; `reproduction` holds the calls that lead there; `reason` is
    why a case is not applicable, or known to fail.
    """

    case: str
    outcome: Outcome
    seconds: float = 0.0
    message: str = ""
    reproduction: str = ""
    reason: str = ""
    link: str = ""


class CheckResult(_Value):
    """One check: what it is called, what its failure costs a user, the clauses it covers, its cases."""

    name: str
    tier: str
    meaning: str
    clauses: list[ClauseText]
    cases: list[CaseResult]

    @property
    def outcome(self) -> Outcome:
        """The worst outcome of its cases."""
        order: tuple[Outcome, ...] = (
            "crashed",
            "hung",
            "failed",
            "unexpected_pass",
            "not_run",
            "known",
            "advisory",
            "not_applicable",
            "passed",
        )
        found = {case.outcome for case in self.cases}
        return next((outcome for outcome in order if outcome in found), "not_run")

    @property
    def seconds(self) -> float:
        """How long all its cases took."""
        return sum(case.seconds for case in self.cases)


class SubjectResult(_Value):
    """One component under one configuration, and all that was found.

    `level` is the highest one that was reached, None when none was; `level_reason` says what keeps it from the next.
    `measurements` are figures that no check judges: by name, lists of points. Secrets in `config` are masked. `plugins`
    are those that were loaded by hand.
    """

    kind: str
    name: str
    qualified_name: str
    variant: str = ""
    distribution: str = ""
    version: str = ""
    summary: str = ""
    config: dict[str, Any] = {}
    capabilities: dict[str, Any] = {}
    level: str | None = None
    level_reason: str = ""
    seconds: float = 0.0
    checks: list[CheckResult] = []
    measurements: dict[str, list[dict[str, Any]]] = {}
    plugins: list[str] = []

    @property
    def title(self) -> str:
        """The component as people name it: vector_store:faiss, or vector_store:faiss (HNSW)."""
        return f"{self.kind}:{self.name}" + (f" ({self.variant})" if self.variant else "")

    @property
    def ok(self) -> bool:
        """Whether something ran and nothing that ran speaks against the component."""
        outcomes = {check.outcome for check in self.checks}
        return bool(outcomes - {"not_applicable"}) and not outcomes & BAD


class Report(_Value):
    """A run over one or more components.

    `partial` says how the checks were narrowed, empty when all were meant to run; a partial run grants no level.
    `missing` names the components that were still to be examined when the report was written, or the run was ended.
    """

    schema_: str = SCHEMA
    suite_version: str
    contract_version: str
    created: str
    seed: int = 0
    thorough: bool = False
    partial: str = ""
    environment: dict[str, Any] = {}
    subjects: list[SubjectResult] = []
    missing: list[str] = []

    @property
    def ok(self) -> bool:
        """Whether there is a component, none is missing, and every one of them is all right."""
        return bool(self.subjects) and not self.missing and all(subject.ok for subject in self.subjects)
