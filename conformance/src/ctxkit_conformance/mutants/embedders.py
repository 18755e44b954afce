"""Embedders with one fault each, and the check that has to notice it."""

from __future__ import annotations

import itertools
import socket
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict
from typing_extensions import override

from ctxkit.errors import EmbedderError
from ctxkit.interfaces import EmbedderCapabilities
from ctxkit.records import FloatVector, FloatVectors
from ctxkit_conformance.mutants.embedder_bases import HARMLESS_EMBEDDERS, ToyConfig, ToyEmbedder, embedder_contract

__all__ = ["EMBEDDERS", "HARMLESS_EMBEDDERS", "embedder_contract"]


class ReturnsDoubles(ToyEmbedder):
    """Forgets the conversion, as numpy's own arithmetic does."""

    @override
    def embed_documents(self, texts: Sequence[str]) -> Any:
        return super().embed_documents(texts).astype(np.float64)


class LeavesLengths(ToyEmbedder):
    """Declares unit vectors and returns the plain sum."""

    @override
    def unit(self, total: NDArray[np.float64]) -> NDArray[np.float32]:
        return np.asarray(total if total.any() else total + 1, np.float32)


class EmptyTextIsNaN(ToyEmbedder):
    """Divides by the number of words, of which an empty text has none."""

    @override
    def unit(self, total: NDArray[np.float64]) -> NDArray[np.float32]:
        with np.errstate(invalid="ignore"):
            return np.asarray(total / np.linalg.norm(total), np.float32)


class SortsByLength(ToyEmbedder):
    """Sorts texts by length to save padding, and returns them that way."""

    @override
    def embed_documents(self, texts: Sequence[str]) -> FloatVectors:
        self.check_types(texts)
        return super().embed_documents(sorted(texts, key=len))


class PaddingCounts(ToyEmbedder):
    """Averages over the padding too, up to the longest text of the batch."""

    @override
    def embed_batch(self, texts: list[str]) -> NDArray[np.float32]:
        cut = [self.words(text) for text in texts]
        longest = max(map(len, cut))
        return np.stack([self.unit(self.total([*words, *["[PAD]"] * (longest - len(words))])) for words in cut])


class DropsOut(ToyEmbedder):
    """Was never put into evaluation mode: a tenth of the components is dropped each time."""

    _calls: ClassVar[Iterator[int]] = itertools.count()

    @override
    def unit(self, total: NDArray[np.float64]) -> NDArray[np.float32]:
        dropped = np.random.default_rng(next(self._calls)).random(len(total)) < 0.1
        return super().unit(np.where(dropped, 0.0, total))


class ReusesItsBuffer(ToyEmbedder):
    """Writes every answer into one array."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self._buffer = np.zeros((4096, self.dimension), np.float32)

    @override
    def embed_documents(self, texts: Sequence[str]) -> FloatVectors:
        found = super().embed_documents(texts)
        self._buffer[: len(found)] = found
        return self._buffer[: len(found)]


class HandsOutItsCache(ToyEmbedder):
    """Remembers queries and returns the very array that it remembers."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self._known: dict[str, FloatVector] = {}

    @override
    def embed_query(self, text: str) -> FloatVector:
        self.check_types([text])
        if text not in self._known:
            self._known[text] = super().embed_query(text)
        return self._known[text]


class SharesStateAmongThreads(ToyEmbedder):
    """Keeps the texts of the call on the instance, while another call replaces them."""

    _texts: Sequence[str] = ()

    @override
    def embed_documents(self, texts: Sequence[str]) -> FloatVectors:
        self._texts = texts
        time.sleep(0.0005)  # as long as a model takes
        parked = self._texts
        return super().embed_documents(parked)


class LoadsHalfway(ToyEmbedder):
    """Says that it is loaded before it is."""

    _loading = False
    _scale: float | None = None

    @override
    def unit(self, total: NDArray[np.float64]) -> NDArray[np.float32]:
        if not self._loading:
            self._loading = True
            time.sleep(0.02)
            self._scale = 1.0
        return np.asarray(super().unit(total) * (self._scale or 0.0), np.float32)


