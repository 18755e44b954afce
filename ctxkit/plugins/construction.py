"""Imports what a component names, and makes it."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
from collections.abc import Mapping
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING, Any

from ctxkit import interfaces
from ctxkit.errors import ConfigError, CtxkitError, MissingDependencyError, PluginLoadError
from ctxkit.interfaces import Kind
from ctxkit.interfaces.models import EmbeddingModel
from ctxkit.interfaces.values import CheckedValue
from ctxkit.plugins.component import Component
from ctxkit.plugins.failures import one_line

if TYPE_CHECKING:
    from ctxkit.interfaces import BackendConfig

# By name: reading one imports numpy or pydantic, which listing must not.
INTERFACES: Mapping[Kind, str] = {
    "vector_store": "VectorStore",
    "embedder": "Embedder",
    "tokenizer": "Tokenizer",
    "llm": "LLM",
}


def is_importable(module: str) -> bool:
    """Whether a module can be found; imports nothing, not even the parents of a dotted name."""
    root, *rest = module.split(".")
    try:
        spec = importlib.util.find_spec(root)
    except ValueError:
        return True  # it is in sys.modules already, made by hand and without a specification
    path = root
    for part in rest:
        if spec is None:
            return False
        path = f"{path}.{part}"
        spec = PathFinder.find_spec(path, spec.submodule_search_locations or [])
    return spec is not None


def missing_requirements(component: Component) -> list[str]:
    """Return the modules that the component requires and that cannot be found."""
    return [module for module in component.spec.requires if not is_importable(module)]


def check_requirements(component: Component, cause: BaseException | None = None) -> None:
    """Raise MissingDependencyError when a required module cannot be found."""
    missing = missing_requirements(component)
    if missing:
        modules = " and ".join(repr(module) for module in missing)
        raise MissingDependencyError(
            f"the {component.kind} {component.name!r} needs the module {modules}, which is not installed.",
            fix=component.install_hint or f"pip install {' '.join(missing)}",
        ) from cause


def load_factory(component: Component) -> Any:
    """Import the component's class and check that it is a whole implementation of its kind's interface.

    Raises MissingDependencyError, or PluginLoadError when the import fails or names something else.
    """
    return _load_class(component, component.spec.factory, getattr(interfaces, INTERFACES[component.kind]))


def load_async_factory(component: Component) -> Any:
    """Import the asynchronous class that a vector store announces, None if it announces none; errors as above."""
    target = component.spec.async_factory
    return None if target is None else _load_class(component, target, interfaces.AsyncVectorStore)


def _load_class(component: Component, target: str, interface: type) -> Any:
    check_requirements(component)
    factory = load_target(component, target)
    if not (isinstance(factory, type) and issubclass(factory, interface)):
        raise _load_failure(component, f"{target} is not a subclass of ctxkit.interfaces.{interface.__name__}")
    if inspect.isabstract(factory):
        absent = ", ".join(sorted(getattr(factory, "__abstractmethods__", ())))
        raise _load_failure(component, f"{target} does not implement {absent}")
    return factory


def load_models(component: Component) -> list[EmbeddingModel]:
    """Return the models that an embedder announces, none if it announces none.

    Raises MissingDependencyError, or PluginLoadError when the import or the listing fails or gives something else.
    """
    target = component.spec.models
    if target is None:
        return []
    listing = load_target(component, target)
    try:
        found = list(listing())
    except Exception as exc:
        raise _load_failure(component, f"{target} lists no models: {one_line(exc)}") from exc
    if not all(isinstance(each, EmbeddingModel) for each in found):
        raise _load_failure(component, f"{target} lists something that is no ctxkit.interfaces.models.EmbeddingModel")
    return found


def load_config_class(component: Component) -> type[BackendConfig]:
    """Import the component's configuration model; raises PluginLoadError when it is none."""
    model = load_target(component, component.spec.config)
    if not (isinstance(model, type) and issubclass(model, interfaces.BackendConfig)):
        raise _load_failure(component, f"{component.spec.config} is not a subclass of ctxkit.interfaces.BackendConfig")
    return model


def make_config(component: Component, options: Mapping[str, Any] | BackendConfig | None) -> BackendConfig:
    """Validate options, or a configuration made before, with the component's model.

    Raises ConfigError, which names each wrong option and those that there are.
    """
    from pydantic import ValidationError  # noqa: PLC0415 - listing components does without

    from ctxkit.config.problems import as_config_error  # noqa: PLC0415

    model = load_config_class(component)
    try:
        return model.model_validate(options if isinstance(options, interfaces.BackendConfig) else dict(options or {}))
    except ValidationError as exc:
        problem = as_config_error(exc, f"{component.kind} {component.name}").message
        names = ", ".join(model.model_fields) or "none"
        shown = f"`ctxkit plugins show {component.kind}:{component.name}`"
        raise ConfigError(problem, fix=f"the options are {names}; {shown} explains them.") from exc


def contradictions(announced: object, model: type[BackendConfig]) -> list[str]:
    """Return in words where announced capabilities are not those of the model's default options.

    None where an option is required, or where the model leaves its capabilities to the announcement. An announced
    dimension of None promises nothing: it is known once the model is loaded.
    """
    required = any(field.is_required() for field in model.model_fields.values())
    given = None if required else model().capabilities()
    if not isinstance(given, CheckedValue) or not isinstance(announced, CheckedValue):
        return []
    said = announced.model_dump(mode="json")
    return [
        f"{name} is announced as {said.get(name)!r}, but {model.__name__}().capabilities() says {value!r}"
        for name, value in given.model_dump(mode="json").items()
        if said.get(name) != value and (name, said.get(name)) != ("dimension", None)
    ]


def check_announcement(component: Component) -> None:
    """Raise PluginLoadError when the default options are refused, or are not what the capabilities announce."""
    model = load_config_class(component)
    try:
        found = contradictions(component.spec.capabilities, model)
    except Exception as exc:
        raise _load_failure(
            component, f"{component.spec.config} cannot be made from its defaults: {one_line(exc)}"
        ) from exc
    if found:
        raise _load_failure(component, "; ".join(found))


def make(component: Component, options: Mapping[str, Any] | BackendConfig | None) -> Any:
    """Make an embedder, a tokenizer or a language model from options.

    Raises PluginLoadError for what its class raises that is no error of ctxkit's own.
    """
    factory = load_factory(component)
    config = make_config(component, options)
    try:
        return factory(config)
    except CtxkitError:
        raise
    except Exception as exc:
        raise _load_failure(component, one_line(exc)) from exc


def load_target(component: Component, target: str) -> Any:
    """Import `package.module:Name`; raises MissingDependencyError or PluginLoadError with the import's own cause."""
    module, _, name = target.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (KeyboardInterrupt, CtxkitError):
        raise
    except BaseException as exc:  # sys.exit at import and the panics of native modules are no Exception
        check_requirements(component, exc)
        raise _load_failure(component, one_line(exc)) from exc


def _load_failure(component: Component, problem: str) -> PluginLoadError:
    plugin = component.plugin
    fix = f"correct {plugin.value}."
    if plugin.version:
        fix = f"pip install --upgrade {plugin.distribution}, or tell its authors."
    return PluginLoadError(f"the {component.kind} {component.name!r} of {plugin.title}: {problem}.", fix=fix)
