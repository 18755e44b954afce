"""POST /v1/embeddings and GET /v1/models."""

from __future__ import annotations

import base64
import hashlib
import math
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from ctxkit_conformance.faults.wire import Asked, Json, RejectedError, pieces_of, typed

Vectors: TypeAlias = Callable[[Sequence[str], int], Sequence[Sequence[float]]]

_DIMENSION: Final = 8
# Models that are asked for by name have vectors of the length that their names promise.
_DIMENSIONS: Final[Mapping[str, int]] = {
    "text-embedding-3-small": 1536,
    "text-embedding-3-large": 3072,
    "text-embedding-ada-002": 1536,
}
# The provider's limits: inputs of one request, tokens of one input, tokens of one request. A word is a token here.
_MOST_INPUTS: Final = 2048
_MOST_TOKENS: Final = 8192
_MOST_TOKENS_AT_ONCE: Final = 300_000
MODELS: Final = ("answering-model", "embedding-model")


def read_embeddings(body: Json, key: str) -> Asked:
    """Return what a request for embeddings asks; raises RejectedError where the provider would."""
    model, given = typed(body, "model", str), body.get("input")
    if not model:
        raise RejectedError("bad_request", "you must provide a model parameter")
    if not isinstance(given, (str, list)) or not given:
        raise RejectedError("bad_request", "'$.input' is invalid. Please check the API reference.")
    if isinstance(given, list) and (len(given) > _MOST_INPUTS or any(each in ("", []) for each in given)):
        raise RejectedError("bad_request", "'$.input' is invalid. Please check the API reference.")
    tokens = [len(pieces_of(each)) for each in _inputs(given)]
    if max(tokens) > _MOST_TOKENS:
        raise RejectedError("context_too_long", f"This model's maximum context length is {_MOST_TOKENS} tokens.")
    if sum(tokens) > _MOST_TOKENS_AT_ONCE:
        words = f"Requested {sum(tokens)} tokens, max {_MOST_TOKENS_AT_ONCE} tokens per request"
        raise RejectedError("context_too_long", words)
    return Asked(endpoint="embeddings", key=key, model=model, body=body)


def embeddings(asked: Asked, usage: tuple[int, int] | None, vectors: Vectors) -> Json:
    """Return a vector for each input, as `vectors` makes it."""
    inputs = _inputs(asked.body["input"])
    dimension = typed(dict(asked.body), "dimensions", int) or _DIMENSIONS.get(asked.model, _DIMENSION)
    as_base64 = asked.body.get("encoding_format") == "base64"
    tokens = usage[0] if usage else sum(len(pieces_of(each)) for each in inputs)
    data = []
    for index, made in enumerate(vectors(inputs, dimension)):
        vector: Any = made
        if as_base64:
            vector = base64.b64encode(struct.pack(f"<{dimension}f", *vector)).decode()
        data.append({"object": "embedding", "index": index, "embedding": vector})
    used = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": asked.model, "usage": used}


def models(identity: str | None) -> Json | None:
    """Return the list of models, or the one of that name, None when there is none."""
    known = [{"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "system"} for name in MODELS]
    if identity is None:
        return {"object": "list", "data": known}
    return next((model for model in known if model["id"] == identity), None)


def _inputs(given: Any) -> list[str]:
    if isinstance(given, str):
        return [given]
    if all(isinstance(each, int) for each in given):
        return [str(given)]
    return [each if isinstance(each, str) else str(each) for each in given]


def hashed(texts: Sequence[str], dimension: int) -> list[list[float]]:
    """Return a vector for each text: the same one for the same text, of length 1, and without any meaning."""
    return [_vector(text, dimension) for text in texts]


def _vector(text: str, dimension: int) -> list[float]:
    """Return numbers that depend on the text alone."""
    stream = hashlib.shake_256(text.encode("utf-8", "surrogatepass")).digest(4 * dimension)
    raw = [number / 2**31 - 1 for number in struct.unpack(f"<{dimension}I", stream)]
    length = math.sqrt(sum(value * value for value in raw)) or 1.0
    return [value / length for value in raw]
