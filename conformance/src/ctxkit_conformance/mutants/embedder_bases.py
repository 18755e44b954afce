"""A small embedder that keeps the contract, and harmless variants of it: odd, but right.

It knows the words of a few dozen subjects, as a lexicon does, and hashes the rest: it needs no model and yet puts the
suite's paraphrases together.
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, ClassVar, Final, Literal

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from ctxkit.errors import EmbedderError
from ctxkit.interfaces import BackendConfig, Embedder, EmbedderCapabilities
from ctxkit.records import FloatVector, FloatVectors
from ctxkit_conformance.embedders.contract import EmbedderContract

_SUBJECTS: Final = """
flight plane took off; rome italy; doctor physician prescribed; pills medicine; headache pain head; bought purchased;
car vehicle; used second hand; children kids; asleep bed gone; upstairs floor above; rent landlord charging apartment;
password credentials log account; soup broth; salty salt; repaired fixed; leaking dripping; tap faucet sink kitchen;
company firm; dismissed laid; staff employee; snow snowfall; blocked closed; road pass; mountains alpine; dog puppy;
barks noise; strangers unknown; museum gallery; charge free; admission entry; sundays weekends; database store records;
lost vanished; hour minutes; allergic ill; peanuts nuts; laptop notebook computer; battery power; empty runs;
married wedding; church chapel; sea coast; goalkeeper keeper; saved stopped; penalty football shot; music song volume;
turn lower; grandmother grandma; tomatoes vegetables garden; judge court sentenced; thief burglar; prison jail;
storm winds; tore ripped; roof top; barn farm; smoking cigarette; ten decade; exam test; harder difficult;
students pupils; milk dairy; eggs groceries fridge; bank loan; refused rejected; lend money application;
astronomers scientists; planet world; star sun; train rail; late delayed; berlin germany; function program calling;
crashes error; list elements; spanish madrid language; accent pronunciation native; factory plant; river water;
pollutes chemicals toxic waste; team players; victory won; celebrated partied; read readers; newspapers press paper
"""
_FILLERS: Final = frozenset(
    word
    for line in (
        "a an the of in on at to for my our her his its i he she we they is was has have had that not this",
        "who me by from and again every half last far too around behind without than when down ago gave",
        "please does sent",
    )
    for word in line.split()
)
_SUBJECT_OF: Final = {word: f"{number}:" for number, line in enumerate(_SUBJECTS.split(";")) for word in line.split()}
_WORD: Final = re.compile(r"[^\W_]+|[^\w\s]")


class ToyConfig(BackendConfig):
    """`batch_size` changes no vector, the others do."""

    dimension: Literal[128, 64] = 128
    fold_case: bool = True
    batch_size: int = 32

    def capabilities(self) -> EmbedderCapabilities:
        """Declare what is so."""
        return EmbedderCapabilities(dimension=self.dimension, truncates=False)


class ToyEmbedder(Embedder):
    """The sum of a direction for each word, subjects counting more than other words; keeps the contract."""

    config_class: ClassVar[type[BackendConfig]] = ToyConfig
    capabilities_of_spec: ClassVar[EmbedderCapabilities | None] = None

    def __init__(self, config: Any) -> None:
        self.config = config

    @property
    def dimension(self) -> int:
        """As configured."""
        return int(self.config.dimension)

    @property
    def normalized(self) -> bool:
        """Always."""
        return True

    @property
    def max_tokens(self) -> int | None:
        """No limit."""
        return None

    @property
    def fingerprint(self) -> str:
        """What the vectors depend on."""
        return f"toy-{self.config.dimension}-{self.config.fold_case}"

    def embed_documents(self, texts: Sequence[str]) -> FloatVectors:
        """Embed in batches."""
        self.check_types(texts)
        vectors = np.zeros((len(texts), self.dimension), np.float32)
        for start in range(0, len(texts), self.config.batch_size):
            batch = list(texts[start : start + self.config.batch_size])
            vectors[start : start + len(batch)] = self.embed_batch(batch)
        return vectors

    def check_types(self, texts: Sequence[str]) -> None:
        """Refuse what is no list of texts."""
        given: object = texts
        if isinstance(given, str | bytes) or not all(isinstance(text, str) for text in texts):
            raise EmbedderError("these are no texts.", fix="pass a list of str.", backend="toy")

    def embed_batch(self, texts: list[str]) -> NDArray[np.float32]:
        """Embed a batch, a row for each text."""
        return np.stack([self.unit(self.total(self.words(text))) for text in texts])

    def words(self, text: str) -> list[str]:
        """Cut a text into words and signs."""
        return _WORD.findall(text.casefold() if self.config.fold_case else text)

    def total(self, words: Sequence[str]) -> NDArray[np.float64]:
        """Add up the words."""
        known = [_SUBJECT_OF.get(word, word) for word in words]
        total = np.zeros(self.dimension)
        for word in known:
            weight = 3.0 if word.endswith(":") else 0.1 if word in _FILLERS else 0.7
            total += weight * self.direction(word)
        return total

    def direction(self, word: str) -> NDArray[np.float64]:
        """Return signs that depend on the word alone."""
        digest = blake2b(word.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        return np.unpackbits(np.frombuffer(digest, np.uint8))[: self.dimension].astype(np.float64) * 2 - 1

    def unit(self, total: NDArray[np.float64]) -> NDArray[np.float32]:
        """Scale to length 1; what has no words gets the diagonal."""
        length = float(np.linalg.norm(total))
        return np.asarray(total / length if length else np.full(self.dimension, self.dimension**-0.5), np.float32)


class Slow(ToyEmbedder):
    """Takes its time."""

    @override
    def embed_documents(self, texts: Sequence[str]) -> FloatVectors:
        time.sleep(0.001)
        return super().embed_documents(texts)


class ReadOnlyResults(ToyEmbedder):
    """Returns arrays that nobody can write to."""

    @override
    def embed_documents(self, texts: Sequence[str]) -> FloatVectors:
        found = super().embed_documents(texts)
        found.setflags(write=False)
        return found


class ColumnsFirst(ToyEmbedder):
    """Lays its arrays out the other way."""

    @override
    def embed_documents(self, texts: Sequence[str]) -> FloatVectors:
        return np.asfortranarray(super().embed_documents(texts))


class PrefixesQueries(ToyEmbedder):
    """Embeds questions in another way than documents, as its model was trained to."""

    @override
    def embed_query(self, text: str) -> FloatVector:
        self.check_types([text])
        return super().embed_query(f"query: {text}")


class SmallBatches(ToyEmbedder):
    """Rounds a little differently in batches of another size."""

    @override
    def embed_documents(self, texts: Sequence[str]) -> FloatVectors:
        found = super().embed_documents(texts)
        return np.asarray(found * (1 + 1e-6 * (len(texts) % 7)), np.float32)


class PlainConfig(ToyConfig):
    """Declares vectors of any length."""

    @override
    def capabilities(self) -> EmbedderCapabilities:
        return super().capabilities().model_copy(update={"normalized": False})


class PlainSums(ToyEmbedder):
    """Returns the plain sum, and says so."""

    config_class = PlainConfig

    @override
    def unit(self, total: NDArray[np.float64]) -> NDArray[np.float32]:
        return np.asarray(total if total.any() else total + 1, np.float32)

    @property
    @override
    def normalized(self) -> bool:
        return False


class TruncatingConfig(ToyConfig):
    """Declares that the rest is ignored."""

    @override
    def capabilities(self) -> EmbedderCapabilities:
        return super().capabilities().model_copy(update={"truncates": True})


class Truncates(ToyEmbedder):
    """Cuts at 64 words, and says so."""

    config_class = TruncatingConfig

    @property
    @override
    def max_tokens(self) -> int | None:
        return 64

    @override
    def words(self, text: str) -> list[str]:
        return super().words(text)[:64]


class RefusesLongTexts(ToyEmbedder):
    """Takes 600 words, refuses more, and says so."""

    @property
    @override
    def max_tokens(self) -> int | None:
        return 600

    @override
    def words(self, text: str) -> list[str]:
        found = super().words(text)
        if len(found) > 600:
            raise EmbedderError("the text is too long.", fix="split it.", backend="toy")
        return found


class RefusesAfterClosing(ToyEmbedder):
    """Answers nothing once it is closed."""

    _closed = False

    @override
    def close(self) -> None:
        self._closed = True

    @override
    def check_types(self, texts: Sequence[str]) -> None:
        if self._closed:
            raise EmbedderError("the embedder is closed.", fix="make a new one.", backend="toy")
        super().check_types(texts)


class OnlineConfig(ToyConfig):
    """Declares that a network is needed."""

    @override
    def capabilities(self) -> EmbedderCapabilities:
        return super().capabilities().model_copy(update={"offline": False})


class NeedsNetwork(ToyEmbedder):
    """Looks a server up and says in the right words when it cannot."""

    config_class = OnlineConfig

    @override
    def check_types(self, texts: Sequence[str]) -> None:
        super().check_types(texts)
        try:
            socket.getaddrinfo("192.0.2.1", 9)  # a number is looked up nowhere; the suite's guard refuses it
        except OSError as error:
            raise EmbedderError("there is no network.", fix="plug it in.", backend="toy") from error


HARMLESS_EMBEDDERS: Final[list[type[ToyEmbedder]]] = [
    ToyEmbedder,
    Slow,
    ReadOnlyResults,
    ColumnsFirst,
    PrefixesQueries,
    SmallBatches,
    PlainSums,
    Truncates,
    RefusesLongTexts,
    RefusesAfterClosing,
    NeedsNetwork,
]


def embedder_contract(embedder: type[ToyEmbedder], name: str = "") -> type[EmbedderContract]:
    """Return the contract as a test class for one of the embedders here."""

    def make_config(_: object) -> BackendConfig:
        return embedder.config_class()

    members: dict[str, Any] = {"embedder_class": embedder, "make_config": make_config, "__module__": __name__}
    members["capabilities"] = embedder.capabilities_of_spec
    return type(name or f"Test{embedder.__name__}", (EmbedderContract,), members)
