"""What is wrong with a value, in the words of the person who wrote it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from ctxkit.errors import ConfigError

ALL_AT_ONCE: Final = object()  # a validation's context: pydantic's own report, with the problems of every section
NO_SUCH_OPTION: Final = ": there is no such option"
_LIMITS: Final[Mapping[str, tuple[str, str]]] = {
    "greater_than_equal": ("ge", "at least"),
    "greater_than": ("gt", "above"),
    "less_than_equal": ("le", "at most"),
    "less_than": ("lt", "below"),
}
_TYPES: Final[Mapping[str, str]] = {
    "bool": "true or false",
    "finite": "a finite number",
    "float": "a number",
    "int": "a whole number",
    "list": "a list",
    "string": "text",
    "tuple": "a list",
    "model": "a table of options",
}
_NUMBER: Final = re.compile(r"-?\d{1,9}(\.\d{1,6})?")
_WRONG_TYPE: Final = ("_type", "_parsing", "_from_float", "_number")


@dataclass(frozen=True)
class Problem:
    """One wrong value: the option's path, what follows its name in a sentence, and whether there is no such option."""

    key: tuple[str, ...]
    words: str
    unknown: bool = False

    def __str__(self) -> str:
        return f"{'.'.join(self.key)}{self.words}".strip()


def as_problems(error: ValidationError, where: str = "") -> list[Problem]:
    """Turn pydantic's report into a problem for each wrong value; values are shown only where they are numbers."""
    found = []
    for item in error.errors(include_url=False):
        unknown = item["type"] == "extra_forbidden"
        key = tuple(str(part) for part in (where, *item["loc"]) if part != "")
        found.append(Problem(key, NO_SUCH_OPTION if unknown else _told(item), unknown))
    return found


def as_config_error(error: ValidationError, where: str, names: Iterable[str] = ()) -> ConfigError:
    """Turn pydantic's report into one ConfigError that names each field, its limit and the value found.

    The value is shown for numbers only, so that a key never reaches a message. `names` are the options that there
    are: of one that there is not, the one that was probably meant is named.
    """
    problems = as_problems(error, where)
    known = list(names)
    unknown = [each.key for each in problems if each.unknown]
    meant = [".".join((*key[:-1], option)) for key in unknown if (option := meant_by(key[-1], known))]
    fix = f"did you mean {' and '.join(meant)}?" if meant else "correct the named value."
    return ConfigError(f"{'; '.join(str(problem) for problem in problems)}.", fix=fix)


def meant_by(name: str, names: Iterable[str]) -> str | None:
    """Return which of the names was probably meant by one that there is not, None for none."""
    return next(iter(difflib.get_close_matches(name.lower(), list(names), n=1)), None)


def _told(item: Mapping[str, Any]) -> str:
    kind, value, limits = item["type"], item["input"], item.get("ctx", {})
    found = f" (is {value})" if isinstance(value, (bool, int, float)) or _is_number(value) else ""
    if kind in _LIMITS:
        name, word = _LIMITS[kind]
        limit = limits[name]
        whole = isinstance(limit, float) and limit.is_integer()
        return f" must be {word} {int(limit) if whole else limit}{found}"
    if kind == "literal_error":
        return f" must be {limits['expected']}{found}"
    if kind == "string_too_short" and limits["min_length"] == 1:
        return " must not be empty"
    expected = _TYPES.get(kind.partition("_")[0]) if kind.endswith(_WRONG_TYPE) else None
    return f" must be {expected}{found}" if expected else f": {item['msg'].removeprefix('Value error, ')}{found}"


def _is_number(value: object) -> bool:
    """Whether a value is a number as the environment holds one: short enough to be no key."""
    return isinstance(value, str) and _NUMBER.fullmatch(value) is not None
