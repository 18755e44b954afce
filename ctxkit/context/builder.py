"""Choosing what stands in one prompt.

In the order of what a model misses most: the question, whole; the newest turn; more recent turns; what the search
found; recent turns again, in what the memories left; summaries of what left short-term memory; the beginnings of
memories that did not fit. Before the memories
had their choice, the recent turns take at most half of what the question leaves. Only in a budget so small that half
of it would not show sixteen tokens of the newest turn may that turn take more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from ctxkit.context import render
from ctxkit.context.budget import Purse
from ctxkit.context.chat import Chat, as_chat
from ctxkit.context.draft import BEHIND, NO_ROOM, Draft, Piece
from ctxkit.context.ledger import Ledger
from ctxkit.context.result import ContextResult
from ctxkit.errors import BudgetTooSmallError
from ctxkit.interfaces import Tokenizer
from ctxkit.memory import Turn
from ctxkit.records import Record
from ctxkit.retrieval import Candidate

_SUMMARY_SHARE = 8
_WORTH_CUTTING = 16
_LEAST = 4  # tokens of a cut turn; fewer are hardly more than the name of who speaks


def build(
    question: str,
    *,
    recent: Sequence[Turn],
    candidates: Sequence[Candidate],
    summaries: Sequence[Record],
    tokenizer: Tokenizer,
    budget: int,
    hits: int,
    chats: Mapping[str, Chat] | None = None,
) -> ContextResult:
    """Put a prompt together from recent turns (oldest first), candidates (best first) and summaries (newest first).

    At most `hits` memories are kept; `chats` are the messages of recent turns that were observed with them. The
    result's text never has more than `budget` tokens and always holds the whole question; raises BudgetTooSmallError
    when the question alone does not fit.
    """
    purse = Purse(tokenizer, budget)
    draft = Draft(recent, candidates, summaries, hits)
    tail = check_question(question, purse)
    reserve = purse.left - purse.left // 2
    _choose_newest(draft, purse, reserve)
    _choose_recent(draft, purse, reserve)
    shown = _Shown(draft, purse)
    _choose_memories(draft, purse, shown)
    _choose_recent(draft, purse, 0)
    _choose_summaries(draft, purse, allowance=purse.left // _SUMMARY_SHARE)
    _choose_beginnings(draft, purse, shown)
    result = _render(draft, question, tail, tokenizer, budget)
    return replace(result, chat=partial(as_chat, result, draft.kept_turns(), chats or {}, tokenizer))


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


def _frame(purse: Purse, name: str) -> int:
    """Return what a section costs beside its body."""
    return purse.price(render.TITLES[name]) + purse.price("\n")


def _choose_newest(draft: Draft, purse: Purse, reserve: int) -> None:
    """Take the newest turn, cut to what is left beside the reserve; where that is too little, touch the reserve."""
    if not draft.recent:
        return
    newest = draft.recent[-1]
    everything = purse.left - _frame(purse, "recent")
    fair = everything - reserve
    piece = _whole(newest, purse, fair) or _cut(newest, purse, fair, _WORTH_CUTTING)
    piece = piece or _whole(newest, purse, everything) or _cut(newest, purse, everything, _LEAST)
    if piece is None:
        piece = Piece(newest.text, purse.price(f"{newest.text}\n"), kept=False, reason=NO_ROOM)
    else:
        purse.pay(_frame(purse, "recent") + piece.tokens)
    draft.turns[newest.id] = piece


def _whole(turn: Turn, purse: Purse, room: int) -> Piece | None:
    price = purse.price(f"{turn.text}\n")
    return Piece(turn.text, price, kept=True, reason="the newest turn") if price <= room else None


def _cut(turn: Turn, purse: Purse, room: int, least: int) -> Piece | None:
    """Return the beginning of a turn that fits, with the mark of the cut; None below `least` tokens of the turn."""
    text = _beginning(turn.text, purse, room, least, "{}\n".format)
    return (
        None if text is None else Piece(text, purse.price(f"{text}\n"), kept=True, reason="the newest turn, cut to fit")
    )


def _beginning(text: str, purse: Purse, room: int, least: int, line: Callable[[str], str]) -> str | None:
    """Return the longest beginning that fits as it is shown by `line`, with the mark; None below `least` tokens."""
    length = room - purse.price(line(render.CUT))
    while length >= least:
        cut = f"{purse.cut(text, length)}{render.CUT}"
        price = purse.price(line(cut))
        if price <= room:
            return cut
        # Text and mark together may count more than each alone.
        length -= price - room
    return None


def _choose_recent(draft: Draft, purse: Purse, reserve: int) -> None:
    """Take whole turns, newest first, until one does not fit beside the reserve; decide anew on those left out.

    A turn that the memories show, whole or in part, is passed over, and so is a newest turn for which there was no
    room even cut.
    """
    memories = draft.kept_memories()
    stopped = False
    for turn in reversed(draft.recent[:-1]):
        if turn.id in draft.turns and draft.turns[turn.id].kept:
            continue
        price = purse.price(f"{turn.text}\n")
        piece = Piece(turn.text, price, kept=False, reason=draft.among_memories(turn, memories) or "")
        if not piece.reason:
            frame = 0 if draft.kept_turns() else _frame(purse, "recent")
            if stopped:
                piece.reason = BEHIND
            elif price + frame <= purse.left - reserve and purse.pay(price + frame):
                piece.kept, piece.reason = True, "a recent turn"
            else:
                piece.reason, stopped = NO_ROOM, True
        # What is chosen last goes out first.
        draft.turns.pop(turn.id, None)
        draft.turns[turn.id] = piece


def _choose_memories(draft: Draft, purse: Purse, shown: _Shown) -> None:
    """Take the best candidates that fit; a candidate too long for what is left makes room for shorter ones."""
    kept: dict[str, str] = {}
    read = 0
    for candidate in draft.candidates:
        if len(kept) >= draft.hits:
            break
        price = purse.price(render.memory_line(candidate))
        reason = draft.among_recent(candidate) or draft.twin(candidate, kept)
        if reason is None and (price > purse.left or not purse.pay(price + shown.frame(candidate))):
            reason = NO_ROOM
        if reason is None:
            kept[candidate.text] = candidate.id
            shown.add(candidate)
        piece = Piece(candidate.text, price, kept=reason is None, reason=reason or "among the best that fit")
        draft.memories[candidate.id] = piece
        read += 1
    draft.enough(read)


def _choose_beginnings(draft: Draft, purse: Purse, shown: _Shown) -> None:
    """Show the beginnings of memories that did not fit; recent turns are shown whole or not at all."""
    count = draft.hits - len(draft.kept_memories())
    looked_at = draft.candidates[: draft.read]
    too_long = [c for c in looked_at if draft.memories[c.id].reason == NO_ROOM and not draft.is_recent(c)]
    for candidate in too_long:
        if count <= 0 or purse.left < _WORTH_CUTTING:
            break
        frame = shown.frame(candidate)

        def line(text: str, candidate: Candidate = candidate) -> str:
            return render.memory_line(replace(candidate, text=text))

        text = _beginning(candidate.text, purse, purse.left - frame, _WORTH_CUTTING, line)
        if text is not None:
            price = purse.price(line(text))
            purse.pay(price + frame)
            shown.add(candidate)
            draft.memories.pop(candidate.id)
            draft.memories[candidate.id] = Piece(
                text, price, kept=True, reason="the beginning of one that does not fit"
            )
            count -= 1


class _Shown:
    """What the memories chosen so far already paid for: the section's title, and the headings."""

    def __init__(self, draft: Draft, purse: Purse) -> None:
        self._headings = draft.headings
        self._purse = purse
        self._paid: set[tuple[str, str]] = {("", "")}

    def frame(self, candidate: Candidate) -> int:
        """Return what a candidate would cost beside its line."""
        title = 0 if len(self._paid) > 1 else _frame(self._purse, "memory")
        return title + sum(self._purse.price("".join(part)) for part in self._parts(candidate) - self._paid)

    def add(self, candidate: Candidate) -> None:
        """Note that a candidate is shown."""
        self._paid |= self._parts(candidate)
        self._headings.keep(candidate)

    def _parts(self, candidate: Candidate) -> set[tuple[str, str]]:
        """Return the heading, and apart from it the year, which is paid once."""
        year = self._headings.year(candidate)
        return {(self._headings.of(candidate), ""), ("", year)}


