"""The demonstration's conversation and questions are well formed, consistent, and long enough."""

from __future__ import annotations

import json
import re
from collections import Counter
from datetime import datetime, timedelta
from functools import cache
from importlib import resources
from itertools import groupby, pairwise
from typing import Any

import pytest

TURN_KEYS = {"turn_id", "session_id", "timestamp", "user", "assistant"}
QUESTION_KEYS = {"id", "question", "answer", "evidence", "needle", "kind", "superseded", "show"}
KINDS = {"fact", "corrected", "multi"}


@cache
def load(name: str) -> tuple[dict[str, Any], ...]:
    """Parse one of the package's JSON-lines files; every line must be an object."""
    text = resources.files("ctxkit.demo").joinpath(name).read_text(encoding="utf-8")
    assert text.endswith("\n")
    rows = tuple(json.loads(line) for line in text.splitlines())
    assert all(isinstance(row, dict) for row in rows)
    return rows


def turns() -> tuple[dict[str, Any], ...]:
    """Return the conversation, oldest turn first."""
    return load("conversation.jsonl")


def questions() -> tuple[dict[str, Any], ...]:
    """Return the questions in file order."""
    return load("questions.jsonl")


def texts() -> dict[str, str]:
    """Map each turn's id to what was said in it, by both sides."""
    return {turn["turn_id"]: f"{turn['user']}\n{turn['assistant']}" for turn in turns()}


def position() -> dict[str, int]:
    """Map each turn's id to its place in the conversation, counted from zero."""
    return {turn["turn_id"]: place for place, turn in enumerate(turns())}


def of_kind(kind: str) -> list[dict[str, Any]]:
    """Return the questions of one kind."""
    return [question for question in questions() if question["kind"] == kind]


def test_every_turn_has_the_same_keys_and_no_empty_text() -> None:
    """A reader of the file finds five strings on each line, none of them blank."""
    for turn in turns():
        assert set(turn) == TURN_KEYS
        for key, value in turn.items():
            assert isinstance(value, str), (turn["turn_id"], key)
            assert value.strip() == value, (turn["turn_id"], key)
            assert value, (turn["turn_id"], key)


def test_turn_ids_are_numbered_within_their_session() -> None:
    """Ids follow the order of the lines, so that sorting them never changes the conversation."""
    for session, group in groupby(turns(), key=lambda turn: turn["session_id"]):
        ids = [turn["turn_id"] for turn in group]
        assert ids == [f"{session}-t{number:02}" for number in range(1, len(ids) + 1)]
    assert len(position()) == len(turns())


def test_sessions_are_grouped_and_numbered() -> None:
    """A session is one unbroken run of lines, and there are ten to twelve of them."""
    runs = [session for session, _ in groupby(turns(), key=lambda turn: turn["session_id"])]
    assert runs == [f"s{number:02}" for number in range(1, len(runs) + 1)]
    assert 10 <= len(runs) <= 12


def test_timestamps_are_aware_and_strictly_increasing() -> None:
    """Time only runs forward, every stamp names its offset, and the whole spans months."""
    moments = [datetime.fromisoformat(turn["timestamp"]) for turn in turns()]
    assert all(moment.utcoffset() is not None for moment in moments)
    assert all(earlier < later for earlier, later in pairwise(moments))
    assert moments[-1] - moments[0] > timedelta(days=90)


def test_a_session_is_one_sitting() -> None:
    """Pauses inside a session are minutes; between two sessions there are days."""
    for earlier, later in pairwise(turns()):
        gap = datetime.fromisoformat(later["timestamp"]) - datetime.fromisoformat(earlier["timestamp"])
        if earlier["session_id"] == later["session_id"]:
            assert gap < timedelta(hours=1), later["turn_id"]
        else:
            assert gap > timedelta(days=2), later["turn_id"]


def test_the_conversation_is_too_long_for_short_term_memory() -> None:
    """More than 8000 words cannot fit 8000 tokens, as every word costs a tokenizer at least one."""
    assert len(turns()) >= 110
    assert sum(len(text.split()) for text in texts().values()) > 8000


def test_no_text_is_repeated() -> None:
    """No message and no longer sentence comes twice, but for a line that stays when a speech is revised."""
    said = [turn[side] for turn in turns() for side in ("user", "assistant")]
    assert [text for text, count in Counter(said).items() if count > 1] == []
    sentences = Counter(
        sentence for text in said for sentence in re.split(r"(?<=[.!?])\s+", text) if len(sentence.split()) >= 8
    )
    revised_speech = {"I've been going in and out of it since March."}
    assert {sentence for sentence, count in sentences.items() if count > 1} == revised_speech


