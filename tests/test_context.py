"""The budget is a contract: properties over random conversations, and each decision of the packing."""

from __future__ import annotations

from typing import Literal

from components import config, registry
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ctxkit import ContextManager
from ctxkit.context import build
from ctxkit.defaults.estimator import EstimatingTokenizer
from ctxkit.errors import BudgetTooSmallError
from ctxkit.interfaces import Tokenizer
from ctxkit.memory import Turn
from ctxkit.memory.entries import clean
from ctxkit.records import Record
from ctxkit.retrieval import Candidate

REGISTRY = registry()
TOKENIZER = EstimatingTokenizer()
WORDS = st.text(max_size=120) | st.text(alphabet="ab \n.🤖漢字é\u0301\ud800\0", max_size=300)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    turns=st.lists(st.tuples(WORDS, WORDS), max_size=8),
    memories=st.lists(WORDS, max_size=6),
    question=WORDS,
    budget=st.integers(1, 600),
)
def test_the_budget_holds_and_the_question_is_whole(
    turns: list[tuple[str, str]], memories: list[str], question: str, budget: int
) -> None:
    """For any conversation, any question and any budget: within the budget with the whole question, or an error."""
    with ContextManager(config(stm_capacity=150, chunk_size=50), registry=REGISTRY) as cm:
        for user, assistant in turns:
            if user.strip() or assistant.strip():
                cm.observe(user, assistant)
        for memory in memories:
            if memory.strip():
                cm.add_memory(memory)
        whole = clean(question)
        try:
            result = cm.build(question, budget=budget)
        except BudgetTooSmallError:
            assert TOKENIZER.count(whole) > budget
            return
        assert result.text.endswith(whole)
        assert result.tokens == TOKENIZER.count(result.text) <= budget
        for row in result.kept("memory"):
            assert row.text in result.text


def turn(number: int, text: str = "said") -> Turn:
    """Return a turn with its number in the text."""
    user = f"{text} {number}"
    made = Turn(f"t{number}", user, "ok", float(number), number, 0)
    return Turn(made.id, user, "ok", float(number), number, TOKENIZER.count(made.text))


def candidate(name: str, text: str, **metadata: object) -> Candidate:
    """Return a candidate with metadata."""
    return Candidate(name, text, metadata=dict(metadata))  # type: ignore[arg-type]  # test values are scalars


class Liar(Tokenizer):
    """Counts each character, and half as much again for anything but a short text."""

    name = "liar"
    exact = True
    concatenation_bound = 0

    def count(self, text: str) -> int:
        """Return more for long text than for its parts."""
        return len(text) if len(text) < 60 else len(text) * 3 // 2

    def truncate(self, text: str, max_tokens: int, side: Literal["left", "right"] = "right") -> str:
        """Cut by characters."""
        return text[:max_tokens] if side == "right" else text[-max_tokens:]


def test_the_budget_holds_when_the_whole_counts_more_than_its_pieces() -> None:
    """The rendered text is what is counted in the end, and the ledger says what went out again."""
    result = build(
        "why?",
        recent=[turn(i) for i in range(4)],
        candidates=[candidate(f"c{i}", f"memory number {i}") for i in range(8)],
        summaries=[Record("s", "summary of it all")],
        tokenizer=Liar(),
        budget=300,
        hits=10,
    )
    assert result.tokens <= 300
    assert any("counted more than its pieces" in row.reason and not row.kept for row in result.ledger)
    assert all(row.text in result.text for row in result.kept("memory"))
    alone = build("q" * 59, recent=[turn(1)], candidates=[], summaries=[], tokenizer=Liar(), budget=60, hits=1)
    assert alone.text == "q" * 59


def test_a_bare_question_needs_no_title() -> None:
    """With a budget for the question alone, it stands alone."""
    question = "What now?"
    budget = TOKENIZER.count(question)
    result = build(question, recent=[], candidates=[], summaries=[], tokenizer=TOKENIZER, budget=budget, hits=5)
    assert result.text == question
    assert str(result) == question


def test_memories_are_grouped_by_document_and_by_day() -> None:
    """One heading for each document and day, days in order, the speaker named once."""
    day = 86_400.0
    found = [
        candidate("late", "Second day.", speaker="Ann"),
        candidate("early", "First day."),
        candidate("doc", "From a file.", source_id="a/b/guide.md", _ctx_kind="document"),
        candidate("named", "Bob: I said so.", speaker="Bob"),
        candidate("undated", "No day."),
        candidate("odd", "Strange day."),
    ]
    for each, moment in zip(found, (20 * day, 10 * day, 15 * day, 20 * day + 5, None, 1e300), strict=True):
        each.timestamp = moment
    result = build("q", recent=[], candidates=found, summaries=[], tokenizer=TOKENIZER, budget=500, hits=9)
    assert result.text == (
        "## Memories\n"
        "[b/guide.md]\n- From a file.\n"
        "[1970-01-11]\n- First day.\n"
        "[1970-01-21]\n- Ann: Second day.\n- Bob: I said so.\n"
        "[undated]\n- No day.\n- Strange day.\n"
        "\n## Question\nq"
    )


def test_a_long_memory_makes_room_for_shorter_ones() -> None:
    """What does not fit is named in the ledger, and the search for a fit goes on."""
    found = [candidate("long", "word " * 400), candidate("short", "a short one")]
    result = build("q", recent=[], candidates=found, summaries=[], tokenizer=TOKENIZER, budget=60, hits=5)
    assert {row.id: row.kept for row in result.ledger} == {"long": False, "short": True}
    assert "does not fit" in result.ledger[0].reason


def test_recent_turns_fill_what_the_memories_leave() -> None:
    """They take half at first, and the rest when no memory wants it; a turn shown as a memory is not shown twice."""
    turns = [turn(i, "word " * 20) for i in range(6)]
    alone = build("q", recent=turns, candidates=[], summaries=[], tokenizer=TOKENIZER, budget=130, hits=5)
    assert 3 <= len(alone.kept("recent")) < 6
    assert alone.kept("recent")[0].id == "t5"
    left_out = [row for row in alone.ledger if not row.kept]
    assert {row.reason for row in left_out} == {"does not fit what is left of the budget"}
    oldest = Candidate(turns[0].id, turns[0].text)
    both = build("q", recent=turns, candidates=[oldest], summaries=[], tokenizer=TOKENIZER, budget=130, hits=5)
    assert both.text.count(turns[0].text) == 1
    assert any(row.reason == "shown among the memories" for row in both.ledger)


def test_summaries_take_an_eighth_at_most() -> None:
    """They are a hint of what was said; the turns themselves are found by the search."""
    notes = [Record("s2", "newer words here"), Record("s1", "word " * 100), Record("s0", "")]
    result = build("q", recent=[], candidates=[], summaries=notes, tokenizer=TOKENIZER, budget=300, hits=5)
    assert [row.id for row in result.kept("summary")] == ["s2"]
    assert result.text.startswith("## Earlier in this conversation\nnewer words here\n")
    assert result.parts["summary"] <= 300 // 8


def test_the_result_is_plain_data() -> None:
    """The ledger can be written as JSON as it is."""
    result = build("q", recent=[turn(1)], candidates=[], summaries=[], tokenizer=TOKENIZER, budget=300, hits=5)
    data = result.as_dict()
    assert data["tokens"] == result.tokens
    assert data["ledger"][0]["id"] == "t1"
    assert set(data["parts"]) == {"recent", "question"}
