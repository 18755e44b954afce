"""What an inspection says: every candidate, the sessions over time, and what is stable since the prompt before."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from components import config
from inspector_support import BEGAN, HOSTILE, QUESTION, fill, hostile_inspector, talk_inspector
from manager_support import manager

from ctxkit.config import RetrievalConfig
from ctxkit.errors import BudgetTooSmallError, ConfigError
from ctxkit.inspector import FORMAT, VERSION, Inspection, Inspector, as_html, newest_question, write_html
from ctxkit.inspector.inspecting import _rows
from ctxkit.records import Record


@pytest.fixture(name="inspector", scope="module")
def _inspector() -> Iterator[Inspector]:
    """Yield the inspector of a conversation in sessions."""
    with talk_inspector() as found:
        yield found


@pytest.fixture(name="found", scope="module")
def _found(inspector: Inspector) -> Inspection:
    """Return the inspection of one question, after another one."""
    inspector.prepare("Where is the old pier?")
    return inspector.inspect(QUESTION)


def test_it_is_a_versioned_json_document(found: Inspection) -> None:
    """The whole document goes through JSON unchanged, and says what it is."""
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert (found["format"], found["version"]) == (FORMAT, VERSION) == ("ctxkit-inspection", 1)


def test_the_documentation_names_every_key(found: Inspection) -> None:
    """Whoever reads the data finds each of its names in docs/inspector.md."""

    def keys(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            for key, inner in value.items():
                yield key
                yield from keys(inner) if key != "stages" else ()
        elif isinstance(value, list):
            for inner in value:
                yield from keys(inner)

    page = (Path(__file__).parent.parent / "docs" / "inspector.md").read_text(encoding="utf-8")
    missing = {key for key in keys(found) if f"`{key}`" not in page}
    assert missing == set()


def test_the_parts_are_the_prompt(inspector: Inspector, found: Inspection) -> None:
    """The texts of the parts, joined, are the prompt that the manager builds, within the budget."""
    result = inspector._manager.build(QUESTION, budget=300)
    assert "".join(part["text"] for part in found["parts"]) == result.text
    assert found["tokens"] == result.tokens <= found["budget"] == 300
    assert [part["name"] for part in found["parts"]] == ["memory", "recent", "question"]


def test_every_row_of_the_ledger_is_there_with_its_scores(inspector: Inspector, found: Inspection) -> None:
    """Each candidate has the ledger's own figures, and its stages add up to its final score."""
    ledger = inspector._manager.build(QUESTION, budget=300).ledger
    assert [row["id"] for row in found["candidates"]] == [row.id for row in ledger]
    ranked = [row for row in found["candidates"] if row["rank"] is not None]
    assert [row["rank"] for row in ranked] == list(range(1, len(ranked) + 1))
    assert len(ranked) > 10
    for row, own in zip(found["candidates"], ledger, strict=True):
        assert (row["kept"], row["reason"], row["tokens"]) == (own.kept, own.reason, own.tokens)
        assert row["final"] == own.final == pytest.approx(sum(row["stages"].values()), abs=1e-9)
        assert set(row["stages"]) == (set(found["stages"]) if row["part"] == "memory" else set())


def test_a_candidate_tells_where_it_is_from(found: Inspection) -> None:
    """Session, speaker, day and document come from the record."""
    best = next(row for row in found["candidates"] if "speaker 1" in row["text"] and "dinghy" in row["text"])
    told = {"session": "s1", "speaker": "Ann 1", "timestamp": BEGAN + 86400 + 120, "kind": "turn"}
    assert told.items() <= best.items()
    (document,) = (row for row in found["candidates"] if row["kind"] == "document")
    assert (document["source"], document["session"]) == ("boats.md", None)


def test_a_candidate_that_was_deleted_meanwhile_is_still_listed(inspector: Inspector) -> None:
    """Whoever deletes a memory between the search and the page takes its origin away, not its row."""
    result = inspector._manager.build(QUESTION, budget=300)
    rows = list(_rows(result, {}, ["fused"]))
    assert [row["id"] for row in rows] == [row.id for row in result.ledger]
    assert {(row["session"], row["speaker"]) for row in rows} == {(None, None)}


