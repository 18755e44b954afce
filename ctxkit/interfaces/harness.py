"""What a backend lets the conformance suite do to it that no user of the interface can do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from ctxkit.errors import ConfigError

if TYPE_CHECKING:
    from ctxkit.interfaces.config import BackendConfig
    from ctxkit.records import Record


class Harness:
    """Reaches into a backend for the checks that need its files, its process or its disk.

    Name it in `BackendSpec(harness="package.module:Name")`; it is imported by the suite alone. A backend that keeps
    its data in a directory, named by the option `path` of its configuration, needs none: the suite brings one.
    What a method cannot do it leaves to the base class, whose NotImplementedError the report shows as the reason why a
    check was not made; no level that needs such a check is granted.

    `variants` are configurations that are worth a run of their own, by name: options beside those of the user.
    """

    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {"": {}}

    def __init__(self, config_class: type[BackendConfig], options: Mapping[str, Any]) -> None:
        self.config_class = config_class
        self.options = dict(options)

    def fresh(self, folder: Path) -> BackendConfig:
        """Return a configuration under which nothing is stored yet; two folders never share anything.

        `folder` does not exist. A server's harness derives a database or a prefix of its own from it.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define fresh()")

    def files(self, config: BackendConfig) -> Sequence[Path]:
        """Return the files that hold what is stored, while no handle is open."""
        self._lacking("files", config)

    def moved(self, config: BackendConfig, folder: Path) -> BackendConfig:
        """Move everything that is stored to `folder`, while no handle is open, and return its configuration."""
        self._lacking("moved", config, folder)

    def raw(self, config: BackendConfig, collection: str) -> Mapping[str, Record]:
        """Return the records of a collection by id, read around the store: from its files or by the server's client."""
        self._lacking("raw", config, collection)

    def kill(self) -> None:
        """Kill the process that holds the data and start it anew.

        Only for a backend whose data another process holds; otherwise the suite kills the process that uses it.
        """
        self._lacking("kill")

    def newer_format(self, config: BackendConfig, collection: str) -> None:
        """Change what is stored so that a later version of the backend seems to have written it; no handle is open."""
        self._lacking("newer_format", config, collection)

    def full_disk(self, config: BackendConfig) -> AbstractContextManager[None]:
        """Leave no room for another write inside the `with`, where the store is open."""
        self._lacking("full_disk", config)

    def close(self) -> None:
        """Release what the harness started."""

    def _lacking(self, name: str, *_arguments: object) -> NoReturn:
        raise NotImplementedError(f"the harness {type(self).__name__} does not offer {name}()")


class DirectoryHarness(Harness):
    """For a backend that keeps all its data below the directory `path` of its configuration."""

    def fresh(self, folder: Path) -> BackendConfig:
        """Return a configuration with this directory; with the option path=None, one without any."""
        if self.options.get("path", folder) not in {None, folder}:
            raise ConfigError(
                f"the option path is {self.options['path']!r}, but each check needs a directory of its own.",
                fix="leave it out; path=null examines a store without a directory.",
            )
        return self.config_class.model_validate({"path": folder, **self.options})

    def files(self, config: BackendConfig) -> Sequence[Path]:
        """Return every file below the directory, sorted."""
        return sorted(path for path in self._folder(config).rglob("*") if path.is_file())

    def moved(self, config: BackendConfig, folder: Path) -> BackendConfig:
        """Rename the directory."""
        self._folder(config).rename(folder)
        return config.model_copy(update={"path": folder})

    def _folder(self, config: BackendConfig) -> Path:
        folder = getattr(config, "path", None)
        if folder is None:
            raise NotImplementedError(f"this {type(config).__name__} has no directory")
        return Path(folder)
