"""How a record lies in Chroma, and how it comes back.

Chroma merges an upsert's metadata into what was there, turns some values into others and has no place for some keys.
So each record carries its exact metadata as one JSON string under a key of ours, which an upsert replaces as a whole;
the keys of the user lie beside it as Chroma's own, for filters and for other programs.

Under cosine Chroma keeps no vector as it came: it normalises, and gives back what rounding left of it, NaN for a long
one. So vectors of length 1 lie in its inner-product space. Where that is not the very vector that came (and for
lengths whose squares float32 cannot hold), the exact bytes stand beside the metadata.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn, TypeAlias

import numpy as np

from ctxkit.records import FloatVector, FloatVectors, Metadata, Metric
from ctxkit_chroma.faults import Scene

EXACT: Final = "_ctxkit"  # the key of the JSON string
Native: TypeAlias = dict[str, Any]

_SAFE_INT: Final = 2**53  # up to here an int and a float are one number
_SHORT: Final = 2**49  # up to here the digits of a whole number, with ".0" behind it, are read exactly
_TINY: Final = 1e-7
_NEAR: Final = 2.0**-48  # as a share of a number: farther than a server's reading of its digits goes astray
_SLACK: Final = 2.0**-46  # farther than that and `_clear_of` together
_LONGEST: Final = 1e15  # lengths whose squares, and their sums, stay far within float32
_SHORTEST: Final = 1e-15
_UNIT: Final = 1e-6
_ASKED: Final = 2.0**20  # the length of queries under cosine and dot
_LITTLE: Final = np.dtype("<f4")
_SCALARS: Final = frozenset({str, int, float, bool})
_dumps = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), check_circular=False).encode


def packed(metadata: Sequence[Metadata], exact: Mapping[int, str]) -> list[str]:
    """Return the JSON string of each record: its metadata, or a list of that and of its vector's exact bytes."""
    return [_dumps([item, exact[row]] if row in exact else item) for row, item in enumerate(metadata)]


def unpacked(pack: str, record_id: str, scene: Scene) -> tuple[Metadata, FloatVector | None]:
    """Return the metadata, a new dict each time, and the exact vector where it was kept.

    Raises StoreCorruptError for what `packed` never made: another client has written over it.
    """
    try:
        return _parts(_loads(pack))
    except (ValueError, RecursionError) as error:
        raise scene.overwritten(record_id, EXACT) from error


def all_unpacked(packs: Sequence[str], ids: Sequence[str], scene: Scene) -> list[tuple[Metadata, FloatVector | None]]:
    """Return what `unpacked` returns of each; a few short ones are parsed in half the time when together."""
    try:
        found = _loads(f"[{','.join(packs)}]")
        if len(found) == len(packs):
            return [_parts(each) for each in found]
    except (ValueError, RecursionError):
        pass  # one by one, to name the record
    return [unpacked(pack, record_id, scene) for pack, record_id in zip(packs, ids, strict=True)]


def _parts(found: Any) -> tuple[Metadata, FloatVector | None]:
    exact = None
    if isinstance(found, list) and len(found) == 2 and isinstance(found[1], str):  # noqa: PLR2004 - a pair
        found, encoded = found
        exact = np.frombuffer(base64.b64decode(encoded, validate=True), dtype=_LITTLE).astype(np.float32)
    if not isinstance(found, dict):
        raise ValueError("no metadata")  # noqa: TRY004 - as of a JSON that is cut off
    for value in found.values():
        if type(value) not in _SCALARS and not _is_list(value):
            raise ValueError("metadata that no record has")
    return found, exact


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and len(kinds := set(map(type, value))) == 1 and kinds <= _SCALARS


def _no_number(word: str) -> NoReturn:
    raise ValueError(word)


_loads = json.JSONDecoder(parse_constant=_no_number).decode


def pack_of(native: Mapping[str, Any] | None) -> str:
    """Return the JSON string of what Chroma has; a record that another program wrote is taken as it is.

    Of its metadata that is what a record can have: no sparse vector, for one, and no infinite number.
    """
    found = (native or {}).get(EXACT)
    if found is not None:
        return str(found)
    return _dumps({key: value for key, value in (native or {}).items() if _is_value(value)})


def _is_value(value: Any) -> bool:
    members = value if _is_list(value) else [value]
    return all(type(each) in _SCALARS and (not isinstance(each, float) or math.isfinite(each)) for each in members)