def _choose_summaries(draft: Draft, purse: Purse, *, allowance: int) -> None:
    """Take the newest summaries within the allowance."""
    frame = _frame(purse, "summary")
    for record in draft.summaries:
        if not record.text:
            continue
        price = purse.price(f"{record.text}\n")
        total = price + (0 if draft.kept_notes() else frame)
        kept = total <= allowance and purse.pay(total)
        allowance -= total if kept else 0
        reason = "a summary of turns that left short-term memory" if kept else "does not fit the summaries' share"
        draft.notes[record.id] = Piece(record.text, price, kept, reason)


def _render(draft: Draft, question: str, tail: str, tokenizer: Tokenizer, budget: int) -> ContextResult:
    while True:
        sections = {
            "summary": render.section("summary", "".join(f"{text}\n" for text in draft.kept_notes())),
            "memory": render.section("memory", render.memories(draft.kept_memories(), draft.headings)),
            "recent": render.section("recent", "".join(f"{text}\n" for _, text in draft.kept_turns())),
            "question": tail,
        }
        text = "".join(sections.values())
        tokens = tokenizer.count(text)
        if tokens <= budget or text == tail:
            break
        draft.give_back()
    parts = {name: tokenizer.count(body) for name, body in sections.items() if body}
    ledger = Ledger(draft.considered, partial(draft.ledger, tokenizer))
    return ContextResult(text, question, tokens, budget, parts, ledger, sections)
