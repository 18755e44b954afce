"""The embeddings of OpenAI and of servers that speak its format."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ctxkit.errors import EmbedderError, EmbedderTimeoutError, LLMError, ProviderTimeoutError
from ctxkit.interfaces import Embedder
from ctxkit.providers import Attempts, Circumstances, Clients, KeySource, Parameters, Reach, translated, unreadable
from ctxkit.records import FloatVector, FloatVectors
from ctxkit_openai.batching import Batcher
from ctxkit_openai.client import LIBRARY, OPENAI
from ctxkit_openai.config import DIMENSIONS, OpenAIEmbedderConfig
from ctxkit_openai.kept import KeptVectors

if TYPE_CHECKING:
    import openai

_DEFAULT_TOKENS: Final[int] = OpenAIEmbedderConfig.model_fields["max_tokens"].default
_PROBE: Final = "How long is a vector?"


class OpenAIEmbedder(Embedder):
    """Embeds text over the network: in requests as large as the provider allows, each tried again where that may help.

    A text that occurs twice is sent once. When a request fails for good, EmbedderError is raised and the vectors that
    came before it are kept: the same call made again asks for the rest alone. Vectors are brought to unit length, which
    those of OpenAI have, so that any compatible server's do.
    """

    def __init__(self, config: OpenAIEmbedderConfig | None = None) -> None:
        self._config = config or OpenAIEmbedderConfig()
        self._address = OPENAI.address_of(self._config.base_url)
        self._keys = KeySource(OPENAI, self._config)
        self._parameters = Parameters(OPENAI.title)
        timeout, self._reach = self._config.timeout, Reach(self._address, self._config.timeout)
        self._clients: Clients[openai.OpenAI, Any] = Clients(
            lambda: LIBRARY.make_client(self._address, timeout, self._reach.connect_timeout),
            lambda: LIBRARY.make_async_client(self._address, timeout, self._reach.connect_timeout),
        )
        self._batcher = Batcher(
            max_tokens=self._config.max_tokens,
            max_batch=self._config.max_batch,
            max_batch_tokens=self._config.max_batch_tokens,
        )
        self._kept = KeptVectors()
        self._dimension = self._config.dimension or DIMENSIONS.get(self._config.model)
        self._finding_out = threading.Lock()
        self._closed = False

    @property
    def dimension(self) -> int:
        """The length of each vector; that of a model which is not OpenAI's takes one request, once."""
        if self._dimension is None:
            with self._finding_out:
                if self._dimension is None:
                    self._dimension = self._asked([_PROBE]).shape[1]
        return self._dimension

    @property
    def normalized(self) -> bool:
        """Every vector has unit length."""
        return True

    @property
    def max_tokens(self) -> int | None:
        """How many tokens of a text count."""
        return self._config.max_tokens

    @property
    def fingerprint(self) -> str:
        """The model, the length of its vectors, and where texts are cut if that was changed; not the address."""
        cut = "" if self._config.max_tokens == _DEFAULT_TOKENS else f"-t{self._config.max_tokens}"
        return f"openai-{self._config.model}-d{self.dimension}{cut}"

    def embed_documents(self, texts: Sequence[str]) -> FloatVectors:
        """Return unit vectors, float32 of shape (len(texts), dimension), row i for text i.

        Any str is accepted; what is beyond `max_tokens` does not count. Raises EmbedderError, whose cause is the
        LLMError that says what went wrong at the provider.
        """
        sent = [self._batcher.prepared(text) for text in _checked(texts)]
        if not sent:
            return np.zeros((0, self.dimension), np.float32)
        wanted = dict.fromkeys(sent)
        found = self._kept.take(wanted)
        missing = [text for text in wanted if text not in found]
        try:
            for batch in self._batcher.batches(missing):
                found.update(zip(batch, self._checked_rows(self._asked(batch)), strict=True))
        except EmbedderError as error:
            self._kept.keep(found)
            if found:
                error.message += f" {len(found)} of {len(wanted)} texts are embedded and kept."
            raise
        return np.stack([found[text] for text in sent])

    def close(self) -> None:
        """Close the connections; closing twice is fine, embedding afterwards is an error."""
        self._closed = True
        self._clients.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(model={self._config.model!r}, base_url={self._address!r})"

    def _checked_rows(self, rows: FloatVectors) -> FloatVectors:
        if rows.shape[1] != self.dimension:
            raise EmbedderError(
                f"the vectors of {self._config.model!r} have {rows.shape[1]} components, not {self.dimension}.",
                fix="correct the option dimension, or leave it out.",
                backend=OPENAI.name,
            )
        return rows

    def _asked(self, texts: list[str]) -> FloatVectors:
        """Return the vectors of the texts of one request, asked again where that may help; raises EmbedderError."""
        if self._closed:
            raise EmbedderError("the embedder was closed.", fix="make a new one.", backend=OPENAI.name)
        try:
            about = self._about()
        except LLMError as error:
            raise _as_embedder_error(error) from error
        attempts = Attempts(self._config.max_retries, self._config.retry_for)
        arguments: dict[str, Any] = {"model": self._config.model, "input": texts, "encoding_format": "base64"}
        if self._config.dimension not in {None, DIMENSIONS.get(self._config.model)}:
            arguments["dimensions"] = self._config.dimension
        while True:
            sent: dict[str, Any] = {}
            try:
                self._reach.check()
                client = self._clients.of_threads()
                if client.api_key != about.key:
                    client.api_key = about.key
                sent = self._parameters.fitted(client.embeddings.create, arguments)
                return _vectors(client.embeddings.create(**sent), len(texts))
            except Exception as exc:  # noqa: BLE001 - whatever it is, it becomes an error of ctxkit
                failure = translated(exc, about)
            if failure.parameter and self._parameters.leave_out(failure.parameter, sent):
                continue
            pause = attempts.pause(failure)
            if pause is None:
                raise _as_embedder_error(failure.error) from failure.error
            time.sleep(pause)

    def _about(self) -> Circumstances:
        key = self._keys.resolve(self._address)
        return Circumstances(OPENAI, self._address, self._config.model, self._config.timeout, key)


