"""Whether the models and files that the configuration names are on this machine."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from ctxkit.doctor.results import Result, of_error
from ctxkit.doctor.subject import Subject
from ctxkit.errors import ConfigError, PluginError
from ctxkit.interfaces import EmbedderCapabilities
from ctxkit.interfaces.models import EmbeddingModel
from ctxkit.plugins import Component
from ctxkit.plugins.construction import load_models

_MADE_LATER: Final = ("path", "cache_folder")  # folders that a component makes itself
_TYPO: Final = 0.85


def check(subject: Subject) -> Iterator[Result]:
    """Look for each file that a component is told to read, and for the embedder's model; loads none of them."""
    for component in subject.components():
        try:
            config: Any = subject.registry.make_config(
                component.kind, component.qualified_name, subject.options(component.kind)
            )
        except (ConfigError, PluginError, ValidationError):
            yield Result("not checked", component.name, "its options are wrong", "`ctxkit doctor --only configuration`")
            continue
        yield from _files(component, config)
        if component.kind == "embedder":
            yield from _model(component, config)


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


def _model(component: Component, config: Any) -> Iterator[Result]:
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
    yield _judged(component, name, listed)


def _judged(component: Component, name: str, listed: dict[str, EmbeddingModel]) -> Result:
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
    fix = "`ctxkit doctor --only round-trip --online` is a first use."
    return Result("warning", component.name, f"{name} is not on this machine; {needed}", fix)


def _unlisted(component: Component, name: str, listed: dict[str, EmbeddingModel]) -> Result:
    close = difflib.get_close_matches(name, listed, n=1, cutoff=_TYPO)
    if close:
        return Result("warning", component.name, f"{name} is no model that it lists", f"did you mean {close[0]!r}?")
    return Result("not checked", component.name, f"{name} is none of the models that it lists")
