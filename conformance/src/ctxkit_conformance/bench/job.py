"""What one measuring process is asked to do, as it goes through a pipe."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ctxkit.plugins import PluginRegistry
from ctxkit_conformance.subject import Subject, find_subject


@dataclass(frozen=True)
class Job:
    """One store to measure; `folder` exists and is empty, `data` and `texts` are paths or empty.

    `title` is what the user typed.
    """

    name: str
    folder: str = ""
    title: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    plugins: Sequence[str] = ()
    data: str = ""
    texts: str = ""
    rows: int = 50_000
    parts: Sequence[str] = ()
    repeat: int = 15
    seed: int = 0
    threads: int = 1
    baseline: str = ""

    def subject(self) -> Subject:
        """Return the component; raises PluginNotFoundError and what loading a plugin raises."""
        registry = PluginRegistry.discover()
        for plugin in self.plugins:
            registry.load_path(plugin)
        return find_subject(registry, f"vector_store:{self.name}", self.options)

    @property
    def paths(self) -> tuple[Path | None, Path | None]:
        """The files of vectors and of texts, None where there are none."""
        return (Path(self.data) if self.data else None, Path(self.texts) if self.texts else None)

    def dumped(self) -> str:
        """Return it as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def parsed(cls, text: str) -> Job:
        """Return what `dumped` wrote."""
        return cls(**json.loads(text))


def environment(threads: int) -> dict[str, str]:
    """Return the variables that tell numerical libraries, when they are imported, how many threads to use."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
    return dict.fromkeys((*names, "NUMEXPR_NUM_THREADS", "RAYON_NUM_THREADS"), str(threads))
