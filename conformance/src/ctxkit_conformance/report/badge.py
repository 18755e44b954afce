"""A badge for a README: the level of one component, as an SVG that needs no network and no font of its own."""

from __future__ import annotations

import re
from html import escape
from pathlib import Path
from typing import Final

from ctxkit_conformance.report.files import write_whole
from ctxkit_conformance.report.texts import visible
from ctxkit_conformance.results import SubjectResult

_LEFT: Final = "ctxkit"
_HEIGHT: Final = 20
_AIR: Final = 6  # pixels at each side of a word
# Each of them carries white text at a contrast of at least 4.5 to 1.
_REACHED, _FAILING, _NONE, _LABEL = "#1b6e43", "#b3201b", "#5c656f", "#353b41"
_NARROW: Final = frozenset("fijlrt.:-()1 ")


def as_badge(subject: SubjectResult) -> str:
    """Return the badge of a component: the level that it reached, else `failing`, else `no level`."""
    word, colour = _said(subject)
    left, right = _width(_LEFT), _width(word)
    told = escape(visible(f"{subject.title}: {word}"))
    texts = "".join(
        f'<text x="{at:.1f}" y="14" textLength="{width - 2 * _AIR:.1f}" text-anchor="middle">{escape(text)}</text>'
        for text, at, width in ((_LEFT, left / 2, left), (word, left + right / 2, right))
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right:.0f}" height="{_HEIGHT}"'
        f' viewBox="0 0 {left + right:.0f} {_HEIGHT}" role="img" aria-label="{told}"><title>{told}</title>'
        f'<clipPath id="c"><rect width="{left + right:.0f}" height="{_HEIGHT}" rx="3"/></clipPath>'
        f'<g clip-path="url(#c)"><rect width="{left:.0f}" height="{_HEIGHT}" fill="{_LABEL}"/>'
        f'<rect x="{left:.0f}" width="{right:.0f}" height="{_HEIGHT}" fill="{colour}"/></g>'
        f'<g fill="#fff" font-family="Verdana,DejaVu Sans,Arial,sans-serif" font-size="11">{texts}</g></svg>\n'
    )


def badge_name(subject: SubjectResult) -> str:
    """Return a file name for the badge, the same in every run: vector_store-faiss-hnsw.svg."""
    parts = (subject.kind, subject.name, subject.variant)
    return "-".join(re.sub(r"[^a-z0-9_.]+", "-", part.lower()).strip("-.") for part in parts if part) + ".svg"


def write_badge(subject: SubjectResult, path: Path) -> None:
    """Write the badge of a component. Raises ConfigError when it cannot be written."""
    write_whole(path, as_badge(subject))


def _said(subject: SubjectResult) -> tuple[str, str]:
    if subject.level is not None:
        return subject.level, _REACHED
    return ("no level", _NONE) if subject.ok else ("failing", _FAILING)


def _width(text: str) -> float:
    """Return about how wide a text is at 11 pixels; textLength then makes it exactly so."""
    return round(sum(4.3 if letter in _NARROW else 7.0 for letter in text)) + 2 * _AIR
