"""What both embedders do: refuse what is no text, cut long texts into spans, bring sums to unit length."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ctxkit.errors import EmbedderError
from ctxkit.records import FloatVectors
from ctxkit_static.pieces import spans_of, well_formed

_SPANS_AT_ONCE = 1_024
_CHARACTERS_AT_ONCE = 65_536


def checked_texts(texts: Sequence[str], backend: str) -> None:
    """Raise EmbedderError for one bare text, for what is no sequence, and for an element that is no text."""
    if isinstance(texts, (str, bytes)) or not isinstance(texts, Collection):
        raise EmbedderError(
            f"embed_documents takes a list of texts, not one {type(texts).__name__}.",
            fix="pass [text], or call embed_query(text).",
            backend=backend,
        )
    for place, text in enumerate(texts):
        if not isinstance(text, str):
            raise EmbedderError(
                f"text {place} is a {type(text).__name__}, not a str.",
                fix="convert it before it is embedded.",
                backend=backend,
            )


def span_groups(texts: Sequence[str]) -> Iterator[tuple[list[int], list[str]]]:
    """Yield groups of spans with the places of their texts, bounded in number and in characters."""
    owners: list[int] = []
    spans: list[str] = []
    characters = 0
    for place, text in enumerate(texts):
        for span in spans_of(well_formed(text)):
            owners.append(place)
            spans.append(span)
            characters += len(span)
            if len(spans) >= _SPANS_AT_ONCE or characters >= _CHARACTERS_AT_ONCE:
                yield owners, spans
                owners, spans, characters = [], [], 0
    if spans:
        yield owners, spans


def unit_rows(sums: NDArray[np.float32]) -> FloatVectors:
    """Return the rows at unit length; changes `sums`."""
    lengths = np.linalg.norm(sums.astype(np.float64), axis=1)
    empty = lengths == 0
    # A text without a single piece has no direction; the diagonal is as good as any, and finite.
    sums[empty] = 1
    lengths[empty] = np.sqrt(sums.shape[1])
    return np.asarray(sums / lengths[:, None], np.float32)
