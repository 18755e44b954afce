"""Where a run took place: what another person needs to see the same."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from importlib import metadata
from typing import Any

_ALWAYS = ("ctxkit-core", "ctxkit-conformance", "numpy", "pytest", "hypothesis")


def environment(distributions: Iterable[str] = ()) -> dict[str, Any]:
    """Return Python, platform, cores, and the versions of the distributions that take part."""
    names = sorted({*_ALWAYS, *(name for name in distributions if name)})
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "platform": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "packages": {name: version for name in names if (version := version_of(name))},
    }


def version_of(distribution: str) -> str:
    """Return the installed version of a distribution, empty when there is none."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""
