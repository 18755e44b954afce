"""The form for a terminal: what is wrong comes first, fits the width, and nothing steers the terminal."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from ctxkit_conformance.report import print_report
from ctxkit_conformance.results import CaseResult, CheckResult, Report, SubjectResult
from rich.console import Console

MakeCheck = Callable[..., CheckResult]
MakeCase = Callable[..., CaseResult]
COMMAND = re.compile(r"^ *(again|see all|see these) ctxkit conformance ")


def printed(report: Report, *, width: int = 80, most: int | None = 3, terminal: bool = False) -> str:
    """Return what is printed."""
    file = io.StringIO()
    colours = "standard" if terminal else None
    console = Console(file=file, width=width, force_terminal=terminal, color_system=colours, _environ={})  # type: ignore[arg-type]
    print_report(report, console, most=most)
    return file.getvalue()


def only(report: Report, number: int) -> Report:
    """Return the report on one of its components."""
    return report.model_copy(update={"subjects": [report.subjects[number]]})


def with_checks(report: Report, *checks: CheckResult) -> Report:
    """Return a report on one store that has these checks."""
    store = SubjectResult(kind="vector_store", name="acme", qualified_name="acme", checks=list(checks))
    return report.model_copy(update={"subjects": [store]})


def test_the_first_screen_says_what_is_wrong(example: Report) -> None:
    """24 lines tell the failure, the sentence of the contract, where it stands, what to do and how to repeat it."""
    screen = " ".join(" ".join(printed(only(example, 3)).splitlines()[:24]).split())
    assert screen.startswith("vector_store:acme: 16 of 71 checks speak against it")
    assert "✗ failed T1 records round_trip_of_values[bool]" in screen
    assert "metadata {'flag': True} came back as {'flag': 1}" in screen
    assert "Types survive: 1, 1.0 and True stay three values. (docs/contract.md#metadata)" in screen
    assert "what to do Encode the type beside the value" in screen
    assert "ctxkit conformance run vector_store:acme -k round_trip_of_values --tier T1 --seed 0" in screen


def test_failures_come_in_the_order_of_the_tiers(example: Report) -> None:
    """The most basic failure is read first, since others may follow from it."""
    text = printed(only(example, 3), most=None)
    places = [text.index(name) for name in ("round_trip_of_values[", "law_of_k[", "recall_under_", "second_opener")]
    assert places == sorted(places)


def test_one_cause_is_told_once(example: Report, make_check: MakeCheck, make_case: MakeCase) -> None:
    """Twenty cases of thirty checks that break one clause fit a screen."""
    cases = [make_case(str(n), "failed", message="returned 7 hits, not 10") for n in range(20)]
    checks = [make_check(*cases, name=f"check_{n}", tier=f"T{n % 3}") for n in range(30)]
    text = printed(with_checks(example, *checks))
    assert text.count("returned 7 hits") == 1
    assert "check_0[0]  and 19 other cases" in text
    assert "T0 check_3, T0 check_6, T0 check_9 and 26 more" in " ".join(text.split())
    assert len(text.splitlines()) < 40


def test_many_causes_are_capped(example: Report) -> None:
    """What is left out is named, with the command that shows it; nothing is left out when all is asked for."""
    some = " ".join(printed(only(example, 3)).split())
    assert "further checks fail:" in some
    assert re.search(r"T5 second_opener\w*: \w+", some), "a check is named as -k takes it, with what it found"
    assert re.search(r"see these ctxkit conformance run vector_store:acme -k '\w+( or \w+)+' --seed 0", some)
    assert "see all ctxkit conformance run vector_store:acme --seed 0 --html report.html" in some
    every = printed(only(example, 3), most=None)
    assert "further check" not in every
    assert "docs/contract.md#second-opener" in every


def test_long_messages_and_calls_are_trimmed(example: Report, make_check: MakeCheck, make_case: MakeCase) -> None:
    """A traceback does not push the rest off the screen, and the last calls are the ones that stay."""
    calls = "\n".join(f"store.step({n})" for n in range(50))
    long = make_case("", "failed", message="\n".join(f"line {n}" for n in range(500)), reproduction=calls)
    text = printed(with_checks(example, make_check(long)))
    assert "line 2" in text
    assert "… 497 more lines" in text
    assert "line 3\n" not in text
    assert "# 44 earlier lines" in text
    assert "store.step(49)" in text
    assert "store.step(43)" not in text


def test_what_explains_a_failure_is_not_cut(example: Report, make_check: MakeCheck, make_case: MakeCase) -> None:
    """Of a long stack the lines of the author's own code stay, and of the calls the last one is told whole."""
    ours, python = Path(print_report.__code__.co_filename), Path(re.__file__)
    frames = [f'  File "{path}", line 7 in work' for path in [python] * 9 + [ours, Path("/acme/store.py")]]
    last = f"store = Store.open(CollectionSpec({'dimension=3, ' * 9}fields={{'f': 'int'}}), config)"
    case = make_case("", "failed", message="\n".join(["died", *frames]), reproduction=f"store.close()\n{last}")
    text = printed(with_checks(example, make_check(case)), width=300)
    assert text.count('store.py", line 7 in work') == 1
    assert text.count("line 7 in work") == 3
    assert "fields={'f': 'int'}), config)" in printed(with_checks(example, make_check(case))).replace("\n", " ")


