"""Whether each component in use can be imported with its libraries, and how long that takes."""

from __future__ import annotations

import importlib
import time
from collections.abc import Iterator

from ctxkit.doctor.results import Result, of_error
from ctxkit.doctor.subject import Subject
from ctxkit.errors import CtxkitError
from ctxkit.plugins import Component
from ctxkit.plugins.construction import load_factory


def check(subject: Subject) -> Iterator[Result]:
    """Import the class of each component in use, and the libraries that it needs sooner or later."""
    began = time.perf_counter()
    import ctxkit.manager  # noqa: PLC0415 - its time is what is asked for

    yield Result("ok", "ctxkit", f"{ctxkit.manager.__name__} in {time.perf_counter() - began:.2f} s")
    for component in subject.components():
        yield _imported(component)


def _imported(component: Component) -> Result:
    modules = [component.spec.factory.partition(":")[0], *component.spec.requires]
    began = time.perf_counter()
    try:
        load_factory(component)
        for module in component.spec.requires:
            importlib.import_module(module)
    except CtxkitError as exc:
        return of_error(exc, component.name)
    except Exception as exc:  # noqa: BLE001 - a library that is there may be broken in any way
        return of_error(exc, component.name, fix=f"{component.install_hint or 'install it'} again.")
    return Result("ok", component.name, f"{', '.join(modules)} in {time.perf_counter() - began:.2f} s")
