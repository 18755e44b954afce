"""`ctxkit bench locomo` on a small conversation in LoCoMo's form: what it reads, what it counts, what it shows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ctxkit_conformance.bench.locomo.data import clean_ids, load
from ctxkit_conformance.bench.locomo.figures import Answer, Result, held_out
from ctxkit_conformance.bench.locomo.setup import SWITCHES, Components, variants
from ctxkit_conformance.bench.naming import parsed

from ctxkit.cli import run
from ctxkit.config import RetrievalConfig
from ctxkit.errors import ConfigError

COMPONENTS = Components(parsed("none"), parsed("exact"), parsed("estimate"))
OPTIONS = ("--embedder", "none", "--tokenizer", "estimate")


def said(turn: str, speaker: str, text: str, **more: str) -> dict[str, str]:
    """Return a turn as LoCoMo writes it."""
    return {"dia_id": turn, "speaker": speaker, "text": text, **more}


def asked(question: str, category: int, *evidence: str) -> dict[str, Any]:
    """Return a question as LoCoMo writes it."""
    return {"question": question, "answer": "", "category": category, "evidence": list(evidence)}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Two conversations; the second is about something else."""
    first = {
        "speaker_a": "Ann",
        "speaker_b": "Bob",
        "session_1_date_time": "1:56 pm on 8 May, 2023",
        "session_1": [
            said("D1:1", "Ann", "I planted seven walnut trees.", blip_caption="a photo of saplings"),
            said("D1:2", "Bob", "My boat leaks again."),
        ],
        "session_2_date_time": "9:05 am on 20 June, 2023",
        "session_2": [said("D2:1", "Ann", "The walnut trees are growing."), said("D2:2", "Bob", "Hello there!")],
        "session_3_date_time": "9:05 am on 21 June, 2023",
    }
    questions = [
        asked("How many walnut trees did Ann plant?", 4, "D1:1", "D:2:01"),
        asked("Whose boat leaks?", 1, "D1:2; D9:9"),
        asked("What is not there?", 2, "D7:7", "D"),
        asked("What did Bob plant?", 5, "D1:1"),
    ]
    second = {
        "session_1_date_time": "12:00 am on 1 January, 2024",
        "session_1": [said("D1:1", "Cy", "Quiet night."), said("D1:2", "Di", "Zebras everywhere.")],
    }
    content = [
        {"sample_id": "one", "conversation": first, "qa": questions},
        {"sample_id": "two", "conversation": second, "qa": [asked("Where are zebras?", 3, "D1:2")]},
    ]
    path = tmp_path / "locomo.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_evidence_is_cleaned() -> None:
    """The three ways in which ids are written wrong, and what is none."""
    assert clean_ids(["D:11:26", "D8:6; D9:17", "D30:05", "D", "D8:6"]) == ["D11:26", "D8:6", "D9:17", "D30:5"]


def test_the_file_is_read_as_it_is_meant(file: Path) -> None:
    """Turns in order with their moment; questions of categories 1 to 4 with evidence that exists."""
    one, two = load(file, []).conversations
    assert [turn.id for turn in one.turns] == ["D1:1", "D1:2", "D2:1", "D2:2"]
    assert one.turns[0].memory == "Ann: I planted seven walnut trees. [shares image: a photo of saplings]"
    assert one.turns[1].memory == "Bob: My boat leaks again."
    assert (one.turns[0].session, one.turns[0].timestamp) == ("session_1", 1683554160.0)
    assert two.turns[0].timestamp == 1704067200.0
    assert [(each.category, each.evidence) for each in one.questions] == [
        (4, ("I planted seven walnut trees.", "The walnut trees are growing.")),
        (1, ("My boat leaks again.",)),
    ]
    assert [each.name for each in load(file, ["two"]).conversations] == ["two"]


def test_what_is_no_such_file_or_conversation_is_refused(file: Path) -> None:
    """With what was read, and what there is."""
    with pytest.raises(ConfigError, match=r"there is no conversation three\. Fix: choose from one, two"):
        load(file, ["three"])
    for content in ("no json", '[{"sample_id": "x"}]', '["x"]'):
        file.write_text(content, encoding="utf-8")
        with pytest.raises(ConfigError, match="cannot be read as LoCoMo's"):
            load(file, ["x"])


