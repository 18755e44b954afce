"""What a check says: a verdict, what was found, and the command or the change that mends it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias, get_args

from ctxkit.errors import CtxkitError
from ctxkit.plugins.failures import one_line

Verdict: TypeAlias = Literal["ok", "not checked", "warning", "problem"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)  # from good to bad


@dataclass(frozen=True)
class Result:
    """One finding of a check about `subject`; `fix` is empty where there is nothing to do."""

    verdict: Verdict
    subject: str
    found: str
    fix: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the finding as JSON values."""
        return asdict(self)


def of_error(error: BaseException, subject: str, verdict: Verdict = "problem", *, fix: str = "") -> Result:
    """Return what an exception means to a user, with `fix` where it does not say what to do itself."""
    if isinstance(error, CtxkitError):
        return Result(verdict, subject, error.message, error.fix or "")
    return Result(verdict, subject, one_line(error), fix)
