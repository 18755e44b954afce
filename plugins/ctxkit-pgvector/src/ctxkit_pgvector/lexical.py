"""Search by words: BM25 in SQL, as the engine of ctxkit ranks.

PostgreSQL finds a word in `terms` by its index, and `ts_rank_cd` of a single word, with all weights 1, is how often the
word is there: https://www.postgresql.org/docs/current/textsearch-controls.html. The weight of a word and the mean
length are those of the whole collection, whatever the filter: the formula is SQLite's, k1 = 1.2 and b = 0.75,
https://www.sqlite.org/fts5.html#the_bm25_function.

No word adds more to a score than its weight times k1 + 1. So the records with the rarest words are scored first, and
then only those whose words could add up to the k-th of these scores: Turtle and Flood, Query evaluation: strategies and
optimizations, 1995, call this MaxScore. What is left out belongs not among the k.
"""

# ruff: noqa: S608 - fragments of our own are put together; every value is a parameter

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from ctxkit.records import Hit, Hits
from ctxkit_pgvector.codec import loaded, read
from ctxkit_pgvector.conditions import Condition
from ctxkit_pgvector.plan import Ask, Plan, Rows
from ctxkit_pgvector.reading import COLUMNS, present
from ctxkit_pgvector.sizes import Sizes
from ctxkit_pgvector.table import Table
from ctxkit_pgvector.words import asked

_K1: Final = 1.2
_LEAST_WEIGHT: Final = 1e-6
_ENOUGH: Final = (4, 64)  # times k records are looked at first, and then, for a better k-th
_ROUNDING: Final = 1e-9
_MOST_BRANCHES: Final = 64
_MOST_COLUMNS: Final = 500  # PostgreSQL has 1664: https://www.postgresql.org/docs/current/limits.html


@dataclass(frozen=True, slots=True)
class _Term:
    """A word: the query that finds it, how many records hold it, its weight, and the most that it adds to a score."""

    query: str
    records: int
    weight: float

    @property
    def most(self) -> float:
        return self.weight * (_K1 + 1) * (1 + _ROUNDING)


def search(table: Table, text: str, k: int, test: Condition, sizes: Sizes) -> Plan[Hits]:
    """Return up to k records that share words with the text."""
    words, parts = asked(text)
    counts = yield from sizes.counts(list(zip(words, parts, strict=True)))
    if not any(counts.values()):
        yield from present(table)
        return Hits()
    records, mean = yield from sizes.extent()
    terms = [_Term(query, count, _weight(count, records)) for query, count in counts.items() if count]
    scoring = _Scoring(table, terms, max(mean, 1.0), test, k)
    found: Rows = []
    looked, least = 0, 0.0
    for enough in _ENOUGH:
        rare, others = _rarest(terms, enough * k)
        if len(rare) == looked:
            continue
        looked = len(rare)
        found = yield scoring.of(_any(rare))
        least = found[-1][3] * (1 - _ROUNDING) if len(found) == k else 0.0
        if not others or sum(term.most for term in others) < least:
            break
    else:
        found = yield scoring.of(_reaching(terms, least))
    metadata = loaded(row[2] for row in found)
    return Hits([Hit(read(row[0]), row[3], read(row[1]), own) for row, own in zip(found, metadata, strict=True)])


def _weight(count: int, records: float) -> float:
    """Return what a word counts: its inverse document frequency, above zero for words that most records hold."""
    return max(math.log((max(records, count) - count + 0.5) / (count + 0.5)), _LEAST_WEIGHT)


def _rarest(terms: Sequence[_Term], enough: int) -> tuple[list[_Term], list[_Term]]:
    """Return the rarest words, which enough records hold between them, and the others."""
    ordered = sorted(terms, key=lambda term: term.records)
    held = 0
    for place, term in enumerate(ordered, start=1):
        held += term.records
        if held >= enough:
            return ordered[:place], ordered[place:]
    return ordered, []


def _any(terms: Sequence[_Term]) -> str:
    return " | ".join(f"({term.query})" for term in terms)


def _reaching(terms: Sequence[_Term], least: float) -> str:
    """Return the query of all records whose words could add up to a score, and of as few others as it can say."""
    ordered = sorted(terms, key=lambda term: -term.most)
    tails = [sum(term.most for term in ordered[place:]) for place in range(len(ordered) + 1)]
    branches = 0

    def of(place: int, missing: float) -> str | None:
        """Return the query of what the words from a place on still have to add; "" for anything, None for nothing."""
        nonlocal branches
        if missing <= 0:
            return ""
        if tails[place] < missing:
            return None
        branches += 1
        if branches > _MOST_BRANCHES:
            # One of these has to be there, as all others together do not add up to it.
            return _any([term for term, tail in zip(ordered, tails, strict=False) if tail >= missing][place:])
        term = ordered[place]
        with_it, without = of(place + 1, missing - term.most), of(place + 1, missing)
        own = f"({term.query})" if not with_it else f"({term.query}) & ({with_it})"
        return own if without is None else f"{own} | {without}"

    return of(0, least) or _any(terms)


class _Scoring:
    """The statement that scores what a query finds; each word has a column of how often it is there."""

    def __init__(self, table: Table, terms: Sequence[_Term], mean: float, test: Condition, k: int) -> None:
        weights, queries = [term.weight for term in terms], [term.query for term in terms]
        times = "ts_rank_cd('{{{{1,1,1,1}}}}', terms, {})::float8 AS {}".format
        columns = [f"times_{place}" for place in range(len(terms))]
        if len(terms) <= _MOST_COLUMNS:
            added = " + ".join(f"%s::float8 * {name} * {_K1 + 1} / ({name} + norm)" for name in columns)
            counted = ", ".join(["", *(times("%s::tsquery", name) for name in columns)])
            self._before: tuple[Any, ...] = (*weights, mean, *queries)
        else:
            added = (
                f"(SELECT sum(weight * times * {_K1 + 1} / (times + norm)) FROM"
                f" (SELECT weight, {times('query', 'times')} FROM unnest(%s::float8[], %s::text[]::tsquery[])"
                " AS asked (weight, query) OFFSET 0) each_word)"
            )
            counted = ""
            self._before = (weights, queries, mean)
        norm = f"float8 '{_K1}' * (float8 '0.25' + float8 '0.75' * words / %s::float8)"
        # The offset keeps PostgreSQL from counting each word once for each time that its column is named.
        text = (
            f"SELECT {COLUMNS}, score FROM (SELECT id, text, metadata, {added} AS score FROM {{table}}"
            f" CROSS JOIN LATERAL (SELECT {norm} AS norm{counted} OFFSET 0) counted"
            f" WHERE terms @@ %s::tsquery{test.where} ORDER BY score DESC, id LIMIT {{limit}}) best"
            " ORDER BY score DESC, id"
        )
        self._sql = table.limited(text, k)
        self._after = test.values

    def of(self, query: str) -> Ask:
        """Return the statement for the records that a query finds."""
        return Ask(self._sql, (*self._before, query, *self._after), prepared=False)
