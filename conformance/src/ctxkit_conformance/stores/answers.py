"""Records whose parts prove that they belong together, and everything that a store answers about them.

Imported by the processes that the checks start, so it needs nothing of pytest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np

from ctxkit.errors import CtxkitError
from ctxkit.interfaces import VectorStore
from ctxkit.records import Metric, Record

Records: TypeAlias = dict[str, Record]
GROUPS: Final = 5
_PROBE: Final = (1.0, 2.0, 3.0)
_ROOM: Final = 10  # k beyond what there is, so that a record too many shows
_SHOWN: Final = 3
_RELATIVE, _ABSOLUTE = 1e-4, 1e-6  # the contract's tolerances of scores


def numbered(record_id: str, number: int) -> Record:
    """Return a record whose text, metadata and vector all carry the same number."""
    vector = np.array([number + 1, 1 + number % 7, 2], dtype=np.float32)
    return Record(record_id, f"common number{number}", vector, {"number": number, "group": number % GROUPS})


def number_of(record: Record) -> int:
    """Return a record's number; fails the check when its parts do not carry the same one."""
    number = record.metadata.get("number")
    whole = isinstance(number, int) and record == numbered(record.id, number)
    assert whole, f"torn record: the parts of {record!r} were not written together"
    return int(number or 0)


@dataclass(frozen=True)
class Answers:
    """What a store answered to each way of reading: a value, or the error of ctxkit.errors that it raised."""

    given: Mapping[str, Any]

    @property
    def refused(self) -> dict[str, CtxkitError]:
        """The ways that raised."""
        return {way: value for way, value in self.given.items() if isinstance(value, CtxkitError)}

    def without(self, ways: Collection[str]) -> Answers:
        """Return the answers but those of some ways."""
        return Answers({way: value for way, value in self.given.items() if way not in ways})

    @property
    def records(self) -> Records:
        """What a scan yields; raises what it raised."""
        scanned = self.given["scan"]
        if isinstance(scanned, CtxkitError):
            raise scanned
        return {record.id: record for record in scanned}


def ask(store: VectorStore, ids: Sequence[str], words: Sequence[str] = ()) -> Answers:
    """Read everything in every way; `ids` are all that may be there, `words` are looked for in the texts."""
    room = len(ids) + _ROOM
    ways: dict[str, Callable[[], object]] = {
        "scan": lambda: list(store.scan(include_vectors=True)),
        "get": lambda: store.get(ids, include_vectors=True),
        "count": store.count,
        "count of each group": lambda: [store.count({"group": group}) for group in range(GROUPS)],
        "query": lambda: [(hit.id, hit.score) for hit in store.query(_PROBE, room)[0]],
        "query of group 1": lambda: sorted(store.query(_PROBE, room, where={"group": 1})[0].ids),
        "rows of stats": lambda: store.stats().rows,
    }
    if store.capabilities.text_search is not None:
        ways["text_query"] = lambda: [sorted(store.text_query(word, room).ids) for word in ("common", *words)]
    given: dict[str, object] = {}
    for way, call in ways.items():
        try:
            given[way] = call()
        except CtxkitError as error:
            given[way] = error
    return Answers(given)


def faults(
    answers: Answers, records: Mapping[str, Record], ids: Sequence[str], metric: Metric, words: Sequence[str] = ()
) -> list[str]:
    """Return what is wrong with the answers of a store that holds `records`; what it refused is not looked at."""
    found = []
    wanted: dict[str, object] = {
        "get": [records.get(record_id) for record_id in ids],
        "count": len(records),
        "count of each group": [len(_of_group(records, group)) for group in range(GROUPS)],
        "query of group 1": _of_group(records, 1),
        "rows of stats": len(records),
        "text_query": [_with_word(records, word) for word in ("common", *words)],
    }
    for way, value in answers.given.items():
        if isinstance(value, CtxkitError):
            continue
        if way == "scan":
            found += _differences(way, value, records)
        elif way == "get":
            found += _differences(way, [record for record in value if record is not None], records)
            if not found and value != wanted[way]:
                found.append("get does not answer in the order of the ids")
        elif way == "query":
            found += _wrong_scores(dict(value), records, metric)
            if len(value) != len(records):
                found.append(f"query finds {len(value)} records of {len(records)}")
        elif value != wanted[way]:
            found.append(f"{way} answers {_short(value)}, but {_short(wanted[way])} is right")
    return found


def check(
    answers: Answers, records: Mapping[str, Record], ids: Sequence[str], metric: Metric, words: Sequence[str] = ()
) -> None:
    """Fail the check unless every way of reading answers from exactly these records."""
    for way, error in answers.refused.items():
        raise AssertionError(f"{way} raised {type(error).__name__}: {error}") from error
    wrong = faults(answers, records, ids, metric, words)
    assert not wrong, summary(wrong)


def summary(wrong: Sequence[str]) -> str:
    """Return the first faults in one line, and how many there are beyond them."""
    more = f"; and {len(wrong) - _SHOWN} ways of reading more" if len(wrong) > _SHOWN else ""
    return "; ".join(wrong[:_SHOWN]) + more


def _of_group(records: Mapping[str, Record], group: int) -> list[str]:
    return sorted(record.id for record in records.values() if record.metadata.get("group") == group)


def _with_word(records: Mapping[str, Record], word: str) -> list[str]:
    return sorted(record.id for record in records.values() if word in record.text.split())


def _differences(way: str, found: Iterable[Record], records: Mapping[str, Record]) -> list[str]:
    rows = list(found)
    by_id = {record.id: record for record in rows}
    problems = []
    if missing := sorted(records.keys() - by_id.keys()):
        problems.append(f"{way} misses {len(missing)} records that were acknowledged: {_short(missing)}")
    if strange := sorted(by_id.keys() - records.keys()):
        problems.append(f"{way} has {len(strange)} records that should not be there: {_short(strange)}")
    if len(rows) != len(by_id):
        problems.append(f"{way} has records twice: {len(rows)} rows of {len(by_id)} ids")
    changed = [record for record in rows if record.id in records and record != records[record.id]]
    if changed:
        shown = changed[0]
        problems.append(f"{way} has {len(changed)} changed records: {shown!r} where {records[shown.id]!r} is right")
    return problems


def _wrong_scores(found: Mapping[str, float], records: Mapping[str, Record], metric: Metric) -> list[str]:
    wanted = {record.id: _score(record, metric) for record in records.values() if record.vector is not None}
    if found.keys() != wanted.keys():
        missing, strange = sorted(wanted.keys() - found.keys()), sorted(found.keys() - wanted.keys())
        return [f"query does not find {_short(missing)} and finds {_short(strange)}, which should not be there"]
    wrong = [
        record_id
        for record_id, score in found.items()
        if not math.isclose(score, wanted[record_id], rel_tol=_RELATIVE, abs_tol=_ABSOLUTE)
    ]
    return [f"query scores {name!r} {found[name]:.6g}, its vector says {wanted[name]:.6g}" for name in wrong[:1]]


def _score(record: Record, metric: Metric) -> float:
    vector, probe = np.asarray(record.vector, dtype=np.float64), np.array(_PROBE)
    if metric == "l2":
        return float(1 / (1 + np.linalg.norm(vector - probe)))
    product = float(vector @ probe)
    return product if metric == "dot" else product / float(np.linalg.norm(vector) * np.linalg.norm(probe))


def _short(value: object) -> str:
    if isinstance(value, list) and len(value) > _SHOWN:
        return f"[{', '.join(repr(item) for item in value[:_SHOWN])}, ...]"
    return repr(value)
