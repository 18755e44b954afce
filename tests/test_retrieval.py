"""The stages of retrieval on candidates made by hand."""

from __future__ import annotations

import math
from datetime import datetime, timezone

import numpy as np
import pytest

from ctxkit.config import MemoryConfig, RetrievalConfig
from ctxkit.errors import ConfigError
from ctxkit.retrieval import (
    STAGES,
    Candidate,
    Pool,
    Question,
    Scores,
    find_stages,
    missing_neighbors,
    rank,
    search_words,
)
from ctxkit.retrieval.dates import periods
from ctxkit.retrieval.language import asks
from ctxkit.retrieval.scoring import half_life_decay


def candidate(name: str, **values: object) -> Candidate:
    """Return a candidate with the given fields; `speaker` and `importance` go to its metadata."""
    about = {key: values.pop(key) for key in ("speaker", "importance") if key in values}
    made = Candidate(name, str(values.pop("text", f"text of {name}")), metadata=about)  # type: ignore[arg-type]  # scalars
    for field, value in values.items():
        setattr(made, field, value)
    return made


def added(
    stage: str,
    candidates: list[Candidate],
    *,
    total: list[float] | None = None,
    question: str = "q",
    now: float = 0.0,
    memory: MemoryConfig | None = None,
    **weights: object,
) -> list[float]:
    """Return what one stage adds to each candidate."""
    retrieval = RetrievalConfig.model_validate(weights)
    asked = Question(question, now, memory or MemoryConfig(), retrieval)
    before = np.array(total or [0.0] * len(candidates))
    scores: list[float] = STAGES[stage](Pool(asked, candidates, before)).tolist()
    return scores


def seconds(year: int, month: int, day: int) -> float:
    """Return noon of a day."""
    return datetime(year, month, day, 12, tzinfo=timezone.utc).timestamp()


def test_fusion_weighs_two_scales_alike() -> None:
    """BM25 runs to 20 and cosine to 1; standardised, the best of each search weighs by the weights only."""
    found = [candidate("a", dense=0.9, lexical=0.0), candidate("b", dense=0.1, lexical=20.0)]
    a, b = added("fused", found, lexical_weight=0.5)
    assert a == pytest.approx(b)
    a, b = added("fused", found, lexical_weight=0.4)
    assert a > b > 0.0


def test_what_the_vectors_did_not_find_counts_as_their_lowest() -> None:
    """Missing from the vector search is no better and no worse than its last result."""
    found = [candidate("a", dense=0.9), candidate("b", dense=0.5, lexical=3.0), candidate("c", lexical=3.0)]
    a, b, c = added("fused", found, lexical_weight=0.4)
    assert b == pytest.approx(c)
    assert a > b


def test_what_the_words_did_not_find_shares_none_of_them() -> None:
    """The only memory with the rare word of the question wins, though nothing else has a BM25 score to compare."""
    found = [candidate("rare", dense=0.52, lexical=8.0), *(candidate(str(i), dense=0.5 + i / 100) for i in range(5))]
    rare, *others = added("fused", found, lexical_weight=0.4)
    assert rare > max(others)


def test_one_search_alone_has_the_whole_weight() -> None:
    """Without an embedder, or without a word in common, the other search decides."""
    a, b = added("fused", [candidate("a", lexical=2.0), candidate("b", lexical=1.0)], lexical_sharpness=1.0)
    assert a == pytest.approx(2 * b)
    assert b > 0


def test_sharpness_sets_strong_words_apart() -> None:
    """Squared, twice the BM25 score is four times the height; the scale of the scores does not matter."""
    for scale in (1.0, 1e200):
        a, b = added("fused", [candidate("a", lexical=2.0 * scale), candidate("b", lexical=scale)])
        assert a == pytest.approx(4 * b)


def test_fusing_nothing_or_only_equals_is_quiet() -> None:
    """No division by a deviation of zero."""
    assert added("fused", []) == []
    assert added("fused", [candidate("a", dense=0.5), candidate("b", dense=0.5)]) == [1.0, 1.0]
    assert added("fused", [candidate("a")]) == [0.0]


def test_smoothing_gives_a_share_of_the_neighbours() -> None:
    """Weights go by distance, on both sides, inside one thread; a memory without a thread has no neighbour."""
    turns = [candidate(str(i), thread="t", position=i) for i in range(5)]
    found = [*turns, candidate("x", thread="other", position=2), candidate("y", position=2)]
    total = [0.0, 0.0, 1.0, 0.0, 0.0, 5.0, 5.0]
    scores = added("neighbor", found, total=total, neighbor_weights=(0.3, 0.15), answer_weight=0)
    # Turns 0 and 4 have neighbours on one side alone, which stand for both; turns 1 and 3 lack the outer one of four.
    edge = 0.3 * (2 * 0.45) / (0.3 + 0.3 + 0.15)
    assert scores == pytest.approx([0.15 * 2, edge, 0.0, edge, 0.15 * 2, 0.0, 0.0])


