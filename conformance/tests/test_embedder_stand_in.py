"""The provider behind an embedder that asks one: its limits, and vectors that mean something."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

import numpy as np
import pytest
from ctxkit_conformance.embedders import stand_in
from ctxkit_conformance.faults import FaultServer


def embedded(origin: str, texts: list[str], **options: Any) -> Any:
    """Ask a server of OpenAI's format for embeddings; return status and body."""
    body = json.dumps({"model": "embedding-model", "input": texts, **options}).encode()
    headers = {"authorization": "Bearer sk-test", "content-type": "application/json"}
    request = urllib.request.Request(f"{origin}/embeddings", body, headers)  # noqa: S310 - loopback
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, json.load(refused)


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["word " * 8_193], "maximum context length is 8192"),
        (["word " * 8_000] * 38, "max 300000 tokens per request"),
        (["a"] * 2_049, "'$.input' is invalid"),
        ([""], "'$.input' is invalid"),
    ],
    ids=["long", "together", "many", "empty"],
)
def test_the_providers_limits(texts: list[str], words: str) -> None:
    """What the provider refuses is refused, so that an embedder that sends it is found out."""
    with FaultServer() as server:
        status, body = embedded(server.default.url("openai"), texts)
        assert status == 400
        assert words in body["error"]["message"]
        assert embedded(server.default.url("openai"), ["word " * 8_000] * 3)[0] == 200


@pytest.mark.parametrize(("model", "length"), [("text-embedding-3-large", 3072), ("embedding-model", 8)])
def test_vectors_have_the_length_of_their_model(model: str, length: int) -> None:
    """Models that are known by name have vectors of their own length."""
    with FaultServer() as server:
        _, body = embedded(server.default.url("openai"), ["a"], model=model)
    assert len(body["data"][0]["embedding"]) == length


def test_vectors_are_borrowed_from_an_embedder_that_is_here() -> None:
    """With an offline embedder installed, what says the same is near, at any length of the vectors."""
    assert stand_in.has_meaning(), "ctxkit-static is installed wherever these tests run"
    address = stand_in.options_for("openai")["base_url"]
    texts = ["The dog is happy.", "A cheerful puppy.", "Interest rates rose again."]
    for length in (96, 1536):
        _, body = embedded(address, texts, dimensions=length)
        rows = np.array([each["embedding"] for each in body["data"]])
        assert rows.shape == (3, length)
        assert np.allclose(np.linalg.norm(rows, axis=1), 1)
        assert rows[0] @ rows[1] > rows[0] @ rows[2] + 0.1
