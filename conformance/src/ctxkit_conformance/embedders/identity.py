"""Checks of what makes a vector: the text and the model that the fingerprint names, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

import numpy as np
from pydantic import ValidationError

from ctxkit.errors import CtxkitError
from ctxkit.interfaces import BackendConfig, Embedder, EmbedderCapabilities
from ctxkit_conformance.children import Child
from ctxkit_conformance.embedders import clauses
from ctxkit_conformance.embedders.base import EmbedderChecks
from ctxkit_conformance.embedders.elsewhere import embed_elsewhere
from ctxkit_conformance.marks import covers
from ctxkit_conformance.tokenizers.samples import ODD_TEXTS, PLAIN_TEXTS

_PROBES = [*PLAIN_TEXTS, *ODD_TEXTS.values(), "UPPER CASE AND lower case"]
_LONG = "long " * 600 + "end"
_MOST_CONFIGS = 8


class IdentityChecks(EmbedderChecks):
    """The same vector everywhere, and a fingerprint that says so."""

    @covers(clauses.DETERMINISTIC)
    def test_same_text_same_vector(self, embedder: Embedder, config: BackendConfig) -> None:
        """A failure means that a text is not even found by itself: its vector is another one each time."""
        texts = list(PLAIN_TEXTS)
        first = np.array(embedder.embed_documents(texts))
        self.check_same(embedder.embed_documents(texts), first, "the second call gives other vectors")
        queries = np.stack([embedder.embed_query(text) for text in texts])
        again = np.stack([embedder.embed_query(text) for text in texts])
        self.check_same(again, queries, "the second call gives other vectors of queries")
        with self.make(config) as other:
            self.check_same(other.embed_documents(texts), first, "another instance gives other vectors")

    @covers(clauses.DETERMINISTIC, clauses.FINGERPRINT)
    def test_another_process_embeds_alike(self, embedder: Embedder, config: BackendConfig) -> None:
        """A failure means that what one process stored is not found by the next: memory is lost at every restart."""
        with Child(embed_elsewhere, self.embedder_class, config, PLAIN_TEXTS) as child:
            answer = child.receive()
        assert answer["refused"] is None, f"another process could not embed: {answer['refused']}"
        documents = embedder.embed_documents(list(PLAIN_TEXTS))
        queries = np.stack([embedder.embed_query(text) for text in PLAIN_TEXTS])
        self.check_same(answer["documents"], documents, "another process gives other vectors")
        self.check_same(np.stack(answer["queries"]), queries, "another process gives other vectors of queries")
        assert answer["fingerprint"] == embedder.fingerprint, "another process has another fingerprint"

    @covers(clauses.FINGERPRINT)
    def test_fingerprint_is_stable(self, embedder: Embedder, config: BackendConfig) -> None:
        """A failure means that a collection refuses the very embedder that filled it."""
        found = embedder.fingerprint
        assert isinstance(found, str), f"the fingerprint is a {type(found).__name__}, not a str"
        assert found.strip(), "the fingerprint is empty"
        with self.make(config) as fresh:
            assert fresh.fingerprint == found, "a new instance has another fingerprint than one that was used"
            fresh.embed_documents(["a boat"])
            assert fresh.fingerprint == found, "the fingerprint changed when the embedder was used"
        assert embedder.fingerprint == found

    @covers(clauses.FINGERPRINT)
    def test_fingerprint_follows_the_vectors(self, config: BackendConfig, declared: EmbedderCapabilities) -> None:
        """A failure means that vectors of two models are mixed in one collection, or that a good one is refused.

        Each option with few values is turned in turn, and each variant of the harness is tried.
        """
        configs = [config, config.model_copy()]
        if declared.offline and not declared.costs:
            configs += [*self._variants(), *_neighbours(config)][:_MOST_CONFIGS]
        seen = [found for each in configs if (found := self._seen(each, declared)) is not None]
        assert len(seen) >= 2, "the same configuration did not work twice"
        for place, (options, fingerprint, vectors) in enumerate(seen):
            for others, another, theirs in seen[:place]:
                if fingerprint == another:
                    sentence = f"the fingerprint {fingerprint!r} is that of {others} and of {options}"
                    self.check_same(vectors, theirs, sentence)
                else:
                    same = vectors.shape == theirs.shape and np.array_equal(vectors, theirs)
                    assert not same, f"{another!r} of {others} and {fingerprint!r} of {options} give the same vectors"

    def _variants(self) -> list[BackendConfig]:
        """Return the configurations of the harness, where there is one."""
        if self.subject is None:
            return []
        options = self.subject.variants().values()
        return [self.subject.config_class.model_validate({**each, **self.subject.options}) for each in options]

    def _seen(
        self, config: BackendConfig, declared: EmbedderCapabilities
    ) -> tuple[str, str, np.ndarray[Any, Any]] | None:
        """Return options, fingerprint and vectors; None where these options cannot be had here."""
        try:
            with self.make(config) as made:
                # What is longer than the model takes may be refused: that is for other checks.
                probes = [*_PROBES, _LONG] if made.max_tokens is None or declared.truncates else _PROBES
                documents = np.array(made.embed_documents(probes))
                queries = [made.embed_query(text) for text in PLAIN_TEXTS]
                return str(config), made.fingerprint, np.concatenate([documents, queries])
        except CtxkitError:
            return None

    @covers(clauses.OFFLINE)
    def test_without_network(self, embedder: Embedder, config: BackendConfig, declared: EmbedderCapabilities) -> None:
        """A failure means that text leaves the machine, or that an application stands still without a connection."""
        with Child(embed_elsewhere, self.embedder_class, config, PLAIN_TEXTS, "network") as child:
            answer = child.receive()
        if declared.offline:
            assert not answer["attempts"], f"offline is declared, but it tried {', '.join(answer['attempts'])}"
            assert answer["refused"] is None, f"offline is declared, but without network: {answer['refused']}"
        # Otherwise an EmbedderError is as good as an answer; the child dies of anything else.
        if answer["refused"] is None:
            documents = embedder.embed_documents(list(PLAIN_TEXTS))
            self.check_same(answer["documents"], documents, "without network the vectors are others")


def _neighbours(config: BackendConfig) -> Iterator[BackendConfig]:
    """Yield valid configurations that differ from this one in one option that has few values, or is a number."""
    values = {name: getattr(config, name) for name in type(config).model_fields}
    for name, info in type(config).model_fields.items():
        for value in _others(info.annotation, values[name]):
            try:
                yield type(config).model_validate({**values, name: value})
            except ValidationError:
                continue


def _others(annotation: Any, value: Any) -> list[Any]:
    if get_origin(annotation) is Literal:
        return [choice for choice in get_args(annotation) if choice != value]
    if isinstance(value, bool):
        return [not value]
    return [value + 1] if isinstance(value, int) else []
