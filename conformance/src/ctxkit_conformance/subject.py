"""What a run examines: one component, as its announcement and its classes describe it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from ctxkit.errors import ConfigError, PluginLoadError
from ctxkit.interfaces import BackendConfig, BackendSpec, Harness, Kind
from ctxkit.interfaces.values import CheckedValue
from ctxkit.plugins import KINDS, Component, PluginRegistry
from ctxkit.plugins.construction import (
    check_requirements,
    load_async_factory,
    load_config_class,
    load_factory,
    load_target,
    make_config,
)


@dataclass(frozen=True)
class Subject:
    """One component with the options it is examined under; `variant` names options that its harness offers."""

    component: Component
    options: Mapping[str, Any] = field(default_factory=dict)
    variant: str = ""

    @property
    def kind(self) -> Kind:
        """Which interface it implements."""
        return self.component.kind

    @property
    def spec(self) -> BackendSpec:
        """Its announcement."""
        return self.component.spec

    @property
    def factory(self) -> type[Any]:
        """The class under test; raises MissingDependencyError or PluginLoadError."""
        return cast("type[Any]", load_factory(self.component))

    @property
    def async_factory(self) -> type[Any] | None:
        """The class with an asynchronous driver of its own, if one is announced."""
        return None if self.spec.async_factory is None else load_async_factory(self.component)

    @property
    def config_class(self) -> type[BackendConfig]:
        """The model of its configuration."""
        return load_config_class(self.component)

    def harness_class(self) -> type[Harness] | None:
        """Return the harness that the backend brings; raises PluginLoadError when it names something else."""
        if self.spec.harness is None:
            return None
        check_requirements(self.component)
        found = load_target(self.component, self.spec.harness)
        if isinstance(found, type) and issubclass(found, Harness):
            return found
        raise PluginLoadError(
            f"{self.spec.harness} is not a subclass of ctxkit.interfaces.Harness.",
            fix=f"correct `harness` in the BackendSpec of {self.component.name}.",
        )

    def variants(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the configurations that are worth a run of their own, by name."""
        harness = self.harness_class()
        return {"": {}} if harness is None else harness.variants

    def all_options(self) -> dict[str, Any]:
        """Return the options of the variant with the user's own on top; raises ConfigError for an unknown variant."""
        known = self.variants() if self.variant else {"": {}}
        if self.variant not in known:
            raise ConfigError(
                f"{self.kind}:{self.component.name} has no variant {self.variant!r}.",
                fix=f"choose one of {', '.join(repr(name) for name in known)}.",
            )
        return {**known[self.variant], **self.options}

    def config(self) -> BackendConfig:
        """Return the configuration of these options; raises ConfigError."""
        return make_config(self.component, self.all_options())

    def capabilities(self) -> CheckedValue:
        """Return what is declared under these options."""
        declared = self.config().capabilities()
        return declared if isinstance(declared, CheckedValue) else self.spec.capabilities


def find_subject(
    registry: PluginRegistry, target: str, options: Mapping[str, Any] | None = None, variant: str = ""
) -> Subject:
    """Return the component that `kind:name` names, for example vector_store:faiss; raises PluginNotFoundError."""
    kind, _, name = target.partition(":")
    kind = kind.replace("-", "_")
    if kind not in KINDS or not name:
        raise ConfigError(
            f"{target!r} does not say which component to examine.",
            fix=f"write KIND:NAME, where KIND is one of {', '.join(KINDS)}; see `ctxkit plugins list`.",
        )
    return Subject(registry.find(kind, name), dict(options or {}), variant)
