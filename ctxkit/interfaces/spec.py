"""How a plugin announces a component without importing it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

from ctxkit.interfaces.values import CheckedValue, Rule, instance_of, number, optional, text, texts

Kind: TypeAlias = Literal["vector_store", "embedder", "tokenizer", "llm"]
SPEC_VERSION = 1
_TARGET = r"[A-Za-z_][\w.]*:[A-Za-z_]\w*"


class BackendSpec(CheckedValue):
    """What one hook returns for one component.

    `factory` and `config` are `package.module:Name` strings, imported when the component is first made, so that
    listing plugins imports no heavy library. The factory is a class; `config` names a BackendConfig. `async_factory`
    names an AsyncVectorStore for a backend with an asynchronous driver; `harness` a Harness for the conformance suite;
    `models`, for an embedder, a function that returns the EmbeddingModels it is usually used with.

        BackendSpec(name="faiss", factory="ctxkit_faiss.store:FaissStore", config="ctxkit_faiss.config:FaissConfig",
                    capabilities=Capabilities(...), summary="FAISS Flat", requires=("faiss",),
                    install_hint="pip install ctxkit-faiss")

    Raises InvalidValueError, a ValueError, that names each field that is wrong.
    """

    name: str
    factory: str
    config: str
    summary: str
    capabilities: CheckedValue
    requires: tuple[str, ...] = ()
    install_hint: str = ""
    async_factory: str | None = None
    harness: str | None = None
    models: str | None = None
    spec_version: int = SPEC_VERSION

    rules: ClassVar[Mapping[str, Rule]] = {
        "name": text(r"[a-z0-9][a-z0-9._-]*"),
        "factory": text(_TARGET),
        "config": text(_TARGET),
        "summary": text(),
        "capabilities": instance_of(CheckedValue),
        "requires": texts,
        "install_hint": text(empty=True),
        "async_factory": optional(text(_TARGET)),
        "harness": optional(text(_TARGET)),
        "models": optional(text(_TARGET)),
        "spec_version": number(),
    }

    if not TYPE_CHECKING:  # type checkers know the fields, and those only

        def __init__(self, **values: Any) -> None:
            # A later version may have fields that this one does not know. They are left out, so that discovery
            # reads the version and can say that this ctxkit-core is too old for it.
            if values.get("spec_version", SPEC_VERSION) != SPEC_VERSION:
                values = {name: value for name, value in values.items() if name in self.rules}
            super().__init__(**values)
