"""What is wrong with a value, in the words of the person who wrote it."""

from __future__ import annotations

from pydantic import ValidationError

from ctxkit.errors import ConfigError


def as_config_error(error: ValidationError, where: str) -> ConfigError:
    """Turn pydantic's report into one ConfigError that names each field, its limit and the value found.

    The value is shown for numbers and short words only, so that a key never reaches a message.
    """
    problems = []
    for item in error.errors(include_url=False):
        field = ".".join(str(part) for part in (where, *item["loc"]) if part != "")
        if item["type"] == "extra_forbidden":
            problems.append(f"{field}: there is no such option")
            continue
        value = item["input"]
        found = f" (found {value!r})" if isinstance(value, (bool, int, float)) else ""
        problems.append(f"{field}: {item['msg'].removeprefix('Value error, ')}{found}")
    return ConfigError("; ".join(problems) + ".", fix="correct the named value.")
