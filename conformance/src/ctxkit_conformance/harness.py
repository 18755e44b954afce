"""The harnesses that the suite brings: for an author's test file, and for a store without a directory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ctxkit.interfaces import BackendConfig, DirectoryHarness, Harness


class PlainHarness(Harness):
    """For a backend without a directory: a collection lives as long as its handle, or nobody knows where."""

    def fresh(self, folder: Path) -> BackendConfig:  # noqa: ARG002 - there is no place to keep anything
        """Return the configuration as it is."""
        return self.config_class.model_validate(self.options)


class AuthorsHarness(DirectoryHarness):
    """For a test file that makes its configurations with a function of its own."""

    def __init__(self, make_config: Callable[[Path], BackendConfig]) -> None:
        super().__init__(BackendConfig, {})
        self._make_config = make_config

    def fresh(self, folder: Path) -> BackendConfig:
        """Return what the function makes of the folder."""
        return self._make_config(folder)

    def moved(self, config: BackendConfig, folder: Path) -> BackendConfig:
        """Rename the directory."""
        self._folder(config).rename(folder)
        return self._make_config(folder)


def harness_for(config_class: type[BackendConfig], options: Mapping[str, Any]) -> Harness:
    """Return the harness that fits a configuration model: with a directory when it has an option `path`."""
    made = DirectoryHarness if "path" in config_class.model_fields else PlainHarness
    return made(config_class, options)
