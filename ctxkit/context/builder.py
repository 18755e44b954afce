"""Choosing what stands in one prompt.

In the order of what a model misses most: the question, whole; the newest turn; what the search found; more recent
turns; summaries of what left short-term memory. The recent turns take at most half of what the question leaves
before the memories had their choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ctxkit.context import render
from ctxkit.context.budget import Purse
from ctxkit.context.ledger import LedgerRow
from ctxkit.context.result import ContextResult
from ctxkit.errors import BudgetTooSmallError
from ctxkit.interfaces import Tokenizer
from ctxkit.memory import Turn
from ctxkit.memory.entries import HEAD
from ctxkit.records import Record
from ctxkit.retrieval import Candidate

_SUMMARY_SHARE = 8
_WORTH_CUTTING = 16


@dataclass(slots=True)
class _Draft:
    """What was chosen so far."""

    recent: dict[str, str] = field(default_factory=dict)
    memories: list[Candidate] = field(default_factory=list)
    summaries: dict[str, str] = field(default_factory=dict)
    groups: set[str] = field(default_factory=set)
    ledger: list[LedgerRow] = field(default_factory=list)


def build(
    question: str,
    *,
    recent: Sequence[Turn],
    candidates: Sequence[Candidate],
    summaries: Sequence[Record],
    tokenizer: Tokenizer,
    budget: int,
    hits: int,
) -> ContextResult:
    """Put a prompt together from recent turns (oldest first), candidates (best first) and summaries (newest first).

    At most `hits` memories are kept. The result's text never has more than `budget` tokens and always holds the
    whole question; raises BudgetTooSmallError when the question alone does not fit.
    """
    purse = Purse(tokenizer, budget)
    draft = _Draft()
    tail = check_question(question, purse)
    _choose_newest(draft, recent, purse)
    _choose_recent(draft, recent, purse, allowance=purse.left // 2)
    _choose_memories(draft, candidates, purse, hits)
    _choose_recent(draft, recent, purse, allowance=purse.left)
    _choose_summaries(draft, summaries, purse, allowance=purse.left // _SUMMARY_SHARE)
    _account_for_the_rest(draft, recent, purse)
    return _render(draft, recent, question, tail, tokenizer, budget)


def check_question(question: str, purse: Purse) -> str:
    """Pay for the question, with its title if there is room for that too, and return what stands in the prompt.

    Raises BudgetTooSmallError when the question alone is too much.
    """
    for tail in (f"{render.TITLES['question']}{question}", question):
        if purse.pay(purse.price(tail)):
            return tail
    raise BudgetTooSmallError(
        f"the question takes {purse.price(question)} tokens; the budget is {purse.left}.",
        fix="raise prompt_token_budget, or ask a shorter question.",
    )


def _choose_newest(draft: _Draft, recent: Sequence[Turn], purse: Purse) -> None:
    """Take the newest turn, cut to half of what is left when it is longer than that."""
    if not recent:
        return
    newest = recent[-1]
    frame = purse.price(render.TITLES["recent"]) + purse.price("\n")
    text = f"{newest.text}\n"
    room = purse.left // 2 - frame
    price = purse.price(text)
    reason = "the newest turn"
    if price > room:
        room -= purse.price(f"{render.CUT}\n")
        if room < _WORTH_CUTTING:
            return
        text = f"{purse.cut(newest.text, room)}{render.CUT}\n"
        price, reason = purse.price(text), "the newest turn, cut to fit"
    if purse.pay(frame + price):
        draft.recent[newest.id] = text
        draft.ledger.append(_recent_row(newest, price, kept=True, reason=reason))


def _choose_recent(draft: _Draft, recent: Sequence[Turn], purse: Purse, *, allowance: int) -> None:
    """Take whole turns, newest first, until one does not fit."""
    if not draft.recent:
        return
    chosen = {candidate.id for candidate in draft.memories}
    for turn in reversed(recent):
        if turn.id in draft.recent or turn.id in chosen:
            continue
        text = f"{turn.text}\n"
        price = purse.price(text)
        if price > allowance or not purse.pay(price):
            return
        allowance -= price
        draft.recent[turn.id] = text
        draft.ledger.append(_recent_row(turn, price, kept=True, reason="a recent turn"))


def _choose_memories(draft: _Draft, candidates: Sequence[Candidate], purse: Purse, hits: int) -> None:
    """Take the best candidates that fit; a candidate too long for what is left makes room for shorter ones."""
    frame = purse.price(render.TITLES["memory"]) + purse.price("\n")
    seen: dict[str, str] = {}
    for candidate in candidates:
        line = render.memory_line(candidate)
        _, heading = render.group_of(candidate)
        price = purse.price(line)
        extra = 0 if heading in draft.groups else purse.price(heading)
        extra += 0 if draft.memories else frame
        reason = _why_not(candidate, draft, seen, hits)
        if reason is None and not purse.pay(price + extra):
            reason = "does not fit what is left of the budget"
        if reason is None:
            draft.memories.append(candidate)
            draft.groups.add(heading)
            seen.setdefault(candidate.text, candidate.id)
        row = LedgerRow.of(candidate, tokens=price, kept=reason is None, reason=reason or "among the best that fit")
        draft.ledger.append(row)


def _why_not(candidate: Candidate, draft: _Draft, seen: dict[str, str], hits: int) -> str | None:
    shown = draft.recent.get(candidate.id) or draft.recent.get(str(candidate.metadata.get(HEAD)))
    if shown is not None and candidate.text in shown:
        return "shown among the recent turns"
    if candidate.text in seen:
        return f"the same text as {seen[candidate.text]}"
    return f"ltm_hits_k ({hits}) better ones were kept" if len(draft.memories) >= hits else None


def _choose_summaries(draft: _Draft, summaries: Sequence[Record], purse: Purse, *, allowance: int) -> None:
    """Take the newest summaries within the allowance."""
    frame = purse.price(render.TITLES["summary"]) + purse.price("\n")
    for record in summaries:
        if not record.text:
            continue
        text = f"{record.text}\n"
        price = purse.price(text)
        total = price + (0 if draft.summaries else frame)
        kept = total <= allowance and purse.pay(total)
        if kept:
            allowance -= total
            draft.summaries[record.id] = text
        reason = "a summary of turns that left short-term memory" if kept else "does not fit the summaries' share"
        draft.ledger.append(LedgerRow(record.id, "summary", record.text, price, kept, reason))


def _account_for_the_rest(draft: _Draft, recent: Sequence[Turn], purse: Purse) -> None:
    memories = {candidate.id for candidate in draft.memories}
    for turn in reversed(recent):
        if turn.id not in draft.recent:
            reason = "shown among the memories" if turn.id in memories else "does not fit what is left of the budget"
            draft.ledger.append(_recent_row(turn, purse.price(turn.text), kept=False, reason=reason))


def _render(
    draft: _Draft, recent: Sequence[Turn], question: str, tail: str, tokenizer: Tokenizer, budget: int
) -> ContextResult:
    while True:
        sections = {
            "summary": render.section("summary", "".join(reversed(draft.summaries.values()))),
            "memory": render.section("memory", render.memories(draft.memories)),
            "recent": render.section("recent", "".join(draft.recent.get(turn.id, "") for turn in recent)),
            "question": tail,
        }
        text = "".join(sections.values())
        tokens = tokenizer.count(text)
        if tokens <= budget or text == tail:
            break
        _give_back(draft)
    parts = {name: tokenizer.count(body) for name, body in sections.items() if body}
    return ContextResult(text, question, tokens, budget, parts, tuple(draft.ledger))


def _give_back(draft: _Draft) -> None:
    """Take out what matters least, because the whole counted more than its pieces."""
    if draft.summaries:
        dropped, _ = draft.summaries.popitem()
    elif draft.memories:
        dropped = draft.memories.pop().id
    else:
        dropped, _ = draft.recent.popitem()
    draft.ledger = [
        replace(row, kept=False, reason="left out again: the whole counted more than its pieces")
        if row.kept and row.id == dropped
        else row
        for row in draft.ledger
    ]


def _recent_row(turn: Turn, tokens: int, *, kept: bool, reason: str) -> LedgerRow:
    return LedgerRow(turn.id, "recent", turn.text, tokens, kept, reason, timestamp=turn.timestamp)