class HashesWithSalt(ToyEmbedder):
    """Uses hash() of a str, which every process salts anew."""

    @override
    def direction(self, word: str) -> NDArray[np.float64]:
        return np.random.default_rng(abs(hash(word))).choice([-1.0, 1.0], self.dimension)


class FingerprintForgetsAnOption(ToyEmbedder):
    """Names the model, not how it is used."""

    @property
    @override
    def fingerprint(self) -> str:
        return f"toy-{self.config.dimension}"


class FingerprintNamesTooMuch(ToyEmbedder):
    """Puts the whole configuration into the fingerprint."""

    @property
    @override
    def fingerprint(self) -> str:
        return f"toy-{self.config!r}"


class FingerprintOfTheInstance(ToyEmbedder):
    """Makes up a fingerprint when it is made."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self._id = uuid.uuid4().hex

    @property
    @override
    def fingerprint(self) -> str:
        return self._id


class TruncatesSilently(ToyEmbedder):
    """Cuts at 256 words and says that all of them count."""

    @override
    def words(self, text: str) -> list[str]:
        return super().words(text)[:256]


class DeclaresTooLittle(ToyEmbedder):
    """Says that 16 words count, and takes them all."""

    @property
    @override
    def max_tokens(self) -> int | None:
        return 16


class KnowsNoMeaning(ToyEmbedder):
    """Hashes the whole text, as a placeholder does that was never replaced."""

    @override
    def words(self, text: str) -> list[str]:
        return [text]


class QueriesLiveElsewhere(ToyEmbedder):
    """Embeds queries with the wrong projection."""

    @override
    def embed_query(self, text: str) -> FloatVector:
        return np.asarray(super().embed_query(text)[::-1], np.float32)


class QueryKeepsItsBatch(ToyEmbedder):
    """Returns the batch of one that a query is."""

    @override
    def embed_query(self, text: str) -> Any:
        return self.embed_documents([text])


class MishandlesTheRest(ToyEmbedder):
    """Fills the last, smaller batch from the top."""

    @override
    def embed_documents(self, texts: Sequence[str]) -> FloatVectors:
        vectors = super().embed_documents(texts)
        rest = len(texts) % self.config.batch_size
        if len(texts) > rest > 0:
            vectors[-rest:] = vectors[:rest]
        return vectors


class StacksNothing(ToyEmbedder):
    """Stacks the vectors of no texts, which numpy refuses."""

    @override
    def embed_documents(self, texts: Sequence[str]) -> FloatVectors:
        self.check_types(texts)
        return np.stack([self.embed_batch([text])[0] for text in texts])


class ChokesOnSurrogates(ToyEmbedder):
    """Encodes the text without a thought for what cannot be encoded."""

    @override
    def words(self, text: str) -> list[str]:
        return super().words(text.encode("utf-8").decode("utf-8"))


class Deduplicates(ToyEmbedder):
    """Embeds each text once and returns each once."""

    @override
    def embed_documents(self, texts: Sequence[str]) -> FloatVectors:
        self.check_types(texts)
        return super().embed_documents(list(dict.fromkeys(texts)))


class StripsTheCallersList(ToyEmbedder):
    """Cleans the texts in the list that it was given."""

    @override
    def embed_documents(self, texts: Any) -> FloatVectors:
        self.check_types(texts)
        if isinstance(texts, list):
            texts[:] = [text.strip() for text in texts]
        return super().embed_documents(texts)


class ClosesOnce(ToyEmbedder):
    """Deletes its model when it is closed, and cannot find it the second time."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self._model = object()

    @override
    def close(self) -> None:
        del self._model


