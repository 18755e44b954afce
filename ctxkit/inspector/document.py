"""What an inspection consists of: a public format, described for its readers in docs/inspector.md.

Moments are seconds since the epoch. A name that is added keeps the version; one that goes or changes its meaning raises
it.
"""

from __future__ import annotations

from typing import Final, Literal, TypedDict

FORMAT: Final = "ctxkit-inspection"
VERSION: Final = 1


class Part(TypedDict):
    """One part of the prompt, in its order: "summary", "memory", "recent" or "question"."""

    name: str
    tokens: int
    text: str


class CandidateRow(TypedDict):
    """One row of the ledger with what its record tells.

    `rank` is the place among the memories by `final`, from 1, None for what was not ranked. `stages` has what each
    stage added or took, `final` is their sum. `text` is cut where `characters` is more than its length.
    """

    id: str
    part: str
    kind: str
    rank: int | None
    kept: bool
    reason: str
    tokens: int
    text: str
    characters: int
    dense: float | None
    lexical: float | None
    stages: dict[str, float]
    final: float
    session: str | None
    speaker: str | None
    timestamp: float | None
    source: str | None


class Lane(TypedDict):
    """One session that candidates come from: how many turns and memories it has, and when the first and last were."""

    session: str | None
    records: int
    first: float
    last: float


class Timeline(TypedDict):
    """The turns and memories that the search could find, counted in steps of equal length from `start` on.

    `lanes` are the sessions that most of what was kept comes from, oldest first; `more_lanes` counts the other sessions
    among the candidates.
    """

    start: float
    step: float
    counts: list[int]
    lanes: list[Lane]
    more_lanes: int


class Change(TypedDict):
    """Whole lines of the two prompts that are the same, or stand in one of them only."""

    kind: Literal["same", "added", "removed"]
    text: str


class Comparison(TypedDict):
    """The prompt beside the one built before; what is stable is the same from the beginning on, in whole lines."""

    question: str
    tokens: int
    stable_tokens: int
    stable_characters: int
    changes: list[Change]


class Components(TypedDict):
    """What the context was built with; `fallbacks` says why where that is not what was configured."""

    path: str | None
    vector_store: str
    index_type: str
    records: int
    embedder: str
    tokenizer: str
    fallbacks: list[str]


class Inspection(TypedDict):
    """One context with its account. `seconds` is how long building took; the text is that of the parts, joined."""

    format: str
    version: int
    ctxkit: str
    made_at: float
    question: str
    session: str | None
    budget: int
    tokens: int
    seconds: float
    components: Components
    parts: list[Part]
    stages: list[str]
    candidates: list[CandidateRow]
    timeline: Timeline | None
    previous: Comparison | None
