"""Components that the project itself publishes, so that a missing one comes with its install line."""

from __future__ import annotations

from collections.abc import Mapping

from ctxkit.interfaces import Kind
from ctxkit.plugins.component import normalized
from ctxkit.plugins.installing import pip_install

_DISTRIBUTIONS: Mapping[tuple[Kind, str], str] = {
    ("embedder", "openai"): "ctxkit-openai",
    ("embedder", "sentence-transformers"): "ctxkit-sentence-transformers",
    ("embedder", "static"): "ctxkit-static",
    ("llm", "anthropic"): "ctxkit-anthropic",
    ("llm", "openai"): "ctxkit-openai",
    ("tokenizer", "huggingface"): "ctxkit-tiktoken[hf]",
    ("tokenizer", "tiktoken"): "ctxkit-tiktoken",
    ("vector_store", "chroma"): "ctxkit-chroma",
    ("vector_store", "faiss"): "ctxkit-faiss",
    ("vector_store", "hnswlib"): "ctxkit-hnswlib",
    ("vector_store", "pgvector"): "ctxkit-pgvector",
}

_COMMANDS: Mapping[str, str] = {"bench": "ctxkit-conformance[bench]", "conformance": "ctxkit-conformance"}


def command_install_line(command: str) -> str | None:
    """Return the command that installs one of the project's own commands, None for any other."""
    distribution = _COMMANDS.get(command)
    return pip_install(distribution) if distribution else None


def known_names(kind: Kind) -> list[str]:
    """Return the names of this kind that the project's own distributions provide, installed or not."""
    return [name for known, name in _DISTRIBUTIONS if known == kind]


def distribution_of(name: str) -> str | None:
    """Return the project's own distribution that provides a component of this name, None when there is none."""
    return next((distribution for (_, known), distribution in _DISTRIBUTIONS.items() if known == name), None)


def install_line(kind: Kind, name: str) -> str | None:
    """Return the command that installs the component, or None when it is not one of the project's own."""
    distribution = _DISTRIBUTIONS.get((kind, normalized(name)))
    return pip_install(distribution) if distribution else None
