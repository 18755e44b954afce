"""Questions that a reader's own files answer, made from the files: headings that ask, sentences with rare words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from ctxkit.ingest import Skipped, find_files, read_text

_MOST_FILES = 300
_HEADING = re.compile(r"^#{1,4}[ \t]+(\S.*?)[ \t#]*$", re.MULTILINE)
_FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
# From the start of a line or the end of another sentence. It may go on in the next line, but not across a blank line
# or into a heading, list or table.
_SENTENCE = re.compile(
    r"""
    (?: ^[ \t]*(?:\#[ ]|["']{3})? | (?<=[.!?][ ]) )
    ( [A-Z] (?: [^.!?\n|<>{}\\] | \n(?![ \t]*(?:\n|[#*|>-])) ){30,180} [.!?] )
    (?=\s|$)
    """,
    re.MULTILINE | re.VERBOSE,
)
_ASKS = re.compile(r"(?:how|what|when|where|which|who|why)\b|.*\?$", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]{5,}")
_RARE_WORDS = 4
_MARKDOWN = (".md", ".markdown")


@dataclass(frozen=True, slots=True)
class Probe:
    """A question, the sentence that answers it, and the file where that sentence stands."""

    question: str
    expected: str
    source: str


def probes(path: Path, count: int = 3) -> list[Probe]:
    """Return up to `count` questions about the text files at a path, from different files where there are several.

    The same files give the same questions. Files beyond the first 300 are not read.
    """
    texts = dict(_texts(path))
    spread = Counter(word for text in texts.values() for word in set(_words(text)))
    headings = Counter(heading.lower() for text in texts.values() for heading in _HEADING.findall(text))
    by_file = [found for source, text in texts.items() if (found := _of_file(source, text, spread, headings))]
    # The most telling first: headings, then sentences whose words nothing else has.
    by_file.sort(key=lambda found: found[0][0])
    in_turn = [found[round_][1] for round_ in range(count) for found in by_file if len(found) > round_]
    return in_turn[:count]


def line_of(source: str, text: str) -> int | None:
    """Return the line, from 1, at which a piece of a file begins; None when the file does not hold it any more."""
    content = read_text(Path(source))
    if isinstance(content, Skipped):
        return None
    place = content.find(text)
    return None if place < 0 else content.count("\n", 0, place) + 1


def _texts(path: Path) -> Iterator[tuple[str, str]]:
    for number, item in enumerate(find_files(path)):
        if number >= _MOST_FILES:
            return
        if isinstance(item, Skipped):
            continue
        text = read_text(item.path)
        if not isinstance(text, Skipped):
            yield item.source_id, text


_Rank: TypeAlias = tuple[int, int]


def _of_file(source: str, text: str, spread: Counter[str], headings: Counter[str]) -> list[tuple[_Rank, Probe]]:
    """Return the questions of one file with their ranks, the best first."""
    # In most other languages a line that begins with # is a comment.
    prose = _FENCE.sub("", text) if source.lower().endswith(_MARKDOWN) else ""
    found = [((0, 0), Probe(*pair, source)) for pair in _from_headings(prose, headings)]
    return found or [(rank, Probe(*pair, source)) for rank, pair in _from_sentences(text, spread)]


def _from_headings(text: str, headings: Counter[str]) -> Iterator[tuple[str, str]]:
    """Yield a heading that asks something and that only one place has, with the first sentence below it."""
    marks = list(_HEADING.finditer(text))
    for place, mark in enumerate(marks):
        heading = mark.group(1).strip("`* ")
        end = marks[place + 1].start() if place + 1 < len(marks) else len(text)
        below = _SENTENCE.search(text, mark.end(), end)
        if below and _ASKS.match(heading) and len(_words(heading)) > 1 and headings[mark.group(1).lower()] == 1:
            yield heading, below.group(1)


def _from_sentences(text: str, spread: Counter[str]) -> list[tuple[_Rank, tuple[str, str]]]:
    """Return the sentences of a file with the rarest words, as a question that holds some of the words only."""
    found = []
    for match in _SENTENCE.finditer(text):
        words = list(dict.fromkeys(_words(match.group(1))))
        if len(words) > _RARE_WORDS:
            rare = _rarest(words, spread)
            rank = (sum(spread[word] for word in rare), -sum(map(len, rare)))
            found.append((rank, (f"What is said about {_listed(rare)}?", match.group(1))))
    return sorted(found)


def _rarest(words: Sequence[str], spread: Counter[str]) -> list[str]:
    rare = sorted(words, key=lambda word: (spread[word], -len(word)))[:_RARE_WORDS]
    return [word for word in words if word in rare]


def _listed(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} and {words[-1]}"


def _words(text: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(text)]
