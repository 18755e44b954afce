"""One prompt beside the one before it: what a provider's prompt cache can use again, and what changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from itertools import takewhile
from typing import Literal

from ctxkit.context import ContextResult
from ctxkit.inspector.document import Change, Comparison


def compare(before: ContextResult, now: ContextResult) -> Comparison:
    """Return what is the same in two prompts of one manager, of which `now` was built next after `before`."""
    old, new = (result.text.splitlines(keepends=True) for result in (before, now))
    alike = takewhile(lambda pair: pair[0] == pair[1], zip(old, new, strict=False))
    stable = [line for line, _ in alike]
    rest = _changes(old[len(stable) :], new[len(stable) :])
    same = "".join(stable)
    return {
        "question": before.question,
        "tokens": before.tokens,
        "stable_tokens": now.stable_prefix_tokens,
        "stable_characters": len(same),
        "changes": [*([Change(kind="same", text=same)] if same else []), *rest],
    }


def _changes(old: Sequence[str], new: Sequence[str]) -> Iterator[Change]:
    for _, first, last, begin, end in SequenceMatcher(None, old, new).get_opcodes():
        if old[first:last] == new[begin:end]:
            yield _change("same", new[begin:end])
            continue
        if first < last:
            yield _change("removed", old[first:last])
        if begin < end:
            yield _change("added", new[begin:end])


def _change(kind: Literal["same", "added", "removed"], lines: Sequence[str]) -> Change:
    return {"kind": kind, "text": "".join(lines)}
