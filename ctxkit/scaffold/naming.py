"""Which names a plugin can have, and what follows from one."""

from __future__ import annotations

import keyword
import re
import sys
import unicodedata
from dataclasses import dataclass

from ctxkit.errors import ConfigError
from ctxkit.plugins.component import normalized
from ctxkit.plugins.known import distribution_of

MAX_LENGTH = 32  # longer ones make lines that no formatter would leave as they are
_PREFIX = "ctxkit-"
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
# Distributions, and components of the core, that are ctxkit's own.
_OWN = frozenset({"all", "cli", "conformance", "core", "default", "estimate", "exact", "extractive", "none"})
# Names whose class would hide the class that it derives from.
_HIDING = frozenset({"backend", "vector"})


@dataclass(frozen=True, slots=True)
class Names:
    """One name in the forms that a distribution needs: `acme-db` for users, pip, modules and classes."""

    name: str

    @property
    def distribution(self) -> str:
        """What pip installs: `ctxkit-acme-db`."""
        return f"{_PREFIX}{self.name}"

    @property
    def identifier(self) -> str:
        """The name inside module names: `acme_db`."""
        return self.name.replace("-", "_")

    @property
    def package(self) -> str:
        """What Python imports: `ctxkit_acme_db`."""
        return f"ctxkit_{self.identifier}"

    @property
    def prefix(self) -> str:
        """What its classes begin with: `AcmeDb`."""
        return "".join(part.capitalize() for part in self.name.split("-"))


def check_name(name: str) -> Names:
    """Return the forms of a name, or raise ConfigError saying what is wrong with it and which one would do.

    A name is what a user writes as `provider=...`: a letter, then letters and digits in lower case, single hyphens
    between them, as package indexes normalise it (PEP 503). Refused are Python's keywords and standard modules, which
    would make messages ambiguous, ctxkit's own names, and names that make classes which other tools take for theirs.
    """
    if not _NAME.fullmatch(name) or len(name) > MAX_LENGTH:
        shown = name if len(name) <= 2 * MAX_LENGTH else f"{name[: 2 * MAX_LENGTH]}..."
        raise ConfigError(f"{shown!r} is no name for a plugin.", fix=_advice(name))
    if name.startswith(_PREFIX):
        raise ConfigError(
            f"{name!r} begins with {_PREFIX!r}, which the distribution's name gets anyway.",
            fix=f"leave it out: {name.removeprefix(_PREFIX)}.",
        )
    identifier = name.replace("-", "_")
    if keyword.iskeyword(identifier) or keyword.issoftkeyword(identifier):
        raise ConfigError(f"{name!r} is a keyword of Python.", fix=f"choose another name, for example {name}-db.")
    if identifier in sys.stdlib_module_names:
        raise ConfigError(
            f"{name!r} is a module of Python's standard library.", fix=f"choose another name, for example my-{name}."
        )
    owner = _owner(name)
    if owner:
        raise ConfigError(f"{name!r} is a name of ctxkit itself ({owner}).", fix=f"choose another, like my-{name}.")
    if name.startswith("test") or name in _HIDING:
        reason = "pytest would take its classes for tests" if name not in _HIDING else "its class would hide its base"
        raise ConfigError(f"{name!r} does not work as a name: {reason}.", fix=f"choose another, like my-{name}.")
    return Names(name)


def _owner(name: str) -> str | None:
    if name in _OWN:
        return "ctxkit-core" if name != "conformance" else "ctxkit-conformance"
    return distribution_of(name)


def _advice(name: str) -> str:
    """Return what to write instead, with the nearest name that would do where there is one."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()  # an umlaut loses its dots
    nearest = normalized(re.sub(r"[^A-Za-z0-9._-]+", "-", plain)).strip("-").lstrip("-0123456789")
    nearest = nearest[:MAX_LENGTH].strip("-")
    rule = f"use letters a-z, digits and single hyphens, a letter first, {MAX_LENGTH} characters at most"
    return f"{rule}: {nearest}." if _NAME.fullmatch(nearest) else f"{rule}, for example acme-db."
