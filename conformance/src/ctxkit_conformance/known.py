"""Failures that are known: a TOML file in which each stands with its reason and a link.

[[known]]
component = "vector_store:acme"
check = "law_of_k"                  # or one case of it: "law_of_k[cosine]"
reason = "the engine drops ties beyond the hundredth"
link = "https://example.org/acme/issues/12"
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ctxkit.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_KEYS = {"component", "check", "reason", "link"}


@dataclass(frozen=True)
class KnownFailure:
    """One failure that is expected, why, and where it is followed up."""

    component: str
    check: str
    reason: str
    link: str


@dataclass
class KnownFailures:
    """The entries for one component, and which of them a check has answered to."""

    entries: list[KnownFailure] = field(default_factory=list)
    _matched: set[str] = field(default_factory=set)

    def match(self, names: Iterable[str]) -> KnownFailure | None:
        """Return the entry for a check or for one case of it, by any of its names."""
        wanted = set(names)
        found = next((entry for entry in self.entries if entry.check in wanted), None)
        if found is not None:
            self._matched.add(found.check)
        return found

    @property
    def unmatched(self) -> list[str]:
        """Names in the file that no check has."""
        return sorted({entry.check for entry in self.entries} - self._matched)


def read_known_failures(path: Path, component: str) -> KnownFailures:
    """Read the entries for `component` (kind:name); raises ConfigError for a file that does not say everything."""
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8")).get("known", [])
    except FileNotFoundError as exc:
        raise ConfigError(f"there is no file of known failures at {path}.", fix="name one that exists.") from exc
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        raise ConfigError(f"{path} cannot be read as TOML: {exc}.", fix="correct the file.") from exc
    if not isinstance(entries, list):
        raise ConfigError(f"{path} has no list of tables named known.", fix="begin each entry with [[known]].")
    known = [_entry(path, number, entry) for number, entry in enumerate(entries, start=1)]
    return KnownFailures([entry for entry in known if entry.component == component])


def _entry(path: Path, number: int, entry: Any) -> KnownFailure:
    where = f"entry {number} of {path}"
    if not isinstance(entry, dict) or set(entry) != _KEYS or not all(isinstance(each, str) for each in entry.values()):
        raise ConfigError(
            f"{where} needs exactly component, check, reason and link, each a string.",
            fix="complete the entry; a failure that is excused needs a reason and a link where it is followed up.",
        )
    for key in ("reason", "check", "component"):
        if not entry[key].strip():
            raise ConfigError(f"{where} has an empty {key}.", fix=f"write the {key}.")
    if not entry["link"].startswith(("https://", "http://")):
        raise ConfigError(f"{where} has no link.", fix="link the report of the failure, beginning with https://.")
    return KnownFailure(**entry)
