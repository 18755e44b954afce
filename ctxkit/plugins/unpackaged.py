"""Loads a plugin that no distribution announces: a module on the path, or a single file."""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

from ctxkit.errors import PluginLoadError


def import_module_or_file(target: str) -> ModuleType:
    """Import `package.module` or `folder/file.py`; whatever its import raises comes through.

    A file becomes the module named like it, so that its components say `factory="file:Name"`. Raises PluginLoadError
    when there is no such file, or when that module name is taken.
    """
    path = Path(target)
    if path.suffix != ".py":
        return importlib.import_module(target)
    if not path.is_file():
        raise PluginLoadError(f"there is no file {target}.", fix="give a Python file, or a module without `.py`.")
    path = path.resolve()
    name = re.sub(r"\W", "_", path.stem)
    if _is_taken(name, path):
        raise PluginLoadError(
            f"the file {target} would hide the module {name!r}.", fix="give the file a name that no module has."
        )
    return sys.modules[name] if name in sys.modules else _import_file(name, path)


def _is_taken(name: str, path: Path) -> bool:
    try:
        spec = importlib.util.find_spec(name)
    except ValueError:
        return True  # in sys.modules without a specification
    return spec is not None and (spec.origin is None or Path(spec.origin).resolve() != path)


def _import_file(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:  # pragma: no cover - a name ending in .py always has a loader
        raise PluginLoadError(f"{path} is not a Python file.", fix="give a Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