def _checked(texts: Sequence[str]) -> Sequence[str]:
    if isinstance(texts, (str, bytes)):
        raise EmbedderError(
            f"embed_documents takes a list of texts, not one {type(texts).__name__}.",
            fix="pass [text], or call embed_query(text).",
            backend=OPENAI.name,
        )
    for place, text in enumerate(texts):
        if not isinstance(text, str):
            raise EmbedderError(
                f"text {place} is a {type(text).__name__}, not a str.",
                fix="convert it before it is embedded.",
                backend=OPENAI.name,
            )
    return texts


def _vectors(answer: Any, count: int) -> FloatVectors:
    """Return the vectors of an answer in the order of its texts; raises ProviderUnavailableError where it is none."""
    data = getattr(answer, "data", None)
    if not isinstance(data, list):
        raise unreadable(OPENAI, "what came is not an answer but perhaps a page")
    if sorted(each.index for each in data) != list(range(count)):
        raise unreadable(OPENAI, f"an answer with {len(data)} vectors for {count} texts came")
    ordered = sorted(data, key=lambda each: int(each.index))
    rows = np.stack([_decoded(each.embedding) for each in ordered]).astype(np.float64)
    if rows.ndim != 2 or not rows.shape[1] or not np.isfinite(rows).all():  # noqa: PLR2004 - texts and components
        raise unreadable(OPENAI, "an answer with vectors that hold no numbers came")
    lengths = np.linalg.norm(rows, axis=1)
    empty = lengths == 0
    # A zero vector has no direction; the diagonal is as good as any.
    rows[empty], lengths[empty] = 1.0, np.sqrt(rows.shape[1])
    return np.asarray(rows / lengths[:, None], np.float32)


def _decoded(embedding: Any) -> FloatVector:
    """Return one vector: base64 of little-endian float32, or the plain numbers of a server that does not know it."""
    if isinstance(embedding, str):
        return np.frombuffer(base64.b64decode(embedding, validate=True), np.dtype("<f4"))
    return np.asarray(embedding, np.float32)


def _as_embedder_error(error: LLMError) -> EmbedderError:
    kind = EmbedderTimeoutError if isinstance(error, ProviderTimeoutError) else EmbedderError
    return kind(error.message, fix=error.fix, backend=OPENAI.name)
