"""Values that come back changed."""

from __future__ import annotations

import math
import unicodedata
from dataclasses import replace
from typing import Any, Final

import numpy as np
from typing_extensions import override

from ctxkit.records import Hit, Record
from ctxkit_conformance.mutants.bases import Naming, Reading, Searching, Writing, mapped, shortened

_TINY: Final = 2.0**-126  # the least float32 that is no subnormal


class BoolsAreInts(Writing):
    """True comes back as 1, as from a database without a boolean type."""

    @override
    def stored(self, record: Record) -> Record:
        return replace(record, metadata=mapped(record.metadata, lambda v: int(v) if isinstance(v, bool) else v))


class WholeFloatsAreInts(Writing):
    """1.0 comes back as 1, as through a JSON encoder that writes numbers as short as it can."""

    @override
    def stored(self, record: Record) -> Record:
        return replace(record, metadata={key: shortened(value) for key, value in record.metadata.items()})


class IntsAreFloats(Writing):
    """1 comes back as 1.0, as from an engine that knows one kind of number."""

    @override
    def stored(self, record: Record) -> Record:
        def widened(value: Any) -> Any:
            return float(value) if type(value) is int else value

        return replace(record, metadata=mapped(record.metadata, widened))


class BigIntsAreRounded(Writing):
    """Ints beyond 2**53 lose their last digits on the way through a double."""

    @override
    def stored(self, record: Record) -> Record:
        def rounded(value: Any) -> Any:
            return min(int(float(value)), 2**63 - 1024) if type(value) is int else value

        return replace(record, metadata=mapped(record.metadata, rounded))


class FloatsAreSingle(Writing):
    """Floats in metadata are kept in single precision: 0.1 comes back as 0.10000000149."""

    @override
    def stored(self, record: Record) -> Record:
        def narrowed(value: Any) -> Any:
            return float(np.float32(value)) if isinstance(value, float) and abs(value) < 1e38 else value

        return replace(record, metadata=mapped(record.metadata, narrowed))


class SinglesBecomeScalars(Writing):
    """A list of one tag comes back as the tag itself."""

    @override
    def stored(self, record: Record) -> Record:
        items = record.metadata.items()
        return replace(record, metadata={k: v[0] if isinstance(v, list) and len(v) == 1 else v for k, v in items})


class ListsAreSets(Writing):
    """A list loses what stands in it twice, as in a field of many values."""

    @override
    def stored(self, record: Record) -> Record:
        items = record.metadata.items()
        return replace(record, metadata={k: list(dict.fromkeys(v)) if isinstance(v, list) else v for k, v in items})


class LongStringsAreCut(Writing):
    """Strings in metadata end after 255 characters, as in a varchar column."""

    @override
    def stored(self, record: Record) -> Record:
        return replace(record, metadata=mapped(record.metadata, lambda v: v[:255] if isinstance(v, str) else v))


class DotsBecomeUnderscores(Writing):
    """A field named `a.b` comes back as `a_b`, since the engine takes a dot for a path."""

    @override
    def stored(self, record: Record) -> Record:
        return replace(record, metadata={key.replace(".", "_"): value for key, value in record.metadata.items()})


class KeysIgnoreCase(Writing):
    """Of the fields `Key` and `key` one is left, as with column names in SQL."""

    @override
    def stored(self, record: Record) -> Record:
        folded = {key.lower(): key for key in record.metadata}
        return replace(record, metadata={key: record.metadata[key] for key in folded.values()})


class OwnNamesWin(Writing):
    """A metadata field named `text` is lost, because the backend keeps the text under that name itself."""

    @override
    def stored(self, record: Record) -> Record:
        return replace(record, metadata={key: value for key, value in record.metadata.items() if key != "text"})


class FirstValueFixesTheType(Writing):
    """Once a field held an int, the string "1" written to it later comes back as 1."""

    @override
    def stored(self, record: Record) -> Record:
        kinds: dict[str, type] = self.notes.setdefault("kinds", {})

        def converted(key: str, value: Any) -> Any:
            kind = kinds.setdefault(key, type(value))
            try:
                return value if isinstance(value, list) else kind(value)
            except ValueError:
                return value

        return replace(record, metadata={key: converted(key, value) for key, value in record.metadata.items()})


class FirstBatchFixesTheFields(Writing):
    """Fields that the first record did not have are dropped, as from a table whose columns were inferred."""

    @override
    def stored(self, record: Record) -> Record:
        known: set[str] = self.notes.setdefault("known", set(record.metadata))
        return replace(record, metadata={key: value for key, value in record.metadata.items() if key in known})


class TextsEndAtNul(Writing):
    """A text ends at its first NUL, as in a C string."""

    @override
    def stored(self, record: Record) -> Record:
        return replace(record, text=record.text.partition("\0")[0])


class StringsEndAtNul(Writing):
    """A string in metadata ends at its first NUL."""

    @override
    def stored(self, record: Record) -> Record:
        def ended(value: Any) -> Any:
            return value.partition("\0")[0] if isinstance(value, str) else value

        return replace(record, metadata=mapped(record.metadata, ended))


class TextsAreStripped(Writing):
    """White space around a text is taken away."""

    @override
    def stored(self, record: Record) -> Record:
        return replace(record, text=record.text.strip())


