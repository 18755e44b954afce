"""What is installed: the plugins and what became of them, and the components that the configuration names."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

import ctxkit
from ctxkit.doctor.results import Result, Verdict, of_error
from ctxkit.doctor.subject import Subject
from ctxkit.errors import PluginError
from ctxkit.interfaces import Kind
from ctxkit.plugins import KINDS
from ctxkit.plugins.construction import check_requirements
from ctxkit.plugins.failures import unavailable

_INSTEAD: Final[Mapping[Kind, str]] = {
    "vector_store": " exact stands in.",
    "embedder": " Memories are found by their words only.",
}


def check(subject: Subject) -> Iterator[Result]:
    """Look at what is installed; imports the hooks of plugins, and no component."""
    where = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    yield Result("ok", "ctxkit", f"{ctxkit.__version__} on {where}")
    for failure in subject.failed_plugins:
        yield of_error(failure, "plugin")
    subject.registry.commands()  # which may fail as well
    for plugin in subject.registry.plugins:
        if plugin.status != "loaded":
            verdict: Verdict = "not checked" if plugin.status == "blocked" else "problem"
            yield of_error(unavailable(plugin), plugin.distribution, verdict)
        elif plugin.error is not None:  # its components are fine, its commands are not
            yield of_error(unavailable(plugin), plugin.distribution, "warning")
    for kind in KINDS:
        yield from _configured(kind, subject)
    for component in subject.registry.components():
        if component.name != subject.section(component.kind).provider:
            try:
                check_requirements(component)
            except PluginError as exc:
                found = of_error(exc, component.name, "not checked")
                yield replace(found, found=f"{found.found} Nothing that is configured uses it.")


def _configured(kind: Kind, subject: Subject) -> Iterator[Result]:
    """Say of the component of a kind whether it is there; nobody misses a language model that nobody named."""
    section, named = subject.section(kind), subject.is_named(kind)
    name = section.provider
    if (kind == "llm" and not named) or name == "none":
        return
    title = kind.replace("_", " ")
    try:
        component = subject.registry.find(kind, name)
        check_requirements(component)
    except PluginError as exc:
        result = of_error(exc, title, "problem" if named else "warning")
        instead = "" if named else _INSTEAD.get(kind, "")
        yield Result(result.verdict, result.subject, f"{result.found}{instead}", result.fix)
    else:
        yield Result("ok", title, f"{name}, of {component.plugin.distribution} {component.plugin.version}".rstrip())
