"""Options of a component as they are typed: KEY=VALUE."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from ctxkit.errors import ConfigError


def parsed_options(pairs: Iterable[str]) -> dict[str, Any]:
    """Return the options; a value is JSON where it is (8, true, [1, 2]) and text otherwise. Raises ConfigError."""
    options: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise ConfigError(f"{pair!r} is no option.", fix="write --config KEY=VALUE, for example ef_search=64.")
        try:
            options[key] = json.loads(value)
        except ValueError:
            options[key] = value
    return options
