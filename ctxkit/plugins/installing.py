"""What installs a distribution of the project here: its name, or its folder in the clone that runs."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Final

_ROOT: Final = Path(__file__).parents[2]  # the clone, or where packages are installed
_NAME: Final = re.compile(r"\w[\w.-]*(\[[\w,.-]+\])?")  # of a distribution, with extras


def pip_install(*requirements: str) -> str:
    """Return the command that installs these; in a clone its own distributions come from their folders."""
    return " ".join(["pip install", *(_source(requirement) for requirement in requirements)])


def localized(hint: str) -> str:
    """Return a plugin's install hint; one that is `pip install` with names alone as `pip_install` gives it."""
    names = hint.removeprefix("pip install ").replace("'", "").replace('"', "").split()
    if not hint.startswith("pip install ") or not all(_NAME.fullmatch(name) for name in names):
        return hint
    return pip_install(*names)


def _source(requirement: str) -> str:
    name, bracket, extras = requirement.partition("[")
    for folder in (_ROOT / "plugins" / name, _ROOT / name.removeprefix("ctxkit-")):
        if name.startswith("ctxkit-") and (folder / "pyproject.toml").is_file():
            return f"-e {shlex.quote(f'{folder}{bracket}{extras}')}"
    return shlex.quote(requirement)
