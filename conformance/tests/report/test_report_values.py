"""What all forms of the report rest on: counts, groups of failures, commands, and texts made fit to be shown."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import get_args

import pytest
from ctxkit_conformance.levels import LEVELS
from ctxkit_conformance.report.commands import rerun_check, rerun_matrix, rerun_subject
from ctxkit_conformance.report.findings import findings, not_run, not_shown, unexpected_passes
from ctxkit_conformance.report.outcomes import LOOKS, ORDER, is_bad
from ctxkit_conformance.report.tally import of_tier, tally
from ctxkit_conformance.report.texts import counted, head, joined, moment, seconds, shortened, visible
from ctxkit_conformance.report.tiers import KINDS, TIERS, by_kind, place_of, tiers_of
from ctxkit_conformance.results import CaseResult, CheckResult, ClauseText, Outcome, Report, SubjectResult

MakeCheck = Callable[..., CheckResult]
MakeCase = Callable[..., CaseResult]


def subject_of(*checks: CheckResult, **more: object) -> SubjectResult:
    """Return a store with these checks."""
    values = {"kind": "vector_store", "name": "acme", "qualified_name": "acme", "checks": list(checks), **more}
    return SubjectResult.model_validate(values)


def test_the_example_has_every_outcome(example: Report) -> None:
    """The other tests rest on it."""
    assert {check.outcome for subject in example.subjects for check in subject.checks} == set(get_args(Outcome))


def test_every_outcome_has_a_look_of_its_own() -> None:
    """No outcome can be shown without a word, and no two by the same word."""
    assert set(LOOKS) == set(get_args(Outcome))
    assert len({look.word for look in LOOKS.values()}) == len(LOOKS)
    assert all(look.plain.isascii() for look in LOOKS.values())
    assert [is_bad(outcome) for outcome in ORDER] == [LOOKS[outcome].tone == "bad" for outcome in ORDER]


def test_the_tiers_are_those_that_levels_ask_for() -> None:
    """A tier that a level needs has a row in the matrix."""
    assert list(LEVELS) == list(KINDS) == list(TIERS)
    for kind, levels in LEVELS.items():
        assert {tier.key for tier in TIERS[kind]} == {key for level in levels for key in level.tiers}


def test_tiers_keep_their_order_and_unknown_ones_come_last(make_check: MakeCheck, make_case: MakeCase) -> None:
    """T10 stands after T9, and a later suite's tier is shown rather than lost."""
    checks = [make_check(make_case("a"), tier="T11"), make_check(make_case("a"), tier="T2")]
    assert [tier.key for tier in tiers_of("vector_store", checks)] == [*(f"T{n}" for n in range(11)), "T11"]
    assert place_of("vector_store", "T2") < place_of("vector_store", "T10") < place_of("vector_store", "T11")
    assert [tier.key for tier in tiers_of("reranker", checks)] == ["T11", "T2"]


def test_kinds_come_in_the_order_of_the_contract(example: Report) -> None:
    """The matrix of stores is on top whatever ran first, and a kind that is not known yet is kept."""
    other = subject_of(kind="reranker")
    turned = example.model_copy(update={"subjects": [other, *reversed(example.subjects)]})
    assert list(by_kind(turned)) == [*KINDS, "reranker"]
    assert [subject.name for subject in by_kind(turned)["vector_store"]] == ["acme", "faiss", "faiss", "exact"]


def test_a_tally_tells_the_worst_first(make_check: MakeCheck, make_case: MakeCase) -> None:
    """A failure is never hidden behind what passed; what was not applicable does not hide what passed."""
    made = {outcome: make_check(make_case("", outcome)) for outcome in ORDER}
    assert tally(made.values()).words[0] == ("crashed", "1 crashed")
    assert tally([made["passed"], made["failed"], made["failed"]]).words == [
        ("failed", "2 failed"),
        ("passed", "1 passed"),
    ]
    assert tally([made["passed"], made["not_applicable"]]).headline == "passed"
    assert tally([made["passed"], made["not_applicable"], made["known"]]).headline == "known"
    assert tally([made["not_applicable"]]).headline == "not_applicable"
    assert (tally([]).headline, tally([]).total) == (None, 0)
    assert tally(made.values()).bad == 5


