"""Searches by words that find what is gone, ignore their arguments, or break on punctuation."""

from __future__ import annotations

import sqlite3
from typing import Any, ClassVar

from typing_extensions import override

from ctxkit.defaults.exact import ExactConfig, ExactStore
from ctxkit.filters import Where, matches, parse
from ctxkit.interfaces import Capabilities
from ctxkit.records import Hit, Hits
from ctxkit_conformance.mutants.bases import EVERYTHING, Remembering, with_score


class WordsOfReplacedTexts(Remembering):
    """A search by words finds a record by what it said before it was replaced."""

    @override
    def text_query(self, text: str, k: int, *, where: Where | None = None) -> Hits:
        found = super().text_query(text, k, where=where)
        alive = {record.id: record for record in self.scan(where)}
        old = [self.buried[int(hit.id)].id for hit in self.graves.text_query(text, k)]
        known = {*found.ids}
        ghosts = [Hit(name, 1e-9, alive[name].text, dict(alive[name].metadata)) for name in old if name in alive]
        return Hits([*found, *(ghost for ghost in ghosts if ghost.id not in known)][:k])


class WordsOfDeletedTexts(Remembering):
    """A search by words finds records that were deleted."""

    @override
    def text_query(self, text: str, k: int, *, where: Where | None = None) -> Hits:
        found = super().text_query(text, k, where=where)
        alive = {record.id for record in self.scan()}
        ghosts = [
            Hit(self.buried[int(hit.id)].id, 1e-9, hit.text, hit.metadata) for hit in self.graves.text_query(text, k)
        ]
        return Hits([*found, *(ghost for ghost in ghosts if ghost.id not in alive)][:k])


class WordsAreWrittenOnce(Remembering):
    """A replaced record is not found by its new words."""

    @override
    def text_query(self, text: str, k: int, *, where: Where | None = None) -> Hits:
        replaced = {record.id for record in self.buried}
        return Hits([hit for hit in super().text_query(text, k, where=where) if hit.id not in replaced])


class WordsNeedAVector(ExactStore):
    """A search by words misses the records that have no vector."""

    @override
    def text_query(self, text: str, k: int, *, where: Where | None = None) -> Hits:
        found = super().text_query(text, k, where=where)
        whole = {record.id for record in self.scan(include_vectors=True) if record.vector is not None}
        return Hits([hit for hit in found if hit.id in whole])


class WordsIgnoreK(ExactStore):
    """A search by words returns all that it finds, whatever k."""

    @override
    def text_query(self, text: str, k: int, *, where: Where | None = None) -> Hits:
        super().text_query(text, k)  # what is refused stays refused
        return super().text_query(text, EVERYTHING, where=where)


class WordsIgnoreTheFilter(ExactStore):
    """A search by words ignores its filter."""

    @override
    def text_query(self, text: str, k: int, *, where: Where | None = None) -> Hits:
        parse(where)
        return super().text_query(text, k)


class WordsFilterAfterwards(ExactStore):
    """A search by words takes the k best first and filters them then."""

    @override
    def text_query(self, text: str, k: int, *, where: Where | None = None) -> Hits:
        node = parse(where)
        return Hits([hit for hit in super().text_query(text, k) if matches(node, hit.metadata)])


class AHundredByWords(ExactStore):
    """A search by words returns no more than a hundred hits."""

    @override
    def text_query(self, text: str, k: int, *, where: Where | None = None) -> Hits:
        return super().text_query(text, k, where=where)[:100]


class AllWordsAreNeeded(ExactStore):
    """A search by several words finds only what holds all of them."""

    @override
    def text_query(self, text: str, k: int, *, where: Where | None = None) -> Hits:
        found = super().text_query(text, k, where=where)
        return Hits([hit for hit in found if all(word in hit.text for word in text.split())])


class SyntaxOfTheEngine(ExactStore):
    """A question with quotes or brackets is read as the engine's own syntax, and fails."""

    leaks: ClassVar[tuple[type[Exception], ...]] = (sqlite3.OperationalError,)

    @override
    def text_query(self, text: str, k: int, *, where: Where | None = None) -> Hits:
        if any(sign in str(text) for sign in '"()*'):
            raise sqlite3.OperationalError(f'fts5: syntax error near "{text[-1]}"')
        return super().text_query(text, k, where=where)


class NoWordsMeanAll(ExactStore):
    """An empty question finds every record."""

    @override
    def text_query(self, text: str, k: int, *, where: Where | None = None) -> Hits:
        found = super().text_query(text, k, where=where)
        every = [Hit(record.id, 1.0, record.text, dict(record.metadata)) for record in self.scan(where)]
        return found if text else Hits(every[:k])


class NegatedRanks(ExactStore):
    """Scores of a search by words are negative, as FTS5 gives them: the best is the least."""

    @override
    def text_query(self, text: str, k: int, *, where: Where | None = None) -> Hits:
        return Hits([with_score(hit, -hit.score) for hit in super().text_query(text, k, where=where)])


class HitsShowSnippets(ExactStore):
    """A hit of a search by words carries the beginning of its text instead of all of it."""

    @override
    def text_query(self, text: str, k: int, *, where: Where | None = None) -> Hits:
        return Hits([Hit(h.id, h.score, h.text[:12], h.metadata) for h in super().text_query(text, k, where=where)])


class WordsLackMetadata(ExactStore):
    """A hit of a search by words has no metadata, so its source cannot be cited."""

    @override
    def text_query(self, text: str, k: int, *, where: Where | None = None) -> Hits:
        return Hits([Hit(hit.id, hit.score, hit.text) for hit in super().text_query(text, k, where=where)])


class NoWordsWanted(ExactStore):
    """A search by words for no hits gets none instead of an error."""

    @override
    def text_query(self, text: str, k: int, *, where: Where | None = None) -> Hits:
        return super().text_query(text, k, where=where) if k != 0 else Hits()


class AnythingIsText(ExactStore):
    """A search for the number 5 is a search for "5"."""

    @override
    def text_query(self, text: str, k: int, *, where: Where | None = None) -> Hits:
        return super().text_query(str(text), k, where=where)


class SilentConfig(ExactConfig):
    """The configuration of a store that declares no text search."""

    @override
    def capabilities(self) -> Capabilities:
        return super().capabilities().model_copy(update={"text_search": None})


class NothingIsFound(ExactStore):
    """No text search is declared, and one that is asked for finds nothing instead of being refused."""

    config_class: ClassVar[type[ExactConfig]] = SilentConfig

    @override
    def text_query(self, *_question: Any, **_options: Any) -> Hits:
        return Hits()


WORDS: dict[type, str] = {
    WordsOfReplacedTexts: "text_follows_writes",
    WordsOfDeletedTexts: "text_follows_writes",
    WordsAreWrittenOnce: "text_follows_writes",
    WordsNeedAVector: "records_without_vectors",
    WordsIgnoreK: "text_query",
    WordsIgnoreTheFilter: "text_query_filters_inside",
    WordsFilterAfterwards: "text_query_filters_inside",
    AHundredByWords: "text_query_filters_inside",
    AllWordsAreNeeded: "text_query",
    SyntaxOfTheEngine: "text_query",
    NoWordsMeanAll: "text_query",
    NegatedRanks: "text_query",
    HitsShowSnippets: "text_query",
    WordsLackMetadata: "text_query",
    NoWordsWanted: "bad_text_queries_are_refused",
    AnythingIsText: "bad_text_queries_are_refused",
    NothingIsFound: "text_query",
}
