"""What the registry knows about a plugin and about each component that a plugin announced."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from ctxkit.interfaces import BackendSpec, Kind
from ctxkit.plugins.installing import localized

if TYPE_CHECKING:
    import typer

KINDS: tuple[Kind, ...] = get_args(Kind)
Status: TypeAlias = Literal["loaded", "failed", "blocked", "incompatible"]


def normalized(name: str) -> str:
    """Return a name as distributions compare: lower case, runs of `-`, `_` and `.` are one `-` (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


@dataclass(frozen=True)
class PluginRecord:
    """One plugin and what became of it.

    `value` is what the entry point names, `load_ms` the milliseconds that importing it and calling its hooks took.
    `status`: "loaded"; "failed"; "blocked" by CTXKIT_PLUGINS or CTXKIT_DISABLE_PLUGINS, so never imported;
    "incompatible", made for another version of the specification. `error` is the reason in one line, `cause` the
    exception itself. `components` are `kind:name` strings: what it announced, up to the failure if it failed; usable
    only when loaded. `heavy` are the heavy libraries that loading it was the first to import: those belong into the
    module of a component. An unpackaged plugin has its registered name as distribution and entry point, and no version.
    """

    distribution: str
    version: str
    entry_point: str
    value: str
    status: Status = "loaded"
    error: str | None = None
    load_ms: float = 0.0
    components: tuple[str, ...] = ()
    heavy: tuple[str, ...] = ()
    cause: BaseException | None = field(default=None, repr=False, compare=False)

    @property
    def title(self) -> str:
        """The plugin as messages name it: entry point, distribution and version."""
        origin = f"{self.distribution} {self.version}".strip()
        return f"the plugin {self.entry_point!r} of {origin}" if self.version else f"the plugin {self.entry_point!r}"

    def answers_to(self, name: str) -> bool:
        """Whether `name` is this plugin's distribution (`ctxkit-` may be left out) or entry point."""
        wanted, distribution = normalized(name), normalized(self.distribution)
        return wanted in {normalized(self.entry_point), distribution, distribution.removeprefix("ctxkit-")}

    def as_dict(self) -> dict[str, Any]:
        """Return the record as plain JSON values."""
        return {
            "distribution": self.distribution,
            "version": self.version,
            "entry_point": self.entry_point,
            "value": self.value,
            "status": self.status,
            "error": self.error,
            "load_ms": round(self.load_ms, 3),
            "components": list(self.components),
            "heavy": list(self.heavy),
        }


@dataclass(frozen=True)
class Component:
    """One usable component: its kind, its specification, and the plugin that it came with."""

    kind: Kind
    spec: BackendSpec
    plugin: PluginRecord

    @property
    def name(self) -> str:
        """The bare name, unique unless two distributions chose the same one."""
        return self.spec.name

    @property
    def qualified_name(self) -> str:
        """The name as `distribution:name`, which is never ambiguous."""
        return f"{self.plugin.distribution}:{self.spec.name}"

    @property
    def install_hint(self) -> str:
        """The line that installs what it requires, "" when its plugin names none; see `localized`."""
        return localized(self.spec.install_hint)

    def as_dict(self) -> dict[str, Any]:
        """Return the announcement as plain JSON values, sets sorted so that two runs print the same."""
        return {
            "kind": self.kind,
            "name": self.name,
            "qualified_name": self.qualified_name,
            "distribution": self.plugin.distribution,
            "version": self.plugin.version,
            "summary": self.spec.summary,
            "requires": list(self.spec.requires),
            "install_hint": self.install_hint,
            "capabilities": self.spec.capabilities.model_dump(mode="json"),
        }


@dataclass(frozen=True)
class HookCall:
    """One step of loading a plugin: its import (`hook` is "import") or the call of one hook.

    `returned` names what came back, up to the failure if it failed; `error` is that failure in one line. `ms` are
    milliseconds, including those in which a generator ran. `at` is the clock at its start, for their order.
    """

    plugin: str
    hook: str
    returned: tuple[str, ...] = ()
    ms: float = 0.0
    error: str | None = None
    at: float = field(default=0.0, repr=False, compare=False)

    def as_dict(self) -> dict[str, Any]:
        """Return the step as plain JSON values."""
        return {
            "plugin": self.plugin,
            "hook": self.hook,
            "returned": list(self.returned),
            "ms": round(self.ms, 3),
            "error": self.error,
        }


@dataclass(frozen=True)
class Command:
    """One sub-command that a plugin adds to the command line."""

    name: str
    app: typer.Typer
    plugin: PluginRecord
