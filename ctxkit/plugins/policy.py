"""Which plugins may load, as the environment says it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ctxkit.errors import ConfigError
from ctxkit.plugins.component import PluginRecord, normalized

ALLOW = "CTXKIT_PLUGINS"
DENY = "CTXKIT_DISABLE_PLUGINS"
STRICT = "CTXKIT_STRICT_PLUGINS"

_CORE = ("ctxkit-core", "core")
_SWITCH = {"1": True, "true": True, "yes": True, "on": True, "": False, "0": False, "false": False, "no": False}


@dataclass(frozen=True)
class LoadPolicy:
    """The allow list (None: everything), the deny list, and whether a failing plugin is an error.

    Both lists hold entry point or distribution names. The deny list wins; the core's own entry point passes always.
    """

    allow: frozenset[str] | None = None
    deny: frozenset[str] = frozenset()
    strict: bool = False

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> LoadPolicy:
        """Read the three variables; an empty one counts as unset. Raises ConfigError for a switch that is none."""
        switch = environ.get(STRICT, "").strip().lower()
        if switch not in {*_SWITCH, "off"}:
            raise ConfigError(f"{STRICT} is {switch!r}, which is neither on nor off.", fix=f"set {STRICT} to 1 or 0.")
        return cls(_names(environ, ALLOW) or None, _names(environ, DENY), _SWITCH.get(switch, False))

    def refusal(self, plugin: PluginRecord) -> str | None:
        """Return why the plugin must not be imported, or None."""
        names = {normalized(plugin.entry_point), normalized(plugin.distribution)}
        if (normalized(plugin.distribution), plugin.entry_point) == _CORE:
            return None
        if names & self.deny:
            return f"{DENY} lists it"
        if self.allow is not None and not names & self.allow:
            return f"{ALLOW} does not list it"
        return None

    def unmatched(self, plugins: Sequence[PluginRecord]) -> list[str]:
        """Return the names in the allow list that belong to no plugin."""
        known = {normalized(name) for plugin in plugins for name in (plugin.entry_point, plugin.distribution)}
        return sorted((self.allow or frozenset()) - known)


def _names(environ: Mapping[str, str], variable: str) -> frozenset[str]:
    return frozenset(normalized(name.strip()) for name in environ.get(variable, "").split(",") if name.strip())
