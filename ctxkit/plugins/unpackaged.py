"""Loads a plugin that no distribution announces: a module on the path, or a single file."""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType

from ctxkit.errors import PluginLoadError


def importer_of(target: str) -> Callable[[], ModuleType]:
    """Return what imports `package.module` or `folder/file.py`, which becomes the module named like the file.

    Raises PluginLoadError when the target can be neither, when there is no such file, or when its name is taken.
    """
    path = Path(target)
    if path.suffix != ".py":
        if not all(part.isidentifier() for part in target.split(".")):
            meant = Path(f"{target}.py")
            raise PluginLoadError(
                f"{target!r} is neither a Python file nor the name of a module.",
                fix=f"did you mean {meant}?" if _is_file(meant) else "give folder/file.py or package.module.",
            )
        return partial(importlib.import_module, target)
    if not _is_file(path):
        raise PluginLoadError(f"there is no file {target}.", fix="give a Python file, or a module without `.py`.")
    path = path.resolve()
    name = re.sub(r"\W", "_", path.stem)
    if _is_taken(name, path):
        raise PluginLoadError(
            f"the file {target} would hide the module {name!r}.", fix="give the file a name that no module has."
        )
    return partial(_import_file, name, path)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long, a folder that must not be read
        return False


def _is_taken(name: str, path: Path) -> bool:
    try:
        spec = importlib.util.find_spec(name)
    except ValueError:
        return True  # in sys.modules without a specification
    return spec is not None and (spec.origin is None or Path(spec.origin).resolve() != path)


def _import_file(name: str, path: Path) -> ModuleType:
    if name in sys.modules:
        return sys.modules[name]
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
