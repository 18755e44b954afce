"""How large a collection is, and how many of its records hold a word: counted anew after a while, or after a write.

What takes long to count is kept for a hundred times as long, up to a minute, and past the writes of its handle: among
that many records one more changes nothing that could be seen.
"""

# ruff: noqa: S608 - a fragment of our own is put together; every value is a parameter

from __future__ import annotations

import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from ctxkit_pgvector.plan import Ask, Plan
from ctxkit_pgvector.table import WORDS, Table

_SECONDS: Final = 5.0  # for which a count is kept
_TIMES: Final = 100
_MOST_SECONDS: Final = 60.0
_LONG: Final = 0.05  # seconds that counting may take, and
_MANY: Final = 1000  # records that it may find, before it is kept past a write
_MOST_KEPT: Final = 10_000
_EXTENT: Final = "SELECT count(*)::float8, coalesce(avg(words), 0)::float8 FROM {table}"
_COUNTS: Final = (
    "SELECT word, part, q::text, (SELECT count(*) FROM {table} WHERE terms @@ q)"
    " FROM (SELECT word, part, CASE WHEN part THEN ('''' || word || ''':*')::tsquery"
    f" ELSE plainto_tsquery('{WORDS}', word) END AS q FROM unnest(%s::text[], %s::boolean[]) AS given (word, part))"
    " terms WHERE numnode(q) > 0"
)

Word: TypeAlias = tuple[str, bool]  # and whether it is the beginning of words


@dataclass(frozen=True, slots=True)
class _Count:
    value: Any
    until: float
    stays: bool


class Sizes:
    """What was counted of one collection."""

    def __init__(self, table: Table, small: int) -> None:
        self._table = table
        self._small = small
        self._kept: dict[Hashable, _Count] = {}

    def forget(self) -> None:
        """Count again next time."""
        self._kept = {what: count for what, count in list(self._kept.items()) if count.stays}

    def is_small(self) -> Plan[bool]:
        """Whether there are few enough records to look at each."""
        found = self._found("small")
        if found is None:
            text = "SELECT count(*) FROM (SELECT FROM {table} LIMIT %s) few"
            begin = time.monotonic()
            count: int = (yield Ask(self._table.sql(text), (self._small + 1,)))[0][0]
            found = self._keep("small", count <= self._small, 0, begin)
        return bool(found)

    def extent(self) -> Plan[tuple[float, float]]:
        """Return how many records there are, and how many words one has on average; of a small collection as it is."""
        found = None if (yield from self.is_small()) else self._found("extent")
        if found is None:
            begin = time.monotonic()
            row = (yield Ask(self._table.sql(_EXTENT)))[0]
            found = self._keep("extent", (row[0], row[1]), row[0], begin)
        records, mean = found
        return records, mean

    def counts(self, asked: Sequence[Word]) -> Plan[dict[str, int]]:
        """Return how many records hold each word, as the query that finds it; of a small collection as it is."""
        kept = {} if (yield from self.is_small()) else {word: self._found(word) for word in asked}
        missing = [word for word in asked if kept.get(word) is None]
        if missing:
            begin = time.monotonic()
            given = ([word for word, _ in missing], [part for _, part in missing])
            for word, part, query, count in (yield Ask(self._table.sql(_COUNTS), given)):
                kept[word, part] = self._keep((word, part), (query, count), count, begin)
        return dict(sorted(found for found in kept.values() if found is not None))

    def _found(self, what: Hashable) -> Any:
        count = self._kept.get(what)
        return None if count is None or time.monotonic() > count.until else count.value

    def _keep(self, what: Hashable, value: Any, records: float, begin: float) -> Any:
        now = time.monotonic()
        taken = now - begin
        if len(self._kept) >= _MOST_KEPT:
            self._kept = {}
        until = now + min(max(_SECONDS, _TIMES * taken), _MOST_SECONDS)
        self._kept[what] = _Count(value, until, stays=taken > _LONG and records >= _MANY)
        return value
