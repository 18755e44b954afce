"""Makes checks in a process of its own and writes what they say, a JSON value a line: `python -m ctxkit.doctor.worker`.

What crashes, hangs or prints here harms nobody: the process that started this one goes on with the next check.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from ctxkit.doctor.checks import results
from ctxkit.doctor.subject import Subject


def main(arguments: Sequence[str]) -> None:
    """Make checks; the arguments are the subject as JSON and the names of the checks."""
    told, *names = arguments
    # Plugins that print must not spoil what is read from this process.
    with os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8") as written:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        for answer in _answers(Subject.from_json(json.loads(told)), names):
            written.write(json.dumps(answer) + "\n")
            written.flush()


def _answers(subject: Subject, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield what each check says, and that it has ended."""
    for name in names:
        for result in results(name, subject):
            yield {"result": result.as_dict()}
        yield {"end": name}


if __name__ == "__main__":
    main(sys.argv[1:])