def test_dates_that_name_a_weekday_agree_with_the_calendar() -> None:
    """A believable diary has its Tuesdays on Tuesdays; the year is that of the first turn."""
    year = datetime.fromisoformat(turns()[0]["timestamp"]).year
    days = "Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday"
    months = "January|February|March|April|May|June"
    checked = 0
    for turn_id, text in texts().items():
        for weekday, day, month in re.findall(rf"({days}) (\d{{1,2}}) ({months})", text):
            moment = datetime.strptime(f"{day} {month} {year} +0000", "%d %B %Y %z")
            assert moment.strftime("%A") == weekday, (turn_id, weekday, day, month)
            checked += 1
    assert checked >= 20


def test_questions_have_the_documented_shape() -> None:
    """Each question carries its eight keys, filled and of the right type."""
    for number, question in enumerate(questions(), start=1):
        assert set(question) == QUESTION_KEYS
        assert question["id"] == f"q{number:02}"
        assert question["kind"] in KINDS
        assert isinstance(question["show"], bool)
        assert question["question"].strip()
        assert question["answer"].strip()
        for key in ("evidence", "needle", "superseded"):
            assert all(isinstance(item, str) and item for item in question[key])
            assert len(set(question[key])) == len(question[key])
        assert question["evidence"]
        assert question["needle"]


def test_questions_cover_the_kinds() -> None:
    """There is enough of each kind, and six of mixed kinds are marked for display."""
    counts = Counter(question["kind"] for question in questions())
    assert len(questions()) >= 24
    assert counts["fact"] >= 8
    assert counts["corrected"] >= 8
    assert counts["multi"] >= 4
    shown = [question["kind"] for question in questions() if question["show"]]
    assert len(shown) == 6
    assert set(shown) == KINDS
    assert len({question["question"] for question in questions()}) == len(questions())


@pytest.mark.parametrize("key", ["evidence", "superseded"])
def test_referenced_turns_exist_in_order(key: str) -> None:
    """Evidence and superseded turns are real and listed oldest first."""
    for question in questions():
        places = [position()[turn_id] for turn_id in question[key]]
        assert places == sorted(places), question["id"]


def test_needles_stand_verbatim_in_one_side_of_the_evidence() -> None:
    """Every needle is in an evidence turn word for word, and every evidence turn has one."""
    sides = {turn["turn_id"]: (turn["user"], turn["assistant"]) for turn in turns()}
    for question in questions():
        holding = {
            needle: [turn_id for turn_id in question["evidence"] if any(needle in side for side in sides[turn_id])]
            for needle in question["needle"]
        }
        assert all(holding.values()), question["id"]
        assert {turn_id for found in holding.values() for turn_id in found} == set(question["evidence"]), question["id"]


def test_needles_stand_nowhere_else() -> None:
    """A needle identifies its evidence: no other turn, and no question, contains it."""
    for question in questions():
        for needle in question["needle"]:
            elsewhere = [turn_id for turn_id, text in texts().items() if needle in text]
            assert set(elsewhere) <= set(question["evidence"]), (question["id"], needle)
            assert needle not in question["question"], question["id"]


def test_a_correction_follows_what_it_corrects_in_another_session() -> None:
    """The outdated value was said in an earlier session than each turn that holds the new one."""
    session = {turn["turn_id"]: turn["session_id"] for turn in turns()}
    for question in of_kind("corrected"):
        assert question["superseded"], question["id"]
        last_old = max(question["superseded"], key=position().__getitem__)
        first_new = min(question["evidence"], key=position().__getitem__)
        assert position()[last_old] < position()[first_new], question["id"]
        assert session[last_old] < session[first_new], question["id"]


def test_only_corrections_supersede() -> None:
    """Facts and two-part questions have no outdated value to be misled by."""
    for question in (*of_kind("fact"), *of_kind("multi")):
        assert question["superseded"] == [], question["id"]


def test_a_two_part_question_needs_both_of_its_turns() -> None:
    """No single turn holds all the needles of a question of kind "multi"."""
    for question in of_kind("multi"):
        assert len(question["evidence"]) == 2, question["id"]
        assert len(question["needle"]) >= 2, question["id"]
        for text in texts().values():
            assert not all(needle in text for needle in question["needle"]), question["id"]


def test_most_evidence_has_left_short_term_memory() -> None:
    """At least three quarters of the questions are first answered in the first two thirds of the talk."""
    border = len(turns()) * 2 / 3
    early = [
        question
        for question in questions()
        if position()[question["evidence"][-1 if question["kind"] == "multi" else 0]] < border
    ]
    assert len(early) >= 0.75 * len(questions())
