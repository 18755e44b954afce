"""What is refused before a record is written, because the target could not hold it as it is; and what is only told."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Final

from ctxkit.errors import (
    ConfigError,
    DimensionMismatchError,
    FingerprintMismatchError,
    MetricMismatchError,
    StoreError,
    UnsupportedError,
)
from ctxkit.interfaces import Capabilities, CollectionSpec
from ctxkit.moving.origins import Origin, StoreOrigin, is_memory
from ctxkit.moving.places import StorePlace

_SHOWN = 3
_ALIKE: Final[Mapping[str, type[StoreError]]] = {
    "dimension": DimensionMismatchError,
    "metric": MetricMismatchError,
    "fingerprint": FingerprintMismatchError,
}


def check_distinct(source: StorePlace, target: StorePlace, collection: str) -> None:
    """Refuse a target that is the source: one folder opens under every provider of the same engine."""
    same = source.title == target.title or (
        source.folder is not None and source.folder == target.folder and target.described(collection) is not None
    )
    if same:
        raise ConfigError(
            f"{source.title} and {target.title} are the same collection {collection!r}.",
            fix="name another folder; a folder of the engine's opens under exact, faiss and hnswlib as it is.",
        )


def check_fits(origin: Origin, target: StorePlace, spec: CollectionSpec) -> None:
    """Raise UnsupportedError naming what the target could not hold of the origin; nothing was written then."""
    can = _capabilities(target)
    lost = []
    if not can.persistent:
        lost.append("it keeps nothing when it is closed")
    if spec.metric not in can.metrics:
        lost.append(f"it has no metric {spec.metric}, only {', '.join(sorted(can.metrics))}")
    if spec.dimension < can.min_dimension:
        lost.append(f"it has no vectors of {spec.dimension} dimensions, only from {can.min_dimension} on")
    if not can.optional_vectors and not is_memory(spec) and (bare := origin.bare()):
        named = (record.id for record in origin.records() if record.vector is None)
        shown = ", ".join([repr(record_id) for record_id in islice(named, _SHOWN)] + ["..."] * (bare > _SHOWN))
        lost.append(f"it keeps no record without a vector, of which there are {bare} ({shown})")
    if lost:
        raise UnsupportedError(
            f"{target.title} cannot hold {spec.name!r}: {'; '.join(lost)}.",
            fix="choose another target, or change these records first; nothing was written.",
        )


def check_alike(target: StorePlace, spec: CollectionSpec) -> None:
    """Refuse a target that was made for other vectors: of another length, for another metric, by another model."""
    held = target.described(spec.name)
    for name, error in _ALIKE.items() if held is not None else ():
        wanted, found = getattr(spec, name), getattr(held, name)
        # A collection without a model takes over the first one's; with vectors it refuses that itself.
        if found not in (wanted, None):
            raise error(
                f"{target.title} holds {spec.name!r} with the {name} {found}; {wanted} is needed.",
                fix="name another target; where the model is another one, --reembed makes new vectors.",
            )


def losses(origin: Origin, target: StorePlace) -> list[str]:
    """Return what the target does not do though the origin does; the records lose nothing by it."""
    if not isinstance(origin, StoreOrigin):
        return []
    before, after = origin.store.capabilities, _capabilities(target)
    words = {
        "text_search": "searches no texts, so memories are found by their vectors alone",
        "crash_safe": "does not promise that what was acknowledged survives a killed process",
        "detects_corruption": "does not notice damaged bytes by itself",
        "ordered_scan": "lists records in no order of a field",
    }
    lost = [text for name, text in words.items() if getattr(before, name) and not getattr(after, name)]
    if before.concurrency != after.concurrency and after.concurrency == "single-process":
        lost.append("serves one process at a time")
    return [f"{target.title} {text}." for text in lost]


def _capabilities(place: StorePlace) -> Capabilities:
    own = place.config.capabilities()
    found = own if own is not None else place.registry.find("vector_store", place.provider).spec.capabilities
    if not isinstance(found, Capabilities):
        raise ConfigError(f"{place.provider} announces no capabilities of a store.", fix="ask its authors.")
    return found