def native(metadata: Metadata, pack: str, *, lists: bool) -> Native:
    """Return the metadata as Chroma's own keys, as far as it takes them, with the JSON string."""
    made: Native = {EXACT: pack}
    for key, value in metadata.items():
        if is_native(key):
            converted = _value(value, lists=lists)
            if converted is not None:
                made[key] = converted
    return made


def is_native(key: str) -> bool:
    """Whether Chroma has a place for this key."""
    return not key.startswith(("$", "#", "chroma:", EXACT)) and "\0" not in key


def number(value: float) -> float:
    """Return a number as it lies in Chroma, in an order that no server's reading of its digits turns round.

    A server reads the digits of a float up to two units in the last place beside the float. So whole numbers from 2**49
    on lie there as ints, beyond 2**53 as floats, and fractions keep clear of the whole number that they are next to.
    """
    if isinstance(value, int):
        return float(value) if abs(value) > _SAFE_INT else value
    if not value.is_integer():
        return _clear_of(round(value), value)
    return int(value) if _SHORT <= abs(value) <= _SAFE_INT else value


def is_exact(value: float) -> bool:
    """Whether a server reads this number as it is, and no other number as this one or as one beyond it."""
    return abs(value) < _SHORT and value == math.floor(value)


def has_few_digits(value: float) -> bool:
    """Whether a server reads this number as it is, because its digits, and the power of ten behind them, are few."""
    return _TINY < abs(value) < _SHORT and float(f"{value:.15g}") == value


def between(value: float) -> tuple[float, float]:
    """Return two numbers around this one that are around whatever a server may read for it."""
    slack = abs(float(value)) * _SLACK
    return float(value) - slack, float(value) + slack


def _clear_of(whole: int, value: float) -> float:
    if abs(value) >= _SHORT or abs(value - whole) >= abs(value) * _NEAR:
        return value
    return whole + math.copysign(min(0.5, abs(whole) * 2 * _NEAR), value - whole)


def stored_vectors(vectors: FloatVectors, metric: Metric) -> tuple[FloatVectors, dict[int, str]]:
    """Return the vectors as Chroma gets them, and by row the exact bytes of those that are changed by it."""
    if not len(vectors):
        return vectors, {}
    wide = vectors.astype(np.float64)
    lengths = np.sqrt(np.einsum("ij,ij->i", wide, wide))
    changed = np.abs(lengths - 1.0) > _UNIT if metric == "cosine" else lengths > _LONGEST
    if not changed.any():
        return vectors, {}
    rows = np.flatnonzero(changed)
    target = 1.0 if metric == "cosine" else _LONGEST
    stored = vectors.copy()
    stored[rows] = (wide[rows] * (target / lengths[rows])[:, None]).astype(np.float32)
    exact = {
        int(row): base64.b64encode(np.ascontiguousarray(vectors[row], dtype=_LITTLE).tobytes()).decode("ascii")
        for row in rows
    }
    return stored, exact


def any_shortened(stored: FloatVectors) -> bool:
    """Whether some of these vectors may stand for longer ones, whose exact bytes are kept."""
    return bool((np.einsum("ij,ij->i", stored, stored, dtype=np.float64) > (0.99 * _LONGEST) ** 2).any())


def asked_vectors(queries: FloatVectors, metric: Metric) -> FloatVectors:
    """Return queries as Chroma gets them.

    A positive factor changes no order of products, and Chroma computes 1 - product in float32: for short products all
    the same number. So queries are made long under cosine and dot.
    """
    wide = queries.astype(np.float64)
    lengths = np.sqrt(np.einsum("ij,ij->i", wide, wide))
    if metric == "l2":
        factors = np.where(lengths > _LONGEST, _LONGEST / np.maximum(lengths, _SHORTEST), 1.0)
    else:
        factors = _ASKED / np.where(lengths == 0, 1.0, lengths)
    scaled: FloatVectors = (wide * factors[:, None]).astype(np.float32)
    return scaled


def cosine_of(distance: float) -> float:
    """Return the cosine that Chroma's distance between a vector and one of `asked_vectors` stands for.

    Right to some 1e-7, because both have a known length; under dot and l2 nothing bounds what rounding may cost.
    """
    return min(1.0, max(-1.0, (1.0 - distance) / _ASKED))


def _value(value: Any, *, lists: bool) -> Any:
    if isinstance(value, list):
        if not lists:
            return None
        if isinstance(value[0], int) and any(abs(item) > _SAFE_INT for item in value):
            return [float(item) for item in value]
        return list(value)
    return number(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value
