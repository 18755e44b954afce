"""Texts whose true counts are known, so that an estimate can be judged without the tokenizers that it stands for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

VOCABULARIES: Final = ("cl100k_base", "o200k_base")
FILE: Final = "corpus.json"


@dataclass(frozen=True)
class CountedText:
    """A text, what kind it is, and how many tokens it has in each vocabulary."""

    kind: str
    name: str
    text: str
    counts: dict[str, int]

    @property
    def most(self) -> int:
        """The larger of the counts, by which an estimate is judged."""
        return max(self.counts.values())


@cache
def corpus() -> Sequence[CountedText]:
    """Return all texts, in the order of the file, which conformance/scripts/make_corpus.py writes."""
    content = files("ctxkit_conformance.tokenizers").joinpath(FILE).read_text("utf-8")
    return tuple(
        CountedText(each["kind"], each["name"], each["text"], {name: each[name] for name in VOCABULARIES})
        for each in json.loads(content)["texts"]
    )


def kinds() -> list[str]:
    """Return the kinds of texts, sorted."""
    return sorted({each.kind for each in corpus()})
