"""OpenAI's embedder through OpenAI's own library, against a server that fails as it is told."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from typing import Any, Final

import ctxkit_openai
import numpy as np
import pytest
from ctxkit_conformance.faults import FaultServer, Scenario, step
from ctxkit_openai.batching import Batcher
from ctxkit_openai.config import DIMENSIONS, OpenAIEmbedderConfig
from ctxkit_openai.embedder import OpenAIEmbedder, _decoded, _vectors
from ctxkit_openai.kept import KeptVectors

from ctxkit.errors import (
    AuthenticationFailedError,
    EmbedderError,
    EmbedderTimeoutError,
    ProviderUnavailableError,
    RateLimitedError,
)
from ctxkit.llm.embeddings import EmbeddingProvider
from ctxkit.plugins import PluginRegistry

KEY: Final = "sk-test-0123456789abcdef"
SOON: Final = {"retry-after-ms": "5"}


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    """The provider."""
    with FaultServer() as made:
        yield made


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep keys, addresses and proxies of whoever runs the tests out of them."""
    for name in [name for name in os.environ if name.startswith("OPENAI_") or name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)


def embedder(where: Scenario, **options: Any) -> OpenAIEmbedder:
    """Return an embedder that asks this scenario."""
    given = {"base_url": where.url("openai"), "api_key": KEY, "dimension": 8, **options}
    return OpenAIEmbedder(OpenAIEmbedderConfig(**given))


def sent(where: Scenario) -> list[list[str]]:
    """Return the texts of each request."""
    return [request.body["input"] for request in where.requests]


def test_what_failed_is_asked_again_alone(server: FaultServer) -> None:
    """Of three requests the second fails for good: the next call sends what is missing, and all rows are right."""
    texts = [f"text {number}" for number in range(6)]
    whole = embedder(server.scenario()).embed_documents(texts)
    scenario = server.scenario(step("ok"), step("authentication"))
    with embedder(scenario, max_batch=2) as made:
        with pytest.raises(EmbedderError, match="2 of 6 texts are embedded and kept") as caught:
            made.embed_documents(texts)
        assert isinstance(caught.value.__cause__, AuthenticationFailedError)
        found = made.embed_documents(texts)
        again = made.embed_documents(texts[:2])
    assert np.array_equal(found, whole)
    assert np.array_equal(again, whole[:2])
    assert sent(scenario) == [texts[:2], texts[2:4], texts[2:4], texts[4:], texts[:2]]


def test_a_passing_fault_is_overcome(server: FaultServer) -> None:
    """Each request is tried again by itself, and nothing that came before it is asked twice."""
    scenario = server.scenario(step("ok"), step("unavailable", headers=SOON), step("rate_limited", headers=SOON))
    with embedder(scenario, max_batch=1) as made:
        assert made.embed_documents(["a", "b", "c"]).shape == (3, 8)
    assert sent(scenario) == [["a"], ["b"], ["b"], ["b"], ["c"]]


@pytest.mark.parametrize(
    ("fault", "cause", "words"),
    [
        ("authentication", AuthenticationFailedError, "authentication"),
        ("rate_limited", RateLimitedError, "rate limit"),
        ("malformed", ProviderUnavailableError, "cannot be read"),
        ("page", ProviderUnavailableError, "page"),
        ("reset", ProviderUnavailableError, "connection"),
        ("cut", ProviderUnavailableError, "connection"),
    ],
)
def test_failures_are_told(server: FaultServer, fault: str, cause: type[Exception], words: str) -> None:
    """The error is an embedder's, with a fix, and what happened at the provider is its cause."""
    with (
        embedder(server.scenario(step(fault)), max_retries=0) as made,
        pytest.raises(EmbedderError, match=words) as caught,
    ):
        made.embed_documents(["a boat"])
    assert isinstance(caught.value.__cause__, cause)
    assert caught.value.fix
    assert KEY not in str(caught.value)


def test_silence_is_a_timeout(server: FaultServer) -> None:
    """A provider that says nothing costs the timeout."""
    with embedder(server.scenario(step("hang")), timeout=0.3) as made, pytest.raises(EmbedderTimeoutError):
        made.embed_query("a boat")


def test_a_text_is_sent_once(server: FaultServer) -> None:
    """What occurs three times costs one embedding."""
    scenario = server.scenario()
    with embedder(scenario) as made:
        rows = made.embed_documents(["b", "a", "b", "", "b"])
    assert sent(scenario) == [["b", "a", " "]]
    assert np.array_equal(rows[0], rows[2])
    assert not np.array_equal(rows[0], rows[1])


def test_limits_of_a_request(server: FaultServer) -> None:
    """No request holds more texts or tokens than the provider allows, and nothing is lost or out of order."""
    scenario = server.scenario()
    texts = [f"number {number}" for number in range(5_000)]
    with embedder(scenario) as made:
        assert made.embed_documents(texts).shape == (5_000, 8)
    assert [len(batch) for batch in sent(scenario)] == [2_048, 2_048, 904]
    heavy = [f"{number} " + "word " * 7_000 for number in range(60)]
    crowded = server.scenario()
    with embedder(crowded) as made:
        made.embed_documents(heavy)
    assert len(crowded.requests) == 2, "420 000 tokens fit two requests of 300 000"
    assert [text for batch in sent(crowded) for text in batch] == heavy