class TextsAreComposed(Writing):
    """A text comes back in a canonical Unicode form, so its offsets and its hash no longer fit."""

    @override
    def stored(self, record: Record) -> Record:
        return replace(record, text=unicodedata.normalize("NFC", record.text))


class LineEndsAreUnified(Writing):
    """A text with CR LF comes back with LF alone, as through a file opened in text mode."""

    @override
    def stored(self, record: Record) -> Record:
        return replace(record, text=record.text.replace("\r\n", "\n"))


class TextsAreCut(Writing):
    """A text ends after 65 535 characters without a word."""

    @override
    def stored(self, record: Record) -> Record:
        return replace(record, text=record.text[:65_535])


class ByteOrderMarkIsEaten(Writing):
    """A text that begins with U+FEFF loses it, as through a decoder that looks for a byte order mark."""

    @override
    def stored(self, record: Record) -> Record:
        return replace(record, text=record.text.removeprefix("\ufeff"))


class IdsAreComposed(Naming):
    """Ids are brought into a canonical Unicode form, so that two documents become one."""

    @override
    def key(self, record_id: str) -> str:
        return unicodedata.normalize("NFC", record_id)


class IdsIgnoreCase(Naming):
    """Ids that differ by case are one, as under a collation that ignores it."""

    @override
    def key(self, record_id: str) -> str:
        return record_id.lower()


class IdsAreStripped(Naming):
    """Ids lose white space at their ends."""

    @override
    def key(self, record_id: str) -> str:
        return record_id.strip() or record_id


class IdsLoseTrailingNuls(Naming):
    """Ids are held in a numpy array of strings, which drops NULs at their ends."""

    @override
    def key(self, record_id: str) -> str:
        return str(np.array([record_id])[0]) or record_id


class IdsAreNumbers(Naming):
    """Ids of digits are taken for numbers: "01" and "1" are one."""

    @override
    def key(self, record_id: str) -> str:
        return str(int(record_id)) if record_id.isdecimal() else record_id


class IdsAreCut(Naming):
    """Ids end after 255 characters."""

    @override
    def key(self, record_id: str) -> str:
        return record_id[:255]


class SubnormalsAreFlushed(Writing):
    """Very small numbers in a vector come back as zero."""

    @override
    def stored(self, record: Record) -> Record:
        if record.vector is None:
            return record
        vector = np.asarray(record.vector)
        return replace(record, vector=np.where(np.abs(vector) < _TINY, np.float32(0), vector))


class HalfOfTheBits(Writing):
    """Vectors are kept as bfloat16 to save memory, and come back with three digits."""

    @override
    def stored(self, record: Record) -> Record:
        if record.vector is None:
            return record
        bits = np.asarray(record.vector, dtype=np.float32).view(np.uint32) & np.uint32(0xFFFF0000)
        return replace(record, vector=bits.view(np.float32))


class UnitVectorsComeBack(Reading):
    """Under cosine `get` gives the vector scaled to length 1, not the one that was stored."""

    @override
    def shown(self, record: Record) -> Record:
        if record.vector is None or self.spec.metric != "cosine":
            return record
        vector = np.asarray(record.vector, dtype=np.float64)
        return replace(record, vector=(vector / math.sqrt(float((vector**2).sum()))).astype(np.float32))


class HitsCarryUnitVectors(Searching):
    """Under cosine a hit carries the vector of the index, scaled to length 1, not the one that was stored."""

    @override
    def spoiled(self, hit: Hit) -> Hit:
        if hit.vector is None or hit.metric != "cosine":
            return hit
        scaled = (hit.vector / np.sqrt((hit.vector.astype(np.float64) ** 2).sum())).astype(np.float32)
        return Hit(hit.id, hit.score, hit.text, hit.metadata, scaled, hit.metric)


VALUES: dict[type, str] = {
    BoolsAreInts: "values_survive",
    WholeFloatsAreInts: "values_survive",
    IntsAreFloats: "values_survive",
    BigIntsAreRounded: "values_survive",
    FloatsAreSingle: "values_survive",
    SinglesBecomeScalars: "values_survive",
    ListsAreSets: "values_survive",
    LongStringsAreCut: "values_survive",
    DotsBecomeUnderscores: "every_key_is_the_callers",
    KeysIgnoreCase: "every_key_is_the_callers",
    OwnNamesWin: "every_key_is_the_callers",
    FirstValueFixesTheType: "a_field_may_change_its_type",
    FirstBatchFixesTheFields: "a_field_may_change_its_type",
    TextsEndAtNul: "values_survive",
    StringsEndAtNul: "values_survive",
    TextsAreStripped: "values_survive",
    TextsAreComposed: "values_survive",
    LineEndsAreUnified: "values_survive",
    TextsAreCut: "values_survive",
    ByteOrderMarkIsEaten: "values_survive",
    IdsAreComposed: "values_survive",
    IdsIgnoreCase: "values_survive",
    IdsAreStripped: "values_survive",
    IdsLoseTrailingNuls: "values_survive",
    IdsAreNumbers: "values_survive",
    IdsAreCut: "values_survive",
    SubnormalsAreFlushed: "values_survive",
    HalfOfTheBits: "values_survive",
    UnitVectorsComeBack: "any_array_is_accepted",
    HitsCarryUnitVectors: "results_are_hits",
}
