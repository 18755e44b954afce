"""How a plugin announces a component without importing it."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, SerializeAsAny, model_validator

Kind: TypeAlias = Literal["vector_store", "embedder", "tokenizer", "llm"]
SPEC_VERSION = 1
_TARGET = r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$"


class FrozenModel(BaseModel):
    """An immutable value that refuses unknown names."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class BackendConfig(FrozenModel):
    """Base of every component's configuration model.

    A vector store that keeps its data in a directory names that directory in a field `path: Path | None`; the
    context manager fills it in. A configuration on which capabilities depend overrides `capabilities`.
    """

    default_capabilities: ClassVar[Any] = None

    def capabilities(self) -> Any:
        """Return what the component can do under this configuration (None: what its BackendSpec says)."""
        return self.default_capabilities


class BackendSpec(FrozenModel):
    """What one hook returns for one component.

    `factory` and `config` are `package.module:Name` strings, imported when the component is first made, so that
    listing plugins imports no heavy library. The factory is a class; `config` names a BackendConfig.

        BackendSpec(name="faiss", factory="ctxkit_faiss.store:FaissStore", config="ctxkit_faiss.config:FaissConfig",
                    capabilities=Capabilities(...), summary="FAISS Flat", requires=("faiss",),
                    install_hint="pip install ctxkit-faiss")
    """

    name: str = Field(min_length=1, pattern=r"^[a-z0-9][a-z0-9._-]*$")
    factory: str = Field(pattern=_TARGET)
    config: str = Field(pattern=_TARGET)
    summary: str = Field(min_length=1)
    capabilities: SerializeAsAny[FrozenModel]
    requires: tuple[str, ...] = ()
    install_hint: str = ""
    async_factory: str | None = Field(default=None, pattern=_TARGET)
    spec_version: int = SPEC_VERSION

    @model_validator(mode="before")
    @classmethod
    def _version_first(cls, data: Any) -> Any:
        # A later version may have fields that this one does not know. They are left out, so that discovery reads
        # the version and can say that this ctxkit-core is too old for it.
        if isinstance(data, dict) and data.get("spec_version", SPEC_VERSION) != SPEC_VERSION:
            return {name: value for name, value in data.items() if name in cls.model_fields}
        return data
