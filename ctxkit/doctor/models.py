"""Whether the models and files that the configuration names are on this machine."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from ctxkit.doctor.results import Result, of_error
from ctxkit.doctor.subject import Subject
from ctxkit.errors import CtxkitError, PluginError
from ctxkit.interfaces import EmbedderCapabilities
from ctxkit.interfaces.models import EmbeddingModel
from ctxkit.plugins import Component
from ctxkit.plugins.construction import load_factory, load_models
from ctxkit.providers import ProviderLLM, ProviderLLMConfig

_MADE_LATER: Final = ("path", "cache_folder")  # folders that a component makes itself
_TYPO: Final = 0.85
# Beginnings by which a model tells whose it is.
_MODELS_OF: Final = {"claude-": "Anthropic", "gpt-": "OpenAI", "o1": "OpenAI", "o3": "OpenAI", "o4": "OpenAI"}


def check(subject: Subject) -> Iterator[Result]:
    """Look for each file that a component is told to read, and for the models' names; loads none of them."""
    found = False
    for result in _of_components(subject):
        found = True
        yield result
    if not found:
        yield Result("not checked", "models", "no component in use has a model or reads a file")


def _of_components(subject: Subject) -> Iterator[Result]:
    for component in subject.components():
        try:
            config: Any = subject.registry.make_config(
                component.kind, component.qualified_name, subject.options(component.kind)
            )
        except CtxkitError:
            more = subject.command("doctor", "--only", "configuration")
            yield Result("not checked", component.name, "its options are wrong", more)
            continue
        yield from _files(component, config)
        if component.kind == "embedder":
            yield from _model(component, config, subject)
        elif component.kind == "llm":
            yield from _of_provider(component, config)


def _files(component: Component, config: Any) -> Iterator[Result]:
    for name in type(config).model_fields:
        value = getattr(config, name)
        if isinstance(value, Path) and name not in _MADE_LATER:
            if value.expanduser().exists():
                yield Result("ok", component.name, f"{name} is {value}")
            else:
                option = f"{component.kind}.{name}"
                yield Result(
                    "problem", component.name, f"{option} names {value}, which does not exist", f"correct {option}."
                )


def _of_provider(component: Component, config: Any) -> Iterator[Result]:
    """Say of a language model whether its name is one of another provider's."""
    try:
        factory = load_factory(component)
    except PluginError:
        return  # the installation is told elsewhere
    if not (issubclass(factory, ProviderLLM) and isinstance(config, ProviderLLMConfig)):
        return
    name, provider = config.model, factory.provider
    owner = next((owner for begin, owner in _MODELS_OF.items() if name.startswith(begin)), provider.title)
    if owner == provider.title or not provider.owns(provider.address_of(config.base_url)):
        yield Result("ok", component.name, f"{name} is with its provider")
    else:
        fix = f"set llm.provider to {owner.lower()}, or llm.model to one of {provider.title}'s models."
        yield Result("problem", component.name, f"{name} is a model of {owner}, not of {provider.title}", fix)


def _model(component: Component, config: Any, subject: Subject) -> Iterator[Result]:
    name = getattr(config, "model", None)
    able = config.capabilities() or component.spec.capabilities
    offline = isinstance(able, EmbedderCapabilities) and able.offline
    if not isinstance(name, str):
        yield Result("ok", component.name, "its model comes with it" if offline else "its model is with its provider")
        return
    try:
        listed = {each.name: each for each in load_models(component)}
    except PluginError as exc:
        yield of_error(exc, component.name, "warning")
        return
    yield _judged(component, name, listed, subject)


def _judged(component: Component, name: str, listed: dict[str, EmbeddingModel], subject: Subject) -> Result:
    folder = Path(name).expanduser()
    if folder.is_dir():
        return Result("ok", component.name, f"{name} is a folder of this machine")
    if name.startswith((".", "~", os.sep)):
        return Result("problem", component.name, f"there is no folder {name}", "correct embedder.model.")
    known = listed.get(name)
    if known is None:
        return _unlisted(component, name, listed)
    if known.on_this_machine or not known.size_mb:
        return Result(
            "ok", component.name, f"{name} is {'on this machine' if known.on_this_machine else 'with its provider'}"
        )
    needed = f"its first use downloads {known.size_mb:.0f} MB"
    fix = f"{subject.command('doctor', '--only', 'round-trip', '--online')} is a first use."
    return Result("warning", component.name, f"{name} is not on this machine; {needed}", fix)


def _unlisted(component: Component, name: str, listed: dict[str, EmbeddingModel]) -> Result:
    close = difflib.get_close_matches(name, listed, n=1, cutoff=_TYPO)
    if close:
        return Result("warning", component.name, f"{name} is no model that it lists", f"did you mean {close[0]!r}?")
    return Result("not checked", component.name, f"{name} is none of the models that it lists")