def measured(file: Path, *arguments: str) -> dict[str, Any]:
    """Run the command and return its JSON."""
    out = file.with_name("out.json")
    assert run(["bench", "locomo", str(file), *OPTIONS, *arguments, "--json", str(out)]) == 0
    report: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return report


def test_the_share_of_the_evidence_is_what_stands_in_the_context(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Everything where there is room, nothing where only the question has; several budgets after one option."""
    report = measured(file, "--budget", "20", "1000")
    none, everything = report["results"]
    assert (none["budget"], none["recall"]) == (20, 0.0)
    assert (everything["budget"], everything["recall"], everything["interval"]) == (1000, 100.0, [100.0, 100.0])
    assert everything["categories"] == {"multi-hop": 100.0, "open-domain": 100.0, "single-hop": 100.0}
    assert everything["conversations"] == {"one": 100.0, "two": 100.0}
    assert 0 < everything["mean_header_tokens"] < everything["mean_tokens"] <= 1000
    assert report["data"]["conversations"] == {"one": {"turns": 4, "questions": 2}, "two": {"turns": 2, "questions": 1}}
    shown = capsys.readouterr().out
    assert "multi-hop temporal open-domain single-hop" in shown
    assert "all @1000 100.0 100.0-100.0" in shown
    assert "one (2), two (1)" in shown


def test_an_ablation_leaves_out_each_part_in_turn(file: Path) -> None:
    """All of them in one run, each with a hash of its own; what is left out everywhere is not left out again."""
    report = measured(file, "--ablation", "--without", "date", "--conversation", "one")
    names = [result["variant"] for result in report["results"]]
    assert names == ["without date", *(f"without {name}" for name in SWITCHES if name != "date")]
    assert len({result["configuration"] for result in report["results"]}) == len(names)
    assert report["leave_one_out"] == []


def test_what_is_tried_is_also_measured_on_what_did_not_choose_it(file: Path) -> None:
    """Every combination of the values; the figure of each conversation is that of the best of the others."""
    report = measured(file, "--try", "lexical_sharpness=1,2", "--try", "neighbor_weights=[]")
    assert [result["variant"] for result in report["results"]] == [
        "all",
        "lexical_sharpness=1, neighbor_weights=[]",
        "lexical_sharpness=2, neighbor_weights=[]",
    ]
    (found,) = report["leave_one_out"]
    assert (found["budget"], found["recall"], set(found["chosen"])) == (1024, 100.0, {"one", "two"})


def test_leave_one_out_chooses_without_looking() -> None:
    """What is best on one conversation is what the other is measured by."""

    def result(name: str, a: float, b: float) -> Result:
        answers = (Answer("a", 1, a, 9, 1), Answer("b", 1, b, 9, 1))
        return Result(name, "", 1024, tried=True, answers=answers)

    found = held_out([result("first", 1.0, 0.0), result("second", 0.2, 0.4)])
    assert found.chosen == {"a": "second", "b": "first"}
    assert found.recall == pytest.approx(10.0)


def test_each_switch_changes_the_configuration() -> None:
    """None of them is a name only."""
    for name in SWITCHES:
        (variant,) = variants([name], [], ablation=False)
        assert variant.retrieval != RetrievalConfig()
        assert variant.name == f"without {name}"
    assert variants([], [], ablation=False)[0].hash(COMPONENTS) == variants([], [], ablation=False)[0].hash(COMPONENTS)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--without", "luck"), "nothing is called luck"),
        (("--try", "no_such=1"), "retrieval.no_such: there is no such option"),
        (("--try", "lexical_weight=2"), "retrieval.lexical_weight"),
        (("--embedder", "no-such"), "no-such"),
        (("--plot", "chart.txt"), "chart.txt is no kind of picture"),
        (("--json", "no/folder/x.json"), "there is no folder"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    file: Path, arguments: tuple[str, ...], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a line that names it, and exit code 2 or 1 as for every error."""
    assert run(["bench", "locomo", str(file), *arguments]) != 0
    assert problem in " ".join(capsys.readouterr().err.split())


def test_the_figures_are_drawn(file: Path) -> None:
    """One line for each configuration, over the budgets."""
    chart = file.with_name("chart.svg")
    measured(file, "--budget", "40", "1000", "--plot", str(chart))
    drawn = chart.read_text(encoding="utf-8")
    assert "evidence in the context, %" in drawn
