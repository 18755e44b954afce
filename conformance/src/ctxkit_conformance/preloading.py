"""Imported once by the server that children are forked from: what they would each have to import."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import json
import os
import sys
from collections.abc import Mapping
from typing import Final

VARIABLE: Final = "_CTXKIT_CONFORMANCE_PRELOAD"


def load(modules: Mapping[str, str | None]) -> None:
    """Import modules by name, or from their file where the name leads nowhere, as pytest does with test files."""
    for name, file in modules.items():
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            # A module that is missing inside the one that was found is not for us to mend.
            absent = error.name is not None and (name == error.name or name.startswith(f"{error.name}."))
            if file is None or not absent:
                raise
            _load_file(name, file)


def _load_file(name: str, file: str) -> None:
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"{file} cannot be imported", name=name)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise


def _preload(wanted: str) -> None:
    path, modules = json.loads(wanted)
    sys.path[:] = path
    for name, file in modules.items():
        # The child that needs it reports what is wrong with it.
        with contextlib.suppress(Exception):
            load({name: file})


if VARIABLE in os.environ:
    _preload(os.environ.pop(VARIABLE))
