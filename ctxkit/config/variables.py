"""Options from outside a file: environment variables, and KEY=VALUE as it is given on a command line."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from ctxkit.config.files import Key
from ctxkit.errors import ConfigError

PREFIX: Final = "CTXKIT_"
FILE_VARIABLE: Final = "CTXKIT_CONFIG"
_BETWEEN: Final = "__"
_CLOSE: Final = 0.9  # a letter too many or too few


def from_environment(environ: Mapping[str, str], top_level: Iterable[str]) -> Iterator[tuple[Key, Any, str]]:
    """Yield each option of the environment: its key, its value and the variable's name; empty ones do not count.

    CTXKIT_SECTION__NAME is an option of a section. `top_level` are the options that are in none.
    """
    alone = {variable_of((name,)): name for name in top_level}
    for variable in sorted(environ):
        value = environ[variable].strip()
        if not value or not variable.startswith(PREFIX):
            continue
        section, between, name = variable.removeprefix(PREFIX).partition(_BETWEEN)
        if between:
            yield (section.lower(), name.lower()), _value(value), variable
        elif variable in alone:
            yield (alone[variable],), _value(value), variable


def misspelt(environ: Mapping[str, str], known: Iterable[str], sections: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield each variable that sets nothing and looks as if it should, with the one that was probably meant.

    `known` are the variables of no section. Others that begin with CTXKIT_ may be a plugin's.
    """
    alone, prefixes = list(known), [f"{PREFIX}{section.upper()}_" for section in sections]
    for variable in sorted(environ):
        if (
            not variable.startswith(PREFIX)
            or _BETWEEN in variable
            or variable in alone
            or not environ[variable].strip()
        ):
            continue
        section = next((prefix for prefix in prefixes if variable.startswith(prefix)), None)
        if section is not None:
            yield variable, f"{section}_{variable.removeprefix(section)}"
        elif close := difflib.get_close_matches(variable, alone, n=1, cutoff=_CLOSE):
            yield variable, close[0]


def variable_of(key: Key) -> str:
    """Return the name of the environment variable that sets an option."""
    return f"{PREFIX}{_BETWEEN.join(key).upper()}"


def from_assignments(assignments: Iterable[str]) -> Iterator[tuple[Key, Any]]:
    """Yield the key and value of each `section.name=value`; raises ConfigError for what is none."""
    for text in assignments:
        name, equals, value = text.partition("=")
        key = tuple(part.strip() for part in name.split("."))
        if not equals or not all(key):
            # What was typed is not repeated: somebody may have typed a key.
            raise ConfigError(
                "--set takes an option and a value.", fix="write it like `--set memory.stm_capacity=4000`."
            )
        yield key, _value(value.strip())


def _value(text: str) -> Any:
    """Return a list or table where one is written as JSON; everything else is converted by who knows its type."""
    if not text.startswith(("[", "{")):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text