def test_stages_of_ones_own_are_among_the_scores() -> None:
    """A stage that is named by its module stands beside ours, and what is not configured does not."""
    stages = ("fused", "test_inspector:longest")
    settings = config().model_copy(update={"retrieval": RetrievalConfig(stages=stages)})
    with manager(settings=settings) as made:
        made.add_memory("The dinghy is moored.")
        found = Inspector(made).inspect(QUESTION)
    assert found["stages"] == list(stages)
    assert found["candidates"][0]["stages"]["test_inspector:longest"] == len("The dinghy is moored.")
    assert set(found["candidates"][0]["stages"]) == set(stages)


def longest(pool: Any) -> list[float]:
    """Score by length: a stage of a user's own."""
    return [float(len(each.text)) for each in pool.candidates]


def test_a_long_text_is_cut_and_says_so() -> None:
    """One endless turn does not make the page endless; the prompt itself stays whole."""
    with manager() as made:
        made.observe("word " * 20_000, "yes")
        found = Inspector(made).inspect("What was said?")
    newest = next(row for row in found["candidates"] if row["part"] == "recent")
    assert len(newest["text"]) == 20_000 < newest["characters"]
    assert sum(len(part["text"]) for part in found["parts"]) > 30_000


def test_the_timeline_counts_every_turn_in_its_step(found: Inspection) -> None:
    """Each turn is counted once, in the step in which it was; documents are not on the line."""
    timeline = found["timeline"]
    assert timeline is not None
    assert sum(timeline["counts"]) == 20
    assert timeline["start"] <= BEGAN < timeline["start"] + timeline["step"]
    assert len(timeline["counts"]) <= 72
    day = int(86400 // timeline["step"])
    assert timeline["counts"][0] == timeline["counts"][day] == timeline["counts"][2 * day] == 6
    assert timeline["counts"][3 * day] == 2


def test_the_lanes_are_the_sessions_of_the_candidates(found: Inspection) -> None:
    """Oldest first, each with its turns and their span."""
    timeline = found["timeline"]
    assert timeline is not None
    assert [lane["session"] for lane in timeline["lanes"]] == ["s0", "s1", "s2", None]
    first = timeline["lanes"][0]
    assert (first["records"], first["first"], first["last"]) == (6, BEGAN, BEGAN + 300)
    assert timeline["more_lanes"] == 0


def test_of_many_sessions_those_that_matter_are_shown() -> None:
    """Twelve lanes at most, what was kept among them; the others are counted."""
    with talk_inspector(sessions=20) as inspector:
        found = inspector.inspect(QUESTION)
    timeline = found["timeline"]
    assert timeline is not None
    assert len(timeline["lanes"]) == 12
    said = [row for row in found["candidates"] if row["kind"] == "turn"]
    assert timeline["more_lanes"] == len({row["session"] for row in said}) - 12 > 0
    shown = {lane["session"] for lane in timeline["lanes"]}
    assert {row["session"] for row in said if row["kept"]} <= shown


@pytest.mark.parametrize("moments", [(), (-1e300, 1e300)])
def test_moments_that_no_calendar_has_are_on_no_timeline(moments: tuple[float, ...]) -> None:
    """An empty store, or one with absurd moments, has no time line and does not hang."""
    with manager() as made:
        store = made.long_term_memory.vault.store
        store.upsert(
            [Record(str(m), "dinghy", None, {"_ctx_kind": "memory", "timestamp": m, "_ctx_seq": 0}) for m in moments]
        )
        found = Inspector(made).inspect(QUESTION)
    assert found["timeline"] is None
    assert len(found["candidates"]) == len(moments)


@pytest.mark.parametrize("years", [0.0, 1e-5, 0.5, 3.0, 900.0])
def test_any_span_of_time_makes_few_steps(years: float) -> None:
    """From one moment to centuries: every turn is counted, in at most 72 steps."""
    with manager() as made:
        for share in (0.0, 0.4, 1.0):
            made.add_memory(f"dinghy {share}", {"timestamp": BEGAN + share * years * 31_557_600})
        timeline = Inspector(made).inspect(QUESTION)["timeline"]
    assert timeline is not None
    assert len(timeline["counts"]) <= 72
    assert sum(timeline["counts"]) == 3
    assert timeline["counts"][-1] > 0


def test_nothing_of_another_session_is_counted() -> None:
    """The inspector of one session sees that session's turns alone."""
    with manager() as filled:
        fill(filled)
        filled.set_session("s1")
        found = Inspector(filled).inspect(QUESTION)
    assert {row["session"] for row in found["candidates"]} == {"s1"}
    assert found["timeline"] is not None
    assert sum(found["timeline"]["counts"]) == 6
    assert found["session"] == "s1"


def test_the_comparison_tells_what_is_stable(inspector: Inspector) -> None:
    """The same prompt is stable to its end; the changes put both prompts together again."""
    inspector.prepare(QUESTION)
    same = inspector.inspect(QUESTION)
    text = "".join(part["text"] for part in same["parts"])
    assert same["previous"] is not None
    assert same["previous"]["stable_tokens"] == same["tokens"]
    assert same["previous"]["stable_characters"] == len(text)
    assert [change["kind"] for change in same["previous"]["changes"]] == ["same"]
    other = inspector.inspect("What about topic 1 3?")
    now = "".join(part["text"] for part in other["parts"])
    previous = other["previous"]
    assert previous is not None
    assert previous["question"] == QUESTION
    stable = previous["stable_characters"]
    assert now[:stable] == text[:stable]
    assert previous["stable_tokens"] < other["tokens"]
    changes = previous["changes"]
    assert "".join(change["text"] for change in changes if change["kind"] != "removed") == now
    assert "".join(change["text"] for change in changes if change["kind"] != "added") == text


def test_without_an_earlier_question_nothing_is_compared() -> None:
    """The first inspection has no previous one, the second has the first."""
    with talk_inspector() as inspector:
        assert inspector.inspect(QUESTION)["previous"] is None
        second = inspector.inspect("And the pier?")["previous"]
    assert second is not None
    assert second["question"] == QUESTION


def test_the_newest_question_is_the_newest_turn_of_a_user() -> None:
    """A turn on which the user said nothing is passed over; where nobody asked, that is said."""
    with manager() as made:
        with pytest.raises(ConfigError, match="no turn of a user"):
            newest_question(made)
        made.observe("Where is the boat?", "At the pier.")
        made.observe("", "Anything else?")
        assert newest_question(made) == "Where is the boat?"


def test_what_cannot_be_asked_is_refused(inspector: Inspector) -> None:
    """A blank question and one beyond the budget raise, and change nothing of what is compared next."""
    inspector.prepare(QUESTION)
    with pytest.raises(ConfigError, match="blank"):
        inspector.inspect("  ")
    with pytest.raises(BudgetTooSmallError):
        inspector.inspect("word " * 400)
    previous = inspector.inspect(QUESTION)["previous"]
    assert previous is not None
    assert previous["question"] == QUESTION


def test_the_page_is_ascii_and_holds_no_text_as_markup() -> None:
    """Whatever memories hold, the page has the same elements as without them, and the data read back are the same."""
    with hostile_inspector() as inspector:
        found = inspector.inspect(HOSTILE[2])
    page = as_html(found)
    plain = as_html(None)
    assert page.count("<script") == plain.count("<script") == 2
    assert page.lower().count("</script") == plain.lower().count("</script") == 2
    assert "<img" not in page
    data = page.partition('id="data">')[2].partition("</script>")[0]
    assert data.isascii()
    assert not set("<>&") & set(data)
    assert json.loads(data)["inspection"] == json.loads(json.dumps(found))


def test_the_page_asks_nobody_for_anything(found: Inspection) -> None:
    """No address of a network stands in the page but the names of SVG; its policy has digests alone."""
    page = as_html(found)
    policy = page.partition('http-equiv="Content-Security-Policy" content="')[2].partition('"')[0]
    assert "default-src &#x27;none&#x27;" in policy
    for word in ("unsafe", "*", "http", "connect-src"):
        assert word not in policy
    assert "connect-src &#x27;self&#x27;" in as_html(found, asks=True)
    addresses = [part.partition("'")[0].partition('"')[0] for part in page.split("http://")[1:]]
    assert set(addresses) == {"www.w3.org/2000/svg"}
    assert "https://" not in page


def test_the_page_is_written_or_the_place_refused(found: Inspection, tmp_path: Path) -> None:
    """A page goes to a file; a place that cannot be written is an error that says so."""
    write_html(found, tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == as_html(found)
    with pytest.raises(ConfigError, match="cannot be written"):
        write_html(found, tmp_path / "missing" / "page.html")