def test_a_tier_that_is_not_promised_says_so(example: Report, make_check: MakeCheck, make_case: MakeCase) -> None:
    """A store in memory that passes the checks of crashes is not taken for one that survives them."""
    report = with_checks(example, make_check(make_case("", "passed"), tier="T6"))
    in_memory = report.subjects[0].model_copy(update={"capabilities": {"crash_safe": False}})
    durable = in_memory.model_copy(update={"capabilities": {"crash_safe": True}})
    said = [printed(report.model_copy(update={"subjects": [each]})) for each in (in_memory, durable)]
    assert ["crash_safe is not declared: only that it says so" in each for each in said] == [True, False]


def test_failures_are_told_before_the_level(example: Report, make_check: MakeCheck, make_case: MakeCase) -> None:
    """The last line counts what failed first: what stands before the next level may be something harmless."""
    report = with_checks(example, make_check(make_case("", "failed")))
    correct = report.subjects[0].model_copy(update={"level": "correct", "level_reason": "not durable: no harness"})
    last = " ".join(printed(report.model_copy(update={"subjects": [correct]})).split("\n")[-3:])
    assert "✗ vector_store:acme  1 check against it; level so far:  correct: answers" in last


def test_what_passed_stands_below(example: Report) -> None:
    """The tiers with their counts, why something was not applicable, the level and what stands before the next."""
    text = printed(only(example, 2))
    assert re.search(r"T3 +quality +~ 1 known failure  ✓ 4 passed", text)
    flat = " ".join(text.split())
    assert "○ not applicable T6 full_disk: this machine permits no small file system" in flat
    assert "https://example.org/faiss/issues/3051" in flat
    assert flat.endswith("no level; not correct: T3 recall_when_near_ones_are_filtered_out known")
    assert printed(only(example, 0)).rstrip().endswith("and leaks nothing")


def test_several_components_share_a_table(example: Report) -> None:
    """A matrix of lines tells which of them needs a look, and how many checks speak against it."""
    text = printed(example)
    heads = next(line.split() for line in text.splitlines() if line.startswith("Vector stores"))
    assert heads[2:] == [*(f"T{n}" for n in range(11)), "level"]
    acme = next(line.split() for line in text.splitlines() if line.startswith("  acme"))
    assert acme == ["acme", "✓", "✗2", "✗4", "✗1", "✗2", "✗1", "○2", "✗1", "✗1", "✗2", "✗2", "none"]
    hnsw = next(line.split() for line in text.splitlines() if line.startswith("  faiss (HNSW)"))
    assert hnsw == ["faiss", "(HNSW)", "✓", "✓", "✓", "~1", "✓", "✓", "○1", "✓", "✓", "~1", "✓", "none"]


def test_other_ways_to_fail_are_told(example: Report) -> None:
    """An unexpected pass says what to take out, and checks that did not run are counted."""
    text = " ".join(printed(only(example, 3)).split())
    assert "! unexpected pass T7 concurrency fork known as the driver keeps its sockets" in text
    assert "Take the entry out of the known-failures file." in text
    assert "? not run 4 checks of T9 resources and T10 stateful: the run ended before" in text


def test_a_part_of_the_checks_says_so(example: Report) -> None:
    """A green partial run is not taken for a whole one."""
    part = only(example, 0).model_copy(update={"partial": "tier T3"})
    assert "Only part of the checks was chosen (tier T3): no level is granted." in printed(part)
    told = example.subjects[0].model_copy(update={"level": None, "level_reason": "only tier T3 ran", "checks": []})
    text = printed(part.model_copy(update={"subjects": [told]}))
    assert text.count("tier T3") == 1
    assert "no checks" not in text
    assert "no checks" in printed(only(example, 0).model_copy(update={"subjects": [told]}))


def test_a_component_that_shows_nothing_is_not_green(example: Report) -> None:
    """No check, or none that applied, is told as such; so is a report of nothing."""
    assert "nothing was shown to work" in printed(with_checks(example))
    assert "✗ vector_store:acme  no level" in printed(with_checks(example))
    assert "Nothing was examined." in printed(example.model_copy(update={"subjects": []}))


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
def test_lines_fit_the_terminal(example: Report, width: int) -> None:
    """Only commands, which have to be copied whole, may be longer than the terminal is wide."""
    lines = [line for line in printed(example, width=width, most=None).splitlines() if not COMMAND.match(line)]
    assert max(map(len, lines)) <= min(width, 120)
    assert all(line == line.rstrip() for line in lines)


def test_colour_is_for_terminals(example: Report) -> None:
    """A file gets plain text, a terminal gets colours, and both get the same words."""
    plain, coloured = printed(example), printed(example, terminal=True)
    assert "\x1b" not in plain
    assert "\x1b[" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured).split() == plain.split()


def test_a_message_cannot_steer_the_terminal(example: Report, make_check: MakeCheck, make_case: MakeCase) -> None:
    """Control characters and rich's own markup are text."""
    message = "\x1b[2J\x1b]0;title\x07 [bold]x[/bold] [link=file:///etc]y :smile: \u202e"
    case = make_case("[red]", "failed", message=message, reproduction="\x1b[2Jz")
    text = printed(with_checks(example, make_check(case, name="[/nothing]")))
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "\u202e" not in text
    assert "[bold]x[/bold] [link=file:///etc]y :smile:" in text
    assert "[/nothing][[red]]" in text


def test_an_old_terminal_gets_ascii(example: Report) -> None:
    """Where the encoding lacks a sign, a plain one stands in, and no text stops the report."""
    raw = io.BytesIO()
    with io.TextIOWrapper(raw, encoding="ascii") as file:
        print_report(example, Console(file=file, width=80, _environ={}))
        file.flush()
        text = raw.getvalue().decode("ascii")
    assert "X failed T1 records" in text
    assert "+ 12 passed" not in text.splitlines()[0]
    assert re.search(r"exact +\+ +\+", text)
