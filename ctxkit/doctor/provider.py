"""Whether the configured providers answer: with --online each is asked one short question."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any, Final

from ctxkit.doctor.results import Result, of_error
from ctxkit.doctor.store import is_at_hand
from ctxkit.doctor.subject import Subject
from ctxkit.errors import CtxkitError
from ctxkit.interfaces import Kind
from ctxkit.llm.adapters import adapter_for

_PATIENCE: Final = {"timeout": 10.0, "max_retries": 0, "retry_for": 0.0}
_QUESTION: Final = "ping"
_TOKENS: Final = 16


def check(subject: Subject) -> Iterator[Result]:
    """Ask the language model and the embedder of the configuration, each with its own key and model."""
    llm = subject.provider("llm")
    if not subject.is_named("llm"):
        yield Result("not checked", "llm", "no language model is configured, and none is needed")
    elif not subject.online:
        yield Result("not checked", "llm", f"{llm} is asked with --online only", "add --online.")
    else:
        yield _llm(subject)
    try:
        if not subject.online and not is_at_hand(subject):
            name = subject.provider("embedder")
            yield Result("not checked", "embedder", f"{name} is asked with --online only", "add --online.")
        elif subject.online and subject.provider("embedder") != "none":
            yield _embedder(subject)
    except CtxkitError as exc:
        yield of_error(exc, "embedder")


def _llm(subject: Subject) -> Result:
    section = subject.section("llm")
    try:
        with closing(adapter_for(section, registry=subject.registry, **_patience(subject, "llm"))) as adapter:
            completion = adapter.complete([{"role": "user", "content": _QUESTION}], max_tokens=_TOKENS)
    except CtxkitError as exc:
        return of_error(exc, "llm")
    return Result("ok", "llm", f"{section.provider} answered with {completion.model}")


def _embedder(subject: Subject) -> Result:
    name = subject.provider("embedder")
    options = subject.section("embedder").options() | _patience(subject, "embedder")
    with closing(subject.registry.create_embedder(name, options)) as embedder:
        return Result("ok", "embedder", f"{name} answered with {len(embedder.embed_query(_QUESTION))} dimensions")


def _patience(subject: Subject, kind: Kind) -> dict[str, Any]:
    """Return the options that bound the time of a call, as far as the component has them."""
    known = subject.registry.config_class(kind, subject.provider(kind)).model_fields
    return {name: value for name, value in _PATIENCE.items() if name in known}