def test_the_checks_of_a_tier_begin_with_the_failed_ones(example: Report) -> None:
    """Whoever opens a tier sees first what is wrong."""
    acme = example.subjects[3]
    assert [check.outcome for check in of_tier(acme, "T2")][:4] == ["crashed", "failed", "failed", "failed"]
    assert {check.outcome for check in of_tier(acme, "T2")[4:]} == {"passed"}


def test_failures_are_grouped_by_clause_most_basic_first(example: Report) -> None:
    """One root cause is told once, and records come before search."""
    found = findings(example.subjects[3])
    names = [finding.clause.name for finding in found if finding.clause]
    assert names[:3] == ["metadata", "ids", "law-of-k"]
    assert len(names) == len(set(names))
    law = found[2]
    assert [failure.check.name for failure in law.failures] == ["law_of_k", "filter_inside_the_search"]
    assert law.failures[0].again_in == ["T8"]
    assert len(law.failures[0].cases) == 9


def test_the_clause_that_explains_most_comes_first(make_check: MakeCheck, make_case: MakeCase) -> None:
    """Within a tier the clause with the most failed checks is told first, since the others may follow from it."""
    bad = make_case("", "failed")
    other = make_check(bad, name="a").model_copy(update={"clauses": []})
    (first, last) = findings(subject_of(other, make_check(bad, name="b"), make_check(bad, name="c")))
    assert [len(first.failures), len(last.failures)] == [2, 1]
    basic = other.model_copy(update={"tier": "T1"})
    assert findings(subject_of(make_check(bad, name="b"), make_check(bad, name="c"), basic))[0].clause is None


def test_one_foreign_exception_is_one_finding(make_check: MakeCheck, make_case: MakeCase) -> None:
    """What one line of the component raises is told once, with the advice for errors; an error of ours is judged."""
    raised = [
        make_case("", "failed", message=f"{kind}: no\nraised in store.py, line {line}: x")
        for kind, line in (("OSError", 3), ("OSError", 3), ("OSError", 4), ("StoreFullError", 3))
    ]
    sentences = {name: ClauseText(name=name, sentence="s", advice="a") for name in ("c0", "c1", "c2", "c3", "errors")}
    checks = [
        make_check(case, name=f"check_{number}").model_copy(update={"clauses": [sentences[f"c{number}"]]})
        for number, case in enumerate(raised)
    ]
    sound = make_check(make_case("", "passed"), name="sound").model_copy(update={"clauses": [sentences["errors"]]})
    told = [
        (found.clause.name if found.clause else "", len(found.failures))
        for found in findings(subject_of(*checks, sound))
    ]
    assert told == [("errors", 2), ("errors", 1), ("c3", 1)]
    chosen = [found.clause.name if found.clause else "" for found in findings(subject_of(*checks))]
    assert chosen == ["c0", "c2", "c3"], "where no check of errors was chosen, each has the advice of its own clause"


def test_every_bad_check_is_told_somewhere(example: Report) -> None:
    """No failure falls between the groups."""
    for subject in example.subjects:
        told = [check.name for check in [*unexpected_passes(subject), *not_run(subject)]]
        for finding in findings(subject):
            for failure in finding.failures:
                told += [failure.check.name] * (1 + len(failure.again_in))
        assert sorted(told) == sorted(check.name for check in subject.checks if is_bad(check.outcome))


def test_the_worst_case_of_a_failure_comes_first(make_check: MakeCheck, make_case: MakeCase) -> None:
    """The case that is shown is the one that crashed, not one that passed before it."""
    check = make_check(make_case("a"), make_case("b", "failed"), make_case("c", "crashed"))
    (finding,) = findings(subject_of(check))
    assert [case.case for case in finding.failures[0].cases] == ["c", "b"]


def test_reasons_are_told_once_with_all_their_checks(make_check: MakeCheck, make_case: MakeCase) -> None:
    """Fifty checks that need the same thing make one line; also cases of a check that otherwise passed count."""
    need = {"outcome": "not_applicable", "reason": "no harness"}
    one, two = make_check(make_case("a", **need), name="one"), make_check(make_case("a"), make_case("b", **need))
    (group,) = not_shown(subject_of(one, two))
    assert (group.reason, [check.name for check in group.checks]) == ("no harness", ["one", "law_of_k"])


