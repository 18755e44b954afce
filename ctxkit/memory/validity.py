"""When a memory holds: from when and until when what it says is true, and when it expires.

`valid_from` and `valid_until` say when it is true: a search finds what holds at its moment, now or `as_of`, and nothing
is destroyed. After `expires_at`, or `ttl` seconds, nothing finds it any more, whatever the moment asked for.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from ctxkit.errors import InvalidRecordError
from ctxkit.filters import matches, parse
from ctxkit.interfaces import VectorStore
from ctxkit.memory.arguments import check_moment
from ctxkit.memory.entries import EXPIRES_AT, HEAD, KIND, PART, SUMMARY, SUPERSEDES, VALID_FROM, VALID_UNTIL
from ctxkit.memory.scope import Scope
from ctxkit.records import Record

TTL: Final = "ttl"
_MOMENTS: Final = (VALID_FROM, VALID_UNTIL, EXPIRES_AT)
_NEVER: Final = float("inf")


class Version(NamedTuple):
    """Which state of a store it is: `writes` is another number after every write, of whatever process.

    Nothing has begun or ceased to be valid by itself since `since`, nor does it before `until`, in seconds since the
    epoch. So a filter that asks what is valid is true with `since` in place of now, and the same until something is
    written.
    """

    writes: int
    since: float
    until: float


def with_moments(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metadata with its moments as seconds since the epoch, and a `ttl` as the moment of expiry.

    Moments may be aware datetimes. Raises InvalidRecordError for what is no moment, a `ttl` that is not above 0 or
    stands beside `expires_at`, and a validity that ends before it begins.
    """
    found = dict(metadata)
    for name in _MOMENTS:
        if name in found:
            if found[name] is None:
                raise InvalidRecordError(f"{name} is None.", fix="leave it out, or pass a moment.")
            found[name] = check_moment(found[name])
    if TTL in found:
        ttl = found.pop(TTL)
        if isinstance(ttl, bool) or not isinstance(ttl, (int, float)) or not 0 < ttl < _NEVER or EXPIRES_AT in found:
            raise InvalidRecordError(
                f"the ttl is {ttl!r:.60}.", fix="pass seconds above 0, or expires_at instead, not both."
            )
        found[EXPIRES_AT] = check_moment(time.time() + ttl)
    if found.get(VALID_UNTIL, _NEVER) <= found.get(VALID_FROM, -_NEVER):
        raise InvalidRecordError("the validity ends before it begins.", fix="pass a valid_until after valid_from.")
    return found


def unexpired() -> dict[str, Any]:
    """Return the filter for what has not expired by now."""
    return {"$not": expired()}


def expired(now: float | None = None) -> dict[str, Any]:
    """Return the filter for what has expired by now."""
    return {EXPIRES_AT: {"$lte": time.time() if now is None else now}}


def valid(as_of: float | None, *, now: float | None = None) -> dict[str, Any]:
    """Return the filter for what holds at a moment, now for None, and has not expired by now."""
    today = time.time() if now is None else now
    moment = today if as_of is None else as_of
    return {"$not": {"$or": [{VALID_UNTIL: {"$lte": moment}}, {VALID_FROM: {"$gt": moment}}, expired(today)]}}


def next_change(store: VectorStore, now: float) -> float:
    """Return the next moment after now at which something begins or ceases to be found by itself; infinity for none."""
    ahead = {name: {name: {"$gt": now}} for name in _MOMENTS}
    if not store.count({"$or": list(ahead.values())}):
        return _NEVER
    firsts = [record for name, where in ahead.items() for record in store.scan(where, order_by=name, limit=1)]
    moments = [float(record.metadata.get(name, now)) for record in firsts for name in _MOMENTS]
    return min((moment for moment in moments if moment > now), default=_NEVER)


def whole_of(store: VectorStore, memory_id: str) -> str:
    """Return the id of the whole that a part belongs to, any other id as it is."""
    (named,) = store.get([memory_id])
    return memory_id if named is None else str(named.metadata.get(HEAD, memory_id))


def ended(store: VectorStore, scope: Scope, memory_id: str, moment: float) -> list[Record]:
    """Return a memory of the scope and its parts with a validity that ends at a moment, to be written.

    Raises InvalidRecordError when the scope has no such memory of its own, or it was superseded before.
    """
    (head,) = store.get([memory_id], include_vectors=True)
    if head is None or head.metadata[KIND] in (PART, SUMMARY) or not matches(parse(scope.own_where()), head.metadata):
        raise InvalidRecordError(f"there is no memory {memory_id!r} here to supersede.", fix="pass the id of a memory.")
    for newer in store.scan({SUPERSEDES: memory_id}, limit=1):
        raise InvalidRecordError(
            f"the memory {memory_id!r} was superseded before.", fix=f"supersede {newer.id!r}, which took its place."
        )
    if float(head.metadata.get(VALID_FROM, -_NEVER)) >= moment:
        raise InvalidRecordError(
            f"the memory {memory_id!r} is valid from the same moment or later.", fix="pass a later valid_from."
        )
    whole = [head, *store.scan({HEAD: memory_id}, include_vectors=True)]
    until = min(moment, float(head.metadata.get(VALID_UNTIL, _NEVER)))
    return [Record(each.id, each.text, each.vector, {**each.metadata, VALID_UNTIL: until}) for each in whole]