def test_batches_by_estimated_tokens() -> None:
    """Text of few tokens for its bytes is not sent in needlessly many requests."""
    batcher = Batcher(max_tokens=8_191, max_batch=2_048, max_batch_tokens=100)
    texts = [f"{number} the boat is moored at the berth" for number in range(40)]
    sizes = [len(batch) for batch in batcher.batches(texts)]
    assert sum(sizes) == 40
    assert min(sizes[:-1]) >= 8
    assert list(batcher.batches(["x " * 500])) == [["x " * 500]]
    assert list(batcher.batches([])) == []


def test_long_texts_are_cut(server: FaultServer) -> None:
    """A text beyond max_tokens is sent as far as it counts, so that the provider does not refuse the request."""
    scenario = server.scenario()
    with embedder(scenario) as made:
        made.embed_documents(["boat " * 20_000])
    (text,) = sent(scenario)[0]
    assert 7_000 <= len(text.split()) <= 8_191


def test_dimension_is_the_models_own_or_what_was_asked_for(server: FaultServer) -> None:
    """The parameter is sent where it changes something; a model that is not OpenAI's is asked once."""
    scenario = server.scenario()
    for options, length, dimensions in (
        ({"dimension": None}, 1536, None),
        ({"dimension": 1536}, 1536, None),
        ({"dimension": 256}, 256, 256),
        ({"dimension": None, "model": "text-embedding-3-large"}, 3072, None),
    ):
        with embedder(scenario, **options) as made:
            assert (made.dimension, made.embed_documents(["a"]).shape[1]) == (length, length)
        assert scenario.requests[-1].body.get("dimensions") == dimensions
    assert len(scenario.requests) == 4
    with embedder(scenario, dimension=None, model="nomic-embed-text") as made:
        assert (made.dimension, made.dimension, made.fingerprint) == (8, 8, "openai-nomic-embed-text-d8")
    assert len(scenario.requests) == 5


def test_vectors_of_another_length_are_refused(server: FaultServer) -> None:
    """A server that ignores what was asked for is told at once, before a collection is made for it."""
    scenario = server.scenario(then=step("ok"))
    with embedder(scenario, dimension=None, model="nomic") as made:
        made._dimension = 5
        with pytest.raises(EmbedderError, match="have 8 components, not 5"):
            made.embed_documents(["a"])


def test_a_server_that_does_not_know_dimensions(server: FaultServer) -> None:
    """The parameter is left out, and vectors that are right without it are taken."""
    scenario = server.scenario()
    with embedder(scenario, model="nomic", dimension=8) as made:
        assert made._parameters.leave_out("dimensions", {"dimensions": 8})
        assert made.embed_documents(["a"]).shape == (1, 8)
    assert "dimensions" not in scenario.requests[0].body


def test_models_are_listed_with_the_length_of_their_vectors() -> None:
    """Whoever asks for the models sees OpenAI's, and that each is somewhere else; the lengths are those sent back."""
    registry = PluginRegistry()
    registry.register(ctxkit_openai)
    with EmbeddingProvider("text-embedding-3-large", registry=registry, api_key=KEY) as provider:
        listed = provider.list_available_models()
        assert {name: model["dimension"] for name, model in listed.items()} == DIMENSIONS
        assert not any(model["on_this_machine"] for model in listed.values())
        assert (provider.provider, provider.get_dimension()) == ("openai", 3072)


def test_fingerprint_names_what_makes_the_vectors() -> None:
    """Model, length and where texts are cut; not the address, the key or the size of a request."""
    names = [
        OpenAIEmbedder(OpenAIEmbedderConfig(**options)).fingerprint
        for options in (
            {},
            {"dimension": 1536, "base_url": "http://localhost/v1", "max_batch": 5},
            {"dimension": 256},
            {"max_tokens": 500},
            {"model": "text-embedding-3-large"},
        )
    ]
    assert names[0] == names[1] == "openai-text-embedding-3-small-d1536"
    assert len(set(names)) == 4


class Answer:
    """What the library returns, as far as it is read."""

    def __init__(self, *vectors: tuple[int, Any]) -> None:
        self.data = [type("Item", (), {"index": index, "embedding": vector})() for index, vector in vectors]


def test_rows_follow_the_index() -> None:
    """An answer in another order is put right, in base64 and in plain numbers, and brought to unit length."""
    packed = base64.b64encode(np.array([0, 2], "<f4").tobytes()).decode()
    found = _vectors(Answer((1, [3.0, 4.0]), (0, packed)), 2)
    assert np.allclose(found, np.array([[0.0, 1.0], [0.6, 0.8]]))
    assert found.dtype == np.float32
    assert np.allclose(_vectors(Answer((0, [0.0, 0.0])), 1), [[0.5**0.5, 0.5**0.5]])


@pytest.mark.parametrize(
    "answer",
    [
        "a page",
        Answer(),
        Answer((0, [1.0]), (0, [1.0])),
        Answer((0, [1.0]), (2, [1.0])),
        Answer((0, [float("nan")]), (1, [1.0])),
    ],
)
def test_answers_that_are_none(answer: Any) -> None:
    """Too few vectors, one for a text that was not sent, and what is no number are not stored as vectors."""
    with pytest.raises(ProviderUnavailableError):
        _vectors(answer, 2)


def test_a_vector_that_is_no_base64() -> None:
    """What cannot be decoded is an error, and not a shorter vector."""
    with pytest.raises(ValueError, match="base64"):
        _decoded("!!!!")


def test_kept_vectors_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest give way, and each is given out once."""
    monkeypatch.setattr("ctxkit_openai.kept._MOST_NUMBERS", 6)
    kept = KeptVectors()
    kept.keep({name: np.ones(2, np.float32) for name in "abcd"})
    assert list(kept.take("abcd")) == ["b", "c", "d"]
    assert kept.take("abcd") == {}