def test_commands_repeat_what_was_run(example: Report) -> None:
    """The command has the seed, the variant, the options, and the tier where the name alone says too little."""
    exact, _, hnsw, _ = example.subjects[:4]
    check = next(check for check in hnsw.checks if check.name == "fork")
    told = shlex.split(rerun_check(example, hnsw, check))
    assert told[:4] == ["ctxkit", "conformance", "run", "vector_store:faiss"]
    assert told[4:6] == ["-k", "fork"]
    assert told[6:8] == ["--variant", "HNSW"]
    assert {"ef_search=64", "index=hnsw"} <= set(told)
    assert told[-2:] == ["--seed", "0"]
    law = [check for check in exact.checks if check.name == "law_of_k"]
    assert [shlex.split(rerun_check(example, exact, check))[6:8] for check in law] == [
        ["--tier", "T2"],
        ["--tier", "T8"],
    ]
    thorough = example.model_copy(update={"thorough": True, "seed": 7})
    assert rerun_subject(thorough, exact) == "ctxkit conformance run vector_store:exact --seed 7 --thorough"
    assert rerun_matrix(thorough).startswith("ctxkit conformance matrix --seed 7 --thorough")


def test_a_command_names_the_right_one_of_two(example: Report) -> None:
    """Two distributions may each have a store of that name; what says nothing of a check runs the whole component."""
    one = example.subjects[0]
    two = one.model_copy(update={"qualified_name": "other:exact"})
    both = example.model_copy(update={"subjects": [one, two]})
    assert rerun_subject(both, two) == "ctxkit conformance run vector_store:other:exact --seed 0"
    bare = one.checks[0].model_copy(update={"clauses": []})
    assert rerun_check(example, one, bare) == rerun_subject(example, one)


def test_commands_survive_a_shell(example: Report) -> None:
    """Options with spaces, quotes and semicolons arrive as they were; text that looks like JSON stays text."""
    odd = {"path": "a b; rm -rf 'c'", "label": "8", "sizes": [1, 2]}
    subject = example.subjects[0].model_copy(update={"config": odd})
    assert shlex.split(rerun_subject(example, subject))[4:10] == [
        "--config", 'label="8"', "--config", "path=a b; rm -rf 'c'", "--config", "sizes=[1, 2]",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain é 😀\ttab\nline", "plain é 😀\ttab\nline"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("nul\x00 bell\x07", r"nul\x00 bell\x07"),
        ("right\u202eleft", r"right\u202eleft"),
        ("half \ud800", r"half \ud800"),
        ("a\r\nb\rc", "a\nb\\rc"),
    ],
)
def test_nothing_in_a_text_hides_or_steers(text: str, shown: str) -> None:
    """A component's text cannot colour, overwrite or turn round what a reader sees."""
    assert visible(text) == shown


def test_texts_are_cut_where_it_hurts_least() -> None:
    """What is left out is said, and a single line is not replaced by a longer note."""
    assert head("a\n\nb\nc\nd", 2, 80) == ["a", "b", "… 2 more lines"]
    assert head("a\n  Use -v to get more diff", 2, 80) == ["a"]
    assert head("a\nb\nc", 2, 80) == ["a", "b", "c"]
    assert head("x" * 20, 2, 10) == ["x" * 9 + "…"]
    assert shortened("one two three", 9) == "one two…"
    assert shortened("one\n two", 9) == "one two"
    assert shortened("abcdefghijkl", 5) == "abcd…"
    assert (counted(1, "check"), counted(2, "check")) == ("1 check", "2 checks")
    assert joined(["a"]) == "a"
    assert joined(["a", "b", "c"]) == "a, b and c"
    assert joined(["a", "b", "c", "d"], 2) == "a, b and 2 more"


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.001, "< 0.01 s"), (1.234, "1.23 s"), (12.34, "12.3 s"), (75, "1 min 15 s"), (3600, "60 min 00 s")],
)
def test_durations_read_well(value: float, shown: str) -> None:
    """A minute is a minute and a millisecond is not nothing."""
    assert seconds(value) == shown


def test_moments_are_told_in_one_time_zone() -> None:
    """Two reports of one moment say the same; a text that is no moment stays."""
    assert moment("2026-11-22T17:05:00+02:00") == moment("2026-11-22T15:05:00Z") == "2026-11-22 15:05 UTC"
    assert moment("2026-11-22T17:05:00") == "2026-11-22 17:05"
    assert moment("some day") == "some day"
