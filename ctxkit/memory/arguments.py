"""What callers pass to a manager: moments, paths and budgets, checked."""

from __future__ import annotations

import os
import time
from datetime import datetime
from pathlib import Path

from ctxkit.config import Config
from ctxkit.errors import ConfigError, InvalidRecordError

_LATEST = 1e15  # seconds, about thirty million years: what is beyond is no moment but a mistake


def check_moment(timestamp: object) -> float:
    """Return seconds since the epoch, now for None; raises InvalidRecordError for what is no moment."""
    if timestamp is None:
        return time.time()
    if isinstance(timestamp, datetime):
        if timestamp.tzinfo is None:
            raise InvalidRecordError("the timestamp has no time zone.", fix="pass an aware datetime, or seconds.")
        return timestamp.timestamp()
    if isinstance(timestamp, (int, float)) and not isinstance(timestamp, bool) and abs(timestamp) < _LATEST:
        return float(timestamp)
    raise InvalidRecordError(
        f"the timestamp is {timestamp!r:.60}.", fix="pass seconds since the epoch or an aware datetime."
    )


def check_budget(budget: object) -> int:
    """Return a token budget, or raise ConfigError when it is no positive int."""
    if isinstance(budget, bool) or not isinstance(budget, int) or budget < 1:
        raise ConfigError(f"the token budget is {budget!r}.", fix="pass an int of at least 1.")
    return budget


def not_config(found: object) -> ConfigError:
    """Return what to say of something else in the place of a configuration: it may be the path."""
    named = isinstance(found, (str, os.PathLike))
    fix = f"for the folder of a store write path={str(found)!r}." if named else "pass Config(...)."
    return ConfigError(f"config is {type(found).__name__}, not Config.", fix=fix)


def check_path(path: object) -> Path:
    """Return a path, or raise ConfigError when it is none."""
    if not isinstance(path, (str, os.PathLike)) or not str(path):
        raise ConfigError(f"the path is {path!r}.", fix="pass the path of a folder or file as str or Path.")
    return Path(path)


def store_folder(path: object, config: Config) -> Path | None:
    """Return where the store lives: the path, else the place that the configuration was loaded with.

    A path among the store's own options counts too.
    """
    option = config.vector_store.options().get("path")
    named = config.store if path is None else path
    if named is not None and option is not None:
        other = "store in the configuration" if path is None else "path="
        raise ConfigError(f"there is a {other} and a vector_store.path.", fix="keep one of them.")
    chosen = option if named is None else named
    return None if chosen is None else check_path(chosen)
