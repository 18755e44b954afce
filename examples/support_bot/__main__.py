"""Several worker processes answer many tenants from one store; then each answer is searched for others' secrets."""

from __future__ import annotations

import argparse
import os
import sys
import zlib
from collections.abc import Sequence

from .bot import Answer
from .workers import GivenUpError, answer_all

TENANTS = ("alder", "birch", "cedar", "dogwood", "elm", "fir")


def secret_of(tenant: str) -> str:
    """Return what this tenant alone may hear again."""
    return f"{tenant.upper()}-{zlib.crc32(tenant.encode()) % 10_000:04d}"


def is_wrong(answer: Answer) -> bool:
    """Whether an answer shows another tenant's secret, or misses the tenant's own where it was asked for."""
    shown = f"{answer.text}\n{answer.context}"
    leaked = any(secret_of(tenant) in shown for tenant in TENANTS if tenant != answer.tenant)
    return leaked or (answer.tenant in answer.question and secret_of(answer.tenant) not in shown)


def report(answers: Sequence[Answer]) -> int:
    """Print what each tenant heard when it asked for its own secret; return how many answers are wrong."""
    for answer in answers:
        if answer.tenant in answer.question:
            print(f"{answer.tenant:>8}: {' '.join(answer.text.split())}")
    wrong = sum(is_wrong(answer) for answer in answers)
    print(f"{len(answers)} answers, {wrong} of them wrong")
    return wrong


def main() -> int:
    """Run the demonstration; the exit code says whether every tenant saw its own memory, and nothing else."""
    parser = argparse.ArgumentParser(prog="python -m examples.support_bot", description=__doc__)
    parser.add_argument("--workers", type=int, default=4, help="worker processes (default: 4)")
    workers: int = parser.parse_args().workers
    # A store that is no folder, such as a database server, is run with SUPPORT_MEMORY= (empty).
    path = os.environ.get("SUPPORT_MEMORY", "support-memory") or None
    told = [(tenant, f"The access code of {tenant} is {secret_of(tenant)}.") for tenant in TENANTS]
    asked = [(tenant, f"What is the access code of {other}?") for tenant in TENANTS for other in TENANTS]
    try:
        _, answers = answer_all([told, asked], workers, path)
    except GivenUpError as exc:
        print(exc, file=sys.stderr)
        return 1
    return 1 if report(answers) else 0


if __name__ == "__main__":
    sys.exit(main())