class ClosesForAll(ToyEmbedder):
    """Shares one model among all instances, and releases it with the first that is closed."""

    _users: ClassVar[dict[str, bool]] = {}

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self._users["open"] = True

    @override
    def close(self) -> None:
        self._users.clear()

    @override
    def embed_documents(self, texts: Sequence[str]) -> FloatVectors:
        if not self._users:
            raise EmbedderError("the model was released.", fix="make a new one.", backend="toy")
        return super().embed_documents(texts)


class DimensionOfTheDataSheet(ToyEmbedder):
    """Says a dimension that is not that of the vectors."""

    @property
    @override
    def dimension(self) -> int:
        return super().dimension

    @override
    def embed_documents(self, texts: Sequence[str]) -> FloatVectors:
        return super().embed_documents(texts)[:, :-1]


class DeniesItsLengths(ToyEmbedder):
    """Declares unit vectors in the capabilities and denies it on the instance."""

    @property
    @override
    def normalized(self) -> bool:
        return False


class AnnouncesAnotherLength(ToyEmbedder):
    """The announcement names the length of an earlier default."""

    capabilities_of_spec = EmbedderCapabilities(dimension=256, truncates=False)


class PhonesHome(ToyEmbedder):
    """Asks a server for news, and passes over it when there is none."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        # Nothing is sent when a datagram socket is connected, and the address is one that RFC 5737 reserves for
        # documentation; a guard sees the attempt all the same.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as telling, suppress(OSError):
            telling.connect(("192.0.2.1", 9))


class EmbedsAnything(ToyEmbedder):
    """Turns whatever it is given into text."""

    @override
    def embed_documents(self, texts: Sequence[str]) -> FloatVectors:
        return super().embed_documents([str(text) for text in texts])


class RaisesTheLibrarysErrors(ToyEmbedder):
    """Lets the exceptions of its library through."""

    @override
    def check_types(self, texts: Sequence[str]) -> None:
        """Look at nothing."""


class LooseConfig(ToyConfig):
    """Takes any option."""

    model_config = ConfigDict(extra="ignore")


class IgnoresOptions(ToyEmbedder):
    """Has a configuration that passes over what it does not know."""

    config_class = LooseConfig


EMBEDDERS: Final[dict[type, str]] = {
    ReturnsDoubles: "vectors_are_finite_float32",
    LeavesLengths: "declared_unit_length",
    EmptyTextIsNaN: "odd_text",
    SortsByLength: "row_i_is_text_i",
    PaddingCounts: "batch_equals_single",
    DropsOut: "same_text_same_vector",
    ReusesItsBuffer: "later_calls_leave_earlier_results",
    HandsOutItsCache: "results_belong_to_the_caller",
    SharesStateAmongThreads: "threads_agree",
    LoadsHalfway: "first_use_by_several_threads",
    HashesWithSalt: "another_process_embeds_alike",
    FingerprintForgetsAnOption: "fingerprint_follows_the_vectors",
    FingerprintNamesTooMuch: "fingerprint_follows_the_vectors",
    FingerprintOfTheInstance: "fingerprint_is_stable",
    TruncatesSilently: "what_does_not_count_plays_no_part",
    DeclaresTooLittle: "what_does_not_count_plays_no_part",
    KnowsNoMeaning: "paraphrases_are_closer",
    QueriesLiveElsewhere: "queries_find_paraphrases",
    QueryKeepsItsBatch: "a_query_gives_one_vector",
    MishandlesTheRest: "batch_size",
    StacksNothing: "no_texts_give_no_vectors",
    ChokesOnSurrogates: "any_text",
    Deduplicates: "repeated_texts",
    StripsTheCallersList: "texts_are_not_changed",
    ClosesOnce: "closing_twice",
    ClosesForAll: "closing_one_leaves_the_others",
    DimensionOfTheDataSheet: "dimension_is_true",
    DeniesItsLengths: "normalized_is_declared",
    AnnouncesAnotherLength: "announced_as_configured",
    PhonesHome: "without_network",
    EmbedsAnything: "what_is_no_text_is_refused",
    RaisesTheLibrarysErrors: "one_text_is_no_list",
    IgnoresOptions: "unknown_options_are_refused",
}