def test_an_exchange_is_two_messages() -> None:
    """Where a position holds both sides, the next one is two messages away."""
    turns = [candidate(str(i), thread="t", position=i) for i in range(5)]
    for turn in turns:
        turn.exchange = True
    weights = (0.3, 0.2, 0.15, 0.1)
    scores = added("neighbor", turns, total=[0.0, 0.0, 1.0, 0.0, 0.0], neighbor_weights=weights, answer_weight=0)
    edge = 0.2 * (2 * 0.3) / (0.2 + 0.2 + 0.1)
    assert scores == pytest.approx([0.1 * 2, edge, 0.0, edge, 0.1 * 2])


def test_two_memories_at_one_position_count_once() -> None:
    """The best of them is the neighbour."""
    places = [("a", 1), ("b", 1), ("c", 2), ("d", 3)]
    found = [candidate(name, thread="t", position=position) for name, position in places]
    scores = added("neighbor", found, total=[1.0, 3.0, 0.0, 0.0], neighbor_weights=(0.5,), answer_weight=0)
    assert scores[2] == pytest.approx(1.5)


def test_what_follows_a_question_gains_of_its_score() -> None:
    """The answer has the question's words before it, not in it; what follows a statement gains nothing more."""
    said = [("0", "Where did you go?"), ("1", "To the lake."), ("2", "Ah.")]
    found = [candidate(name, thread="t", position=int(name), text=text) for name, text in said]
    scores = added("neighbor", found, total=[2.0, 1.0, 0.0], neighbor_weights=(), answer_weight=0.2)
    assert scores == pytest.approx([0.0, 0.4, 0.0])


def test_missing_neighbors_are_those_beside_the_best() -> None:
    """Of each search only what is not a candidate yet, never a negative position."""
    a, b = candidate("a", thread="t", position=0, dense=2.0), candidate("b", thread="t", position=9, dense=1.0)
    assert missing_neighbors([a, b], reach=2, top=1) == {"t": [1, 2]}
    assert missing_neighbors([a, b], reach=1, top=2) == {"t": [1, 8, 10]}
    b.dense, b.lexical = None, 4.0
    assert missing_neighbors([a, b], reach=1, top=1) == {"t": [1, 8, 10]}
    assert missing_neighbors([candidate("c", dense=1.0)], reach=3, top=5) == {}


def test_the_only_speaker_named_is_who_said_it() -> None:
    """The first name will do; two names, none, or a longer word with the name in it say nothing."""
    found = [candidate("a", speaker="Ann Lee"), candidate("b", speaker="Bob"), candidate("c")]
    assert added("speaker", found, question="What did ann buy?", speaker_weight=2.0) == [2.0, 0.0, 0.0]
    assert added("speaker", found, question="Is that Bob's?", speaker_weight=2.0) == [0.0, 2.0, 0.0]
    for question in ("Who?", "Did Ann meet Bob?", "Who wore a bobcat's annual hat?"):
        assert added("speaker", found, question=question) == [0.0, 0.0, 0.0]


def test_a_period_that_the_question_names_counts() -> None:
    """Whole inside it, less in the week beside it, not at all elsewhere or without a timestamp."""
    moments = [seconds(2023, 5, 7), seconds(2023, 5, 9), seconds(2023, 5, 20), None, 1e300]
    found = [candidate(str(n), timestamp=moment) for n, moment in enumerate(moments)]
    scores = added("date", found, question="What was on 7 May 2023?", date_weight=7.0)
    assert scores == pytest.approx([7.0, 5.0, 0.0, 0.0, 0.0])
    assert added("date", found, question="What was there?") == [0.0] * 5


@pytest.mark.parametrize(
    ("question", "inside", "outside"),
    [
        ("on May 7, 2023?", (2023, 5, 7), (2022, 5, 7)),
        ("on the 7th of May?", (2020, 5, 7), (2020, 6, 7)),
        ("in May 2023?", (2023, 5, 31), (2023, 6, 20)),
        ("in December?", (2021, 12, 1), (2021, 11, 1)),
        ("on 2023-05-07?", (2023, 5, 7), (2023, 7, 7)),
        ("yesterday?", (2024, 2, 29), (2024, 2, 1)),
        ("two weeks ago?", (2024, 2, 16), (2024, 1, 16)),
        ("last month?", (2024, 2, 1), (2024, 1, 1)),
        ("this year?", (2024, 1, 1), (2023, 12, 1)),
        ("on 29 February?", (2024, 2, 29), (2024, 4, 1)),
    ],
)
def test_periods(question: str, inside: tuple[int, int, int], outside: tuple[int, int, int]) -> None:
    """Days and months with a year or of every year, and what counts from now, the first of March 2024."""
    (period,) = periods(f"What happened {question}", seconds(2024, 3, 1))
    assert period.closeness(seconds(*inside)) == 1.0
    assert period.closeness(seconds(*outside)) == 0.0


@pytest.mark.parametrize(
    "question", ["What may I march for?", "on 31 February 2023?", "at 2023-13-40?", "in 1 000 ways"]
)
def test_no_period(question: str) -> None:
    """A verb is no month, and a day that no calendar has is none; nor has "yesterday" one where now is no moment."""
    assert periods(question, seconds(2024, 3, 1)) == []
    assert periods("yesterday", 1e300) == []


