"""The checks by name, in the order in which they are made."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from ctxkit.doctor.results import Result, of_error
from ctxkit.doctor.subject import Subject


@dataclass(frozen=True)
class Check:
    """One check: the module that makes it, what it looks at, and the seconds that it may take."""

    module: str
    about: str
    patience: float = 60.0

    def run(self, subject: Subject) -> Iterable[Result]:
        """Import the check's module and make the check."""
        check: Callable[[Subject], Iterable[Result]] = importlib.import_module(self.module).check
        return check(subject)


CHECKS: Final[Mapping[str, Check]] = {
    "configuration": Check("ctxkit.doctor.configuration", "the configuration file, variables and options"),
    "installation": Check("ctxkit.doctor.installation", "plugins and the configured components"),
    "imports": Check("ctxkit.doctor.imports", "importing them, with times", patience=120.0),
    "models": Check("ctxkit.doctor.models", "models and files on this machine"),
    "machine": Check("ctxkit.doctor.machine", "memory and disk"),
    "keys": Check("ctxkit.doctor.keys", "the providers' keys, none of which is shown"),
    "provider": Check("ctxkit.doctor.provider", "asking the configured providers (with --online)"),
    "store": Check("ctxkit.doctor.store", "the store: every record, index and embedding", patience=3600.0),
    "round-trip": Check("ctxkit.doctor.round_trip", "storing and finding a turn in a temporary store", patience=180.0),
}


def results(name: str, subject: Subject) -> Iterator[Result]:
    """Make a check and yield what it says; whatever it raises is what it says too."""
    try:
        yield from CHECKS[name].run(subject)
    except Exception as exc:
        if subject.debug:
            logging.getLogger(__name__).exception("%s", name)
        more = subject.command("--debug", "doctor", "--only", name)
        yield of_error(exc, name, fix=f"{more} shows more; if it is a fault of ctxkit, tell its authors.")
