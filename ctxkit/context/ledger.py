"""The account of one prompt: each candidate, its scores, its price, and what became of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, overload

from ctxkit.retrieval import STAGES, Candidate


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One thing that was considered for a prompt.

    `part` is where it would stand: "recent", "memory" or "summary". The `text` of a kept row stands in the prompt as it
    is; for a newest turn that was cut, it is what was left of it. `dense` and `lexical` are the scores of the two
    searches (None where that search did not return it). `fused` to `importance` are what the stages of retrieval add,
    `others` what stages of one's own add; `final` is the sum. `tokens` is what it costs in the prompt. `reason` says
    why it was kept or dropped. `timestamp` is in seconds since the epoch, `source` names the document that a memory is
    from.
    """

    id: str
    part: str
    text: str
    tokens: int
    kept: bool
    reason: str
    dense: float | None = None
    lexical: float | None = None
    fused: float = 0.0
    neighbor: float = 0.0
    asking: float = 0.0
    speaker: float = 0.0
    date: float = 0.0
    recency: float = 0.0
    importance: float = 0.0
    others: dict[str, float] = field(default_factory=dict)
    final: float = 0.0
    timestamp: float | None = None
    source: str | None = None

    @classmethod
    def of(cls, candidate: Candidate, *, text: str, tokens: int, kept: bool, reason: str) -> LedgerRow:
        """Return the row of a candidate of the search; `text` is what is shown of it, or all of it."""
        source = candidate.metadata.get("source_id")
        others = candidate.scores
        known = {name: others.pop(name) for name in STAGES if name in others}
        return cls(
            id=candidate.id,
            part="memory",
            text=text,
            tokens=tokens,
            kept=kept,
            reason=reason,
            dense=candidate.dense,
            lexical=candidate.lexical,
            **known,
            others=others,
            final=candidate.final,
            timestamp=candidate.timestamp,
            source=source if isinstance(source, str) else None,
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the row as plain JSON values."""
        return asdict(self)


class Ledger(Sequence[LedgerRow]):
    """The rows of a ledger, written when they are first looked at: most contexts are used without their account.

    Equal to a tuple of the same rows, and a tuple in a copy or a pickle. `length` is how many rows `write` makes.
    """

    __slots__ = ("_length", "_rows", "_write")

    def __init__(self, length: int, write: Callable[[], Iterable[LedgerRow]]) -> None:
        self._length = length
        self._write: Callable[[], Iterable[LedgerRow]] | None = write
        self._rows: tuple[LedgerRow, ...] = ()

    @overload
    def __getitem__(self, index: int) -> LedgerRow: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[LedgerRow, ...]: ...
    def __getitem__(self, index: int | slice) -> LedgerRow | tuple[LedgerRow, ...]:
        return self._written()[index]

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[LedgerRow]:
        return iter(self._written())

    def __eq__(self, other: object) -> bool:
        if isinstance(other, (Ledger, tuple)):
            return len(self) == len(other) and self._written() == tuple(other)
        return NotImplemented

    def __hash__(self) -> int:
        return hash(self._written())

    def __repr__(self) -> str:
        return repr(self._written())

    def __reduce__(self) -> tuple[type[tuple[LedgerRow, ...]], tuple[tuple[LedgerRow, ...]]]:
        return tuple, (self._written(),)

    def _written(self) -> tuple[LedgerRow, ...]:
        # Another thread may write the same rows at the same time; `_write` goes last, so none sees half of this.
        write = self._write
        if write is not None:
            self._rows = tuple(write())
            self._write = None
        return self._rows
