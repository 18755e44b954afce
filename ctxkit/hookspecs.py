"""The hooks through which components reach ctxkit.

A distribution registers one entry point in the group `ctxkit`, naming a module (or object) that holds hook
implementations and nothing heavy:

    # pyproject.toml
    [project.entry-points.ctxkit]
    acme = "ctxkit_acme"

    # ctxkit_acme/__init__.py
    from ctxkit.hookspecs import hookimpl
    from ctxkit.interfaces import BackendSpec, Capabilities

    @hookimpl
    def ctxkit_vector_stores():
        return [BackendSpec(name="acme", factory="ctxkit_acme.store:AcmeStore",
                            config="ctxkit_acme.config:AcmeConfig", summary="Acme's vector store",
                            capabilities=Capabilities(metrics=frozenset({"cosine"}), exact=True))]
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    import typer

    from ctxkit.interfaces import BackendSpec

PROJECT = "ctxkit"
ENTRY_POINT_GROUP = "ctxkit"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def ctxkit_vector_stores() -> Iterable[BackendSpec]:  # type: ignore[empty-body]  # a hook has no body
    """Return the vector stores of this distribution.

    @hookimpl
    def ctxkit_vector_stores():
        return [BackendSpec(name="acme", factory="ctxkit_acme.store:AcmeStore", ...)]
    """


@hookspec
def ctxkit_embedders() -> Iterable[BackendSpec]:  # type: ignore[empty-body]
    """Return the embedders of this distribution.

    @hookimpl
    def ctxkit_embedders():
        return [BackendSpec(name="acme", factory="ctxkit_acme.embedder:AcmeEmbedder", ...)]
    """


@hookspec
def ctxkit_tokenizers() -> Iterable[BackendSpec]:  # type: ignore[empty-body]
    """Return the tokenizers of this distribution.

    @hookimpl
    def ctxkit_tokenizers():
        return [BackendSpec(name="acme", factory="ctxkit_acme.tokenizer:AcmeTokenizer", ...)]
    """


@hookspec
def ctxkit_llms() -> Iterable[BackendSpec]:  # type: ignore[empty-body]
    """Return the language model adapters of this distribution.

    @hookimpl
    def ctxkit_llms():
        return [BackendSpec(name="acme", factory="ctxkit_acme.llm:AcmeLLM", ...)]
    """


@hookspec
def ctxkit_commands() -> Iterable[tuple[str, typer.Typer]]:  # type: ignore[empty-body]
    """Return (name, typer application) pairs that become sub-commands of `ctxkit`.

    @hookimpl
    def ctxkit_commands():
        return [("acme", acme_app)]
    """
