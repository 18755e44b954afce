"""What is wrong with a configuration: its values, the components that it names with their options, and conflicts."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from ctxkit.config import Config
from ctxkit.config.conflicts import find_conflicts
from ctxkit.config.layers import Finding, Layers, Repair, default_of, read_layers, unknown_option
from ctxkit.config.problems import as_problems
from ctxkit.config.repairing import mend as mend_file
from ctxkit.doctor.results import Result, of_error
from ctxkit.doctor.subject import Subject
from ctxkit.errors import CtxkitError, PluginError, PluginNotFoundError
from ctxkit.interfaces import Capabilities, EmbedderCapabilities, Kind
from ctxkit.moving.places import configured_place
from ctxkit.plugins import KINDS, PluginRegistry
from ctxkit.plugins.known import install_line
from ctxkit.plugins.standing_in import provider_of

_FILLED_IN: Final = frozenset({"path", "index_type"})  # by the context manager


def check(subject: Subject) -> Iterator[Result]:
    """Look at every value, the components that are named with their options, and what does not fit together."""
    if subject.unreadable is not None:
        yield of_error(subject.unreadable, "file")
        return
    found = findings(subject.layers, subject.registry)
    if subject.fix:
        before = found
        backup, found = mend(subject.layers, subject.registry, subject.assignments)
        if backup is not None:
            gone = len(before) - len(found)
            yield Result("ok", "file", f"{gone} of {len(before)} mended; what it was is kept in {backup}")
            subject.read_again()
    for each in found:
        yield Result("warning" if each.is_warning else "problem", each.origin.layer, str(each), _fix(each, subject))
    if not found:
        file = subject.layers.file
        yield Result("ok", "values", f"nothing wrong in {'the environment' if file is None else file.title}")


def _fix(finding: Finding, subject: Subject) -> str:
    """Return what to do about a finding, with the command that does it where there is one."""
    if finding.repair is None or not is_mendable(finding):
        return finding.fix
    does = "makes it a comment" if finding.repair.how == "disable" else "does it"
    return f"{finding.fix} {subject.command('doctor', '--fix')} {does}."


def mend(layers: Layers, registry: PluginRegistry, assignments: tuple[str, ...]) -> tuple[Path | None, list[Finding]]:
    """Mend what can be in the configuration file; return the copy of what it was, and what is wrong after it."""
    found = findings(layers, registry)
    repairs = [each.repair for each in found if each.repair is not None and is_mendable(each)]
    if layers.file is None or not repairs:
        return None, found
    backup = mend_file(layers.file, repairs)
    return backup, findings(read_layers(layers.file.path, assignments=assignments), registry)


def is_mendable(finding: Finding) -> bool:
    """Whether the file can be mended: what was written elsewhere is not ours to change."""
    return finding.repair is not None and finding.origin.layer == "file"


def findings(layers: Layers, registry: PluginRegistry) -> list[Finding]:
    """Return everything that is wrong with a configuration; nothing is made and no component's library imported."""
    config, wrong = layers.checked
    return [
        *wrong,
        *(each for kind in KINDS for each in _of_component(kind, config, layers, registry)),
        *_dimension(config, layers, registry),
        *_search(config, layers, registry),
        *_conflicts(config, layers),
    ]


def _of_component(kind: Kind, config: Config, layers: Layers, registry: PluginRegistry) -> Iterator[Finding]:
    section: Any = getattr(config, kind)
    if "provider" not in section.model_fields_set or (kind == "embedder" and section.provider == "none"):
        return
    try:
        registry.find(kind, section.provider)
        model = registry.config_class(kind, section.provider)
    except PluginNotFoundError as exc:
        names = sorted(each.name for each in registry.components(kind))
        close = difflib.get_close_matches(section.provider.lower(), names, n=1)
        key = (kind, "provider")
        repair = Repair(key, "set", close[0]) if close else Repair(key, "disable")
        yield Finding(layers.origin(key), f"{kind}.provider: {exc.message.rstrip('.')}", exc.fix or "", repair)
        return
    except PluginError:
        return  # what is wrong with the plugin itself is no matter of the configuration
    try:
        model.model_validate(_options(kind, section, set(model.model_fields)))
    except ValidationError as exc:
        for problem in as_problems(exc, kind):
            origin = layers.origin(problem.key)
            if problem.unknown:
                own = set(type(section).model_fields) | set(model.model_fields) - _FILLED_IN
                yield unknown_option(problem.key, origin, sorted(own))
            else:
                yield Finding(
                    origin,
                    str(problem),
                    f"`ctxkit plugins show {kind}:{section.provider}` explains its options.",
                    Repair(problem.key[:2], "disable"),
                )


def _options(kind: Kind, section: Any, known: set[str]) -> dict[str, Any]:
    """Return what the component would be made with, as far as a check of its values needs it."""
    options: dict[str, Any] = section.options()
    if kind == "llm":
        options |= {name: getattr(section, name) for name in ("model", "max_tokens", "temperature") if name in known}
    return options


def _dimension(config: Config, layers: Layers, registry: PluginRegistry) -> Iterator[Finding]:
    """Yield that the dimension of the store is not that of the embedder, where both are known without loading it."""
    section = config.embedder
    if "dimension" not in config.vector_store.model_fields_set or not registry.is_available(
        "embedder", section.provider
    ):
        return
    try:
        able = registry.make_config("embedder", section.provider, section.options()).capabilities()
    except CtxkitError:
        return  # its options are wrong, which is told
    dimension = config.vector_store.dimension
    if isinstance(able, EmbedderCapabilities) and able.dimension not in (None, dimension):
        key = ("vector_store", "dimension")
        yield Finding(
            layers.origin(key),
            f"vector_store.dimension is {dimension}, but the vectors of {section.provider} have {able.dimension}",
            f"leave it out, or set it to {able.dimension}.",
            Repair(key, "set", able.dimension),
        )


def _search(config: Config, layers: Layers, registry: PluginRegistry) -> Iterator[Finding]:
    """Yield that nothing would ever be found: the store searches no texts, and nothing makes vectors."""
    if provider_of("embedder", config.embedder, registry) != "none":
        return
    try:
        place = configured_place(config.vector_store, None, registry)
        able = place.config.capabilities() or registry.find("vector_store", place.provider).spec.capabilities
    except CtxkitError:
        return  # its options are wrong, or it is not installed, which is told
    if not isinstance(able, Capabilities) or able.text_search is not None:
        return
    key, default = ("embedder", "provider"), default_of(("embedder", "provider"))
    repair, fix = None, f"{install_line('embedder', default)}, which makes them."
    if registry.is_available("embedder", default):
        repair, fix = Repair(key, "set", default), f"set embedder.provider to {default}, or take it out."
    yield Finding(
        layers.origin(key),
        f"{place.provider} as it is configured searches by vectors only, and no embedder makes any: nothing that is"
        " stored would be found",
        fix,
        repair,
    )


def _conflicts(config: Config, layers: Layers) -> Iterator[Finding]:
    for conflict in find_conflicts(config):
        first, second = (layers.origin(("memory", option)) for option in conflict.options)
        origin = first if first.layer == "file" or second.layer == "default" else second
        key = ("memory", conflict.options[0])
        # A value that the environment or an option gives would win over what the file is mended to.
        repair = Repair(key, "set", conflict.fitting) if first.layer in ("file", "default") else None
        fix = f"set memory.{conflict.options[0]} to {conflict.fitting}, or change memory.{conflict.options[1]}."
        yield Finding(origin, conflict.sentence.rstrip("."), fix, repair, is_warning=True)