def test_a_year_ends_beside_the_next() -> None:
    """The end of December is close to the beginning of January."""
    (period,) = periods("in January?", 0.0)
    assert 0.0 < period.closeness(seconds(2023, 12, 29)) < 1.0


def test_what_only_asks_loses() -> None:
    """One person's words that end with a question; a whole exchange may hold its answer, too."""
    found = [
        candidate("a", text="Ann: And you? [shares image: a kite]", speaker="Ann"),
        candidate("b", text="Ann: Why? I know.", speaker="Ann"),
        candidate("c", text="User: Why?"),
    ]
    assert added("asking", found, asking_weight=0.5) == [-0.5, 0.0, 0.0]
    assert asks("Really?!")
    assert not asks("")


def test_what_asks_and_was_not_answered_loses_what_it_stands_above_the_last() -> None:
    """Whatever its words are worth; what only tells keeps it, also where it opens like a question or is repeated."""
    asked = ["Who is on call?", "who is on call", "Who is on call tonight", "Mira is on call", None]
    found = [candidate(str(place), unanswered=words) for place, words in enumerate(asked)]
    total = [4.0, 3.0, 3.0, 2.0, 1.0]
    assert added("asking", found, total=total, question="Who is on call") == [-3.0, -2.0, 0.0, 0.0, 0.0]
    assert added("asking", found, total=total, question="Mira is on call") == [-3.0, 0.0, 0.0, 0.0, 0.0]
    assert added("asking", found, total=total, question="x", asking_weight=0.5) == [-1.5, 0.0, 0.0, 0.0, 0.0]


def test_half_life() -> None:
    """Half after one half-life; the future counts as now."""
    assert half_life_decay(10, 10) == 0.5
    assert half_life_decay(-5, 10) == 1.0
    assert math.isclose(half_life_decay(20, 10), 0.25)


def test_recency_and_importance_by_weight() -> None:
    """Weights of zero leave both out; what has no timestamp or no number gains nothing."""
    old, new = candidate("old", timestamp=0.0), candidate("new", timestamp=1000.0, importance=2)
    found = [old, new, candidate("odd", importance="high")]
    memory = MemoryConfig(recency_weight=1.0, importance_weight=0.5, recency_half_life_seconds=1000.0)
    assert added("recency", found, now=1000.0, memory=memory) == pytest.approx([0.5, 1.0, 0.0])
    assert added("importance", found, memory=memory) == pytest.approx([0.0, 1.0, 0.0])
    assert added("recency", found, now=1000.0) == added("importance", found) == [0.0, 0.0, 0.0]


def test_search_words_leave_out_what_stands_everywhere() -> None:
    """Each word once; a question of such words alone is searched as it is."""
    assert search_words("What did Caroline's café buy for the CAFÉ?") == "caroline café buy"
    assert search_words("Who are you?") == "Who are you?"
    assert search_words("東京 did") == "東京"


def twice(pool: Pool) -> Scores:
    """Add the score so far once more."""
    return pool.total


def broken(pool: Pool) -> Scores:
    """Return one number too few."""
    return pool.total[1:]


def test_stages_run_in_their_order_and_are_accounted_for() -> None:
    """Each sees what those before it made, a stage of one's own too; final is the sum, ties go by id."""
    found = [candidate(name, dense=0.5, importance=1) for name in ("b", "a")]
    found.append(candidate("c", dense=0.9, importance=0))
    question = Question("q", 0.0, MemoryConfig(importance_weight=1.0), RetrievalConfig())
    mine = f"{__name__}:twice"
    ranked = rank(found, question, {"importance": STAGES["importance"], mine: twice})
    assert [each.id for each in ranked] == ["a", "b", "c"]
    assert ranked[0].scores == {"importance": 1.0, mine: 1.0}
    assert ranked[0].final == 2.0
    with pytest.raises(ConfigError, match="the stage broken did not return one finite number for each of 3"):
        rank(found, question, {"broken": broken})


def test_stages_are_named_in_the_configuration() -> None:
    """What is known, in the order given; a function of one's own by its module; anything else is refused by name."""
    assert tuple(STAGES) == RetrievalConfig().stages
    assert list(find_stages(["date", "fused"]).values()) == [STAGES["date"], STAGES["fused"]]
    mine: dict[str, object] = dict(find_stages(["math:sqrt"]))
    assert mine == {"math:sqrt": math.sqrt}
    with pytest.raises(ConfigError, match="there is no stage dates; known are fused, neighbor, asking, speaker"):
        RetrievalConfig(stages=("fused", "dates"))
    with pytest.raises(ConfigError, match="a stage is named twice"):
        RetrievalConfig(stages=("fused", "fused"))
    for wrong in ("no_such_module:stage", "math:no_such", "math:"):
        with pytest.raises(ConfigError, match=f"the retrieval stage {wrong} cannot be imported"):
            find_stages([wrong])
    with pytest.raises(ConfigError, match="math:pi is no function"):
        find_stages(["math:pi"])
