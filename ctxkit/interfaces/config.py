"""The base of every component's configuration model."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict


class FrozenModel(BaseModel):
    """An immutable value that refuses unknown names."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class BackendConfig(FrozenModel):
    """Base of every component's configuration model.

    A vector store that keeps its data in a directory names that directory in a field `path: Path | None`; the
    context manager fills it in. A configuration on which capabilities depend overrides `capabilities`. Defaults are
    checked as every other value is.
    """

    model_config = ConfigDict(validate_default=True)

    default_capabilities: ClassVar[Any] = None

    def capabilities(self) -> Any:
        """Return what the component can do under this configuration (None: what its BackendSpec says)."""
        return self.default_capabilities
