"""The demonstration really runs: from a store, through a new process, to evidence that is there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ctxkit.cli import run
from ctxkit.demo import documentation, probes, recall
from ctxkit.demo.recall import Answer, Seen, ask, respond
from ctxkit.demo.remember import remember
from ctxkit.demo.script import BUDGET, load_questions, load_turns
from ctxkit.demo.verdict import judge_probe, place_of
from ctxkit.errors import CtxkitError
from ctxkit.manager import ContextManager
from ctxkit.plugins import get_registry
from ctxkit.plugins.installing import pip_install

COMMAND = [sys.executable, "-m", "ctxkit"]


def demo(*arguments: str, cwd: Path, **extra: str) -> subprocess.CompletedProcess[str]:
    """Run the demonstration as a process, 80 columns wide."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("CTXKIT")}
    return subprocess.run(
        [*COMMAND, "demo", *arguments],
        cwd=cwd,
        env={**clean, "COLUMNS": "80", **extra},
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=120,
    )


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """One run with a kept store: the folder it ran in, and its JSON."""
    folder = tmp_path_factory.mktemp("demo")
    done = demo("--keep", "demo store", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    report: dict[str, Any] = json.loads(done.stdout)
    return folder, report


def test_the_conversation_went_far_past_the_view(kept: tuple[Path, dict[str, Any]]) -> None:
    """Most turns left the short-term view, none was lost, and the view came back in the other process."""
    _, report = kept
    talk = report["conversation"]
    assert talk["turns"] == len(load_turns()) == talk["in_view"] + talk["evicted"]
    assert talk["tokens"] > 2 * talk["capacity"]
    assert talk["evicted"] > talk["turns"] // 2
    assert talk["in_view_tokens"] <= talk["capacity"]
    assert talk["view_restored"] is True
    assert talk["store_records"] > talk["turns"]
    assert talk["documents"] >= 5
    assert report["processes"]["stored"] != report["processes"]["answered"]


def test_the_shown_questions_have_their_evidence(kept: tuple[Path, dict[str, Any]]) -> None:
    """With an embedder every displayed question finds its evidence word for word within the budget."""
    _, report = kept
    wanted = {question.id: question for question in load_questions()}
    by_id = {each["id"]: each for each in report["questions"]}
    assert set(report["shown"]) == {each.id for each in wanted.values() if each.show} | {"d01"}
    found = [each for each in report["shown"] if by_id[each]["evidence_found"]]
    if report["conversation"]["embedder"] == "none":
        assert len(found) >= len(report["shown"]) - 2
    else:
        assert found == report["shown"]
    for each in report["questions"]:
        assert each["tokens"] <= each["budget"] == BUDGET
        assert each["question"] in each["context"]
        assert sum(each["parts"].values()) > 0
        assert all(piece in each["context"] for piece in each["evidence"])
        if each["id"] in wanted:
            assert each["evidence_found"] == wanted[each["id"]].is_answered_by(each["context"])


def test_the_tally_is_that_of_the_questions(kept: tuple[Path, dict[str, Any]]) -> None:
    """The one line of the result counts what the questions say, the documentation's own left out."""
    _, report = kept
    judged = [each for each in report["questions"] if each["id"] != "d01"]
    result = report["result"]
    assert result["asked"] == len(judged) == len(load_questions())
    assert result["found"] == sum(each["evidence_found"] for each in judged) >= 20
    assert result["evicted"] == sum(each["evicted"] for each in judged) > result["asked"] // 2
    assert result["found_evicted"] == sum(each["evicted"] and each["evidence_found"] for each in judged) >= 12


def test_the_commands_at_the_end_work_as_printed(kept: tuple[Path, dict[str, Any]]) -> None:
    """A user who copies the three lines sees the answers, a folder name with a space included."""
    folder, report = kept
    for line, answer in zip(report["next"], ("Ralf with the epipen", "eleven brass tokens", "On disk"), strict=True):
        program = line.replace("ctxkit ", f"'{sys.executable}' -m ctxkit ", 1)
        done = subprocess.run(  # noqa: S602 - the line is meant for a shell
            program, shell=True, cwd=folder, capture_output=True, encoding="utf-8", check=False, timeout=60
        )
        assert done.returncode == 0, (line, done.stderr)
        assert answer in " ".join(done.stdout.split()), line


def test_a_kept_folder_is_not_overwritten(kept: tuple[Path, dict[str, Any]]) -> None:
    """A folder with something in it, or a file, is refused before anything is stored."""
    folder, _ = kept
    before = sorted(folder.rglob("*"))
    done = demo("--keep", "demo store", cwd=folder)
    assert done.returncode == 1
    assert done.stderr == "Error: demo store is not empty.\nFix: give --keep a new folder.\n"
    assert sorted(folder.rglob("*")) == before
    (folder / "file").write_text("")
    done = demo("--keep", "file", cwd=folder)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: file cannot be used")


def test_the_show_is_readable_at_80_columns(tmp_path: Path) -> None:
    """Without a terminal: no control characters, no line beyond the width, figures and evidence in plain sight."""
    done = demo(cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert not any(character < " " and character != "\n" for character in done.stdout)
    assert max(len(line) for line in done.stdout.splitlines()) <= 80
    for words in (
        "121 turns",
        "evicted",
        "Reopen in a new process",
        "✓",
        "Evidence found for",
        "Next:",
        "ctxkit demo --keep",
    ):
        assert words in done.stdout
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []


def test_without_an_embedder_it_runs_and_says_what_is_missing(tmp_path: Path) -> None:
    """With the core alone the search goes by words; the notes say what to install for more."""
    done = demo(cwd=tmp_path, CTXKIT_DISABLE_PLUGINS="ctxkit-static,ctxkit-faiss")
    assert done.returncode == 0, done.stderr
    assert "no embedder, search by words" in done.stdout
    assert pip_install("ctxkit-static") in done.stdout
    assert pip_install("ctxkit-faiss") in done.stdout


@pytest.fixture
def papers(tmp_path: Path) -> Path:
    """A folder of somebody's files, with headings and without, and one that is no text."""
    folder = tmp_path / "papers"
    folder.mkdir()
    (folder / "bees.md").write_text(
        "# Bees\n\n## What does a colony need in winter?\n\n"
        "A colony of average size needs about eighteen kilograms of\n"
        "honey to see the spring. Fondant comes second.\n\n## Why?\n\nToo short a heading for a question it is.\n\n"
        "## Other seasons\n\n"
        "Bees that find nothing in June starve as well as those in January do.\n"
    )
    (folder / "harbour.txt").write_text(
        "The harbour master keeps a ledger of every anchor that was ever lost in the basin.\n\n"
        "Dredging happens twice a year, in March and again when the autumn gales are over.\n"
    )
    (folder / "picture.bin").write_bytes(b"\0\1\2")
    return folder


def test_it_shows_the_same_for_a_folder_of_ones_own(
    papers: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Questions are made from the files, and each answer names file and line."""
    monkeypatch.chdir(papers)
    assert run(["demo", "--path", str(papers), "--json"]) == 0
    files = json.loads(capsys.readouterr().out)["files"]
    assert (files["files"], [item["reason"] for item in files["skipped"]]) == (2, ["binary file"])
    assert len(files["questions"]) == 3
    assert all(each["evidence_found"] for each in files["questions"])
    places = [place for each in files["questions"] for place in each["places"]]
    assert f"{papers / 'bees.md'}:1" in places
    assert f"{papers / 'harbour.txt'}:1" in places
    assert run(["demo", "--path", ".", "--question", "how much honey for winter?"]) == 0
    shown = capsys.readouterr().out
    assert "how much honey for winter?" in shown
    assert "bees.md:1" in shown
    assert "Skipped 1 file:" in shown


def test_files_without_a_question_in_them_say_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One short file makes no question; the demonstration asks for one instead of inventing it."""
    (tmp_path / "short.txt").write_text("nothing much\n")
    assert run(["demo", "--path", str(tmp_path / "short.txt")]) == 0
    assert "ask your own with --question" in capsys.readouterr().out


def test_wrong_options_are_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A path that is not there, and a question without a path, are said before the show begins."""
    assert run(["demo", "--path", str(tmp_path / "nope")]) == 1
    assert "does not exist" in capsys.readouterr().err
    assert run(["demo", "--question", "what?"]) == 1
    assert "name them with --path" in capsys.readouterr().err


def test_an_interrupted_show_ends_quietly(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C ends with 130 and one line, which promises only what is kept."""

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ctxkit.demo.remember.remember", interrupt)
    assert run(["demo"]) == 130
    assert capsys.readouterr().err == "Interrupted.\n"
    assert run(["demo", "--keep", str(tmp_path / "kept")]) == 130
    assert str(tmp_path / "kept") in capsys.readouterr().err


def test_probes_come_from_different_files_and_stay_the_same(papers: Path) -> None:
    """Headings that ask become questions where there are any, rare words elsewhere, and no run differs."""
    made = probes.probes(papers)
    assert made == probes.probes(papers)
    assert [Path(probe.source).name for probe in made] == ["bees.md", "harbour.txt", "harbour.txt"]
    assert made[0].question == "What does a colony need in winter?"
    assert made[0].expected.startswith("A colony of average size")
    assert made[1].question.startswith("What is said about ")
    for probe in made:
        assert probe.expected in Path(probe.source).read_text()
    (one,) = probes.probes(papers, count=1)
    assert one == made[0]


def test_probes_are_not_read_from_more_files_than_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A huge folder costs no more than its first files."""
    monkeypatch.setattr(probes, "_MOST_FILES", 2)
    for name in "abc":
        (tmp_path / name).write_text(f"The keeper of tower {name} polishes the lantern glass before sunset daily.\n")
    assert {Path(probe.source).name for probe in probes.probes(tmp_path)} == {"a", "b"}


def test_the_line_of_a_passage(papers: Path) -> None:
    """A passage is placed at its line; a file that changed or went is no error."""
    harbour = str(papers / "harbour.txt")
    assert probes.line_of(harbour, "Dredging happens") == 3
    assert probes.line_of(harbour, "not there") is None
    assert probes.line_of(str(papers / "gone"), "x") is None
    assert place_of(Seen("m", "x", 1, 0.0, None, None)) == "memory"
    assert place_of(Seen("m", "not there", 1, 0.0, harbour, None)) == harbour


def test_a_miss_is_called_a_miss() -> None:
    """A context without the expected sentence is judged so; the display has no way to turn it green."""
    answer = Answer("q?", "## Question\nq?", 5, 100, {"question": 5}, 0, (), (), 0)
    probe = probes.Probe("q?", "the expected sentence", "file")
    assert judge_probe(1, probe, answer).answered is False
    assert judge_probe(1, None, answer).as_dict()["kind"] == "own"


def test_a_miss_is_shown_in_red(capsys: pytest.CaptureFixture[str]) -> None:
    """The honest cross stands where the tick would."""
    from ctxkit.cli.demo_view import View  # noqa: PLC0415 - loads rich, which other tests do not need

    answer = Answer("q?", "## Question\nq?", 5, 100, {"question": 5}, 0, (), (), 0)
    View(quiet=False).files([judge_probe(1, probes.Probe("q?", "the expected sentence", "file"), answer)])
    assert "✗ The evidence is not in this context." in capsys.readouterr().out


def test_the_documentation_is_in_every_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    """README and docstrings come from the installation; a distribution without metadata leaves the docstrings."""
    pages = documentation.documents()
    assert "StoreLockedError" in pages["ctxkit.errors (docstring)"]
    assert pages["README.md"].startswith("# ctxkit")
    assert "hazelnuts" not in pages["README.md"], "the README's picture of the demo answers its questions"
    monkeypatch.setattr(documentation, "_DISTRIBUTION", "no-such-distribution")
    assert documentation._readme() == ""


def test_the_second_process_reports_its_error(tmp_path: Path) -> None:
    """An error of ctxkit comes back with cause and fix, any other failure with its last line."""
    (tmp_path / "recall_plugin.py").write_text("import module_that_is_not_there\n")
    with pytest.raises(CtxkitError, match="module_that_is_not_there") as caught:
        ask(tmp_path, ["q"], budget=100, memory={}, plugins=[str(tmp_path / "recall_plugin.py")])
    assert caught.value.fix
    for number, last_words in enumerate(["exit code 3", "the last words"]):
        plugin = tmp_path / f"recall_exits_{number}.py"
        plugin.write_text(f"import os\nos.write(2, {last_words.encode() if number else b''!r})\nos._exit(3)\n")
        with pytest.raises(CtxkitError, match=f"the second process failed: {last_words}"):
            ask(tmp_path, ["q"], budget=100, memory={}, plugins=[str(plugin)])


def test_storing_the_conversation_twice_changes_nothing(tmp_path: Path) -> None:
    """A turn observed again under its id is stored once, and one that left the view does not come back into it."""

    def quiet(*_: object) -> None:
        """Show no progress."""

    first = remember(tmp_path, get_registry(), observed=quiet, ingested=quiet)
    second = remember(tmp_path, get_registry(), observed=quiet, ingested=quiet)
    assert second.in_view == first.in_view
    assert second.stats["store"]["records"] == first.stats["store"]["records"]
    assert second.documentation.unchanged == first.documentation.files


def test_a_request_is_answered_from_the_store(tmp_path: Path) -> None:
    """The answer says what stands in the context, where it came from, and what it costs."""
    with ContextManager(path=tmp_path, registry=get_registry()) as manager:
        manager.observe("The key is under the blue pot.", "Noted.")
        manager.ingest_text("Blue pots are fired at a thousand degrees.", source_id="pots.txt")
    request = {"store": str(tmp_path), "questions": ["blue pot"], "budget": 200, "memory": {}, "plugins": []}
    reply = respond(request)
    (answer,) = reply["answers"]
    assert reply["pid"] == os.getpid()
    assert len(reply["view"]) == 1
    assert [row["source"] for row in answer["memories"]] == ["pots.txt"]
    assert "under the blue pot" in answer["recent"][0]["text"]
    assert answer["tokens"] <= 200
    assert respond({**request, "budget": 1})["error"].startswith("the question takes")
    assert recall.__doc__ is not None
