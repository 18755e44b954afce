"""The benchmark as a command: what it measures of real stores, what it says, and what it leaves behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import pytest
from ctxkit_conformance.bench.parts import PARTS

from ctxkit.cli import run

STORES: Final = str(Path(__file__).with_name("bench_stores.py"))
HNSW: Final = "faiss:index_type=HNSW,exact_below=0"
SMALL: Final = ("--rows", "300", "--repeat", "1")
PATIENCE: Final = 60.0

Bench: TypeAlias = Callable[..., "subprocess.CompletedProcess[str]"]
Figures: TypeAlias = dict[str, dict[str, Any]]


def command(*arguments: str) -> list[str]:
    """Return the command line of a benchmark with the stores of these tests."""
    return [sys.executable, "-m", "ctxkit", "-p", STORES, "bench", "vector-store", *arguments]


def environment() -> dict[str, str]:
    """Return an environment in which the tests' own baselines can be imported, 80 columns wide."""
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parent), "COLUMNS": "80", "NO_COLOR": "1"}


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a benchmark to its end."""
    return subprocess.run(command(*arguments), capture_output=True, text=True, check=False, env=environment())


def figures(store: dict[str, Any]) -> Figures:
    """Return the figures of one store by name."""
    return {figure["name"]: figure for figure in store["figures"]}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The report on two real stores; what is left in the folder; what was printed; the chart."""
    folder, out = tmp_path_factory.mktemp("stores"), tmp_path_factory.mktemp("out")
    names = ("exact", HNSW)
    files = ("--json", str(out / "bench.json"), "--plot", str(out / "bench.svg"))
    done = bench(*names, *SMALL, "--folder", str(folder), *files)
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads((out / "bench.json").read_text())
    chart = (out / "bench.svg").read_text()
    return {"report": report, "left": list(folder.iterdir()), "shown": done.stdout, "chart": chart}


def test_every_part_of_real_stores_is_measured(whole: dict[str, Any]) -> None:
    """Each part gives figures, each figure that has a target and a value has a verdict, and nothing went wrong."""
    for store in whole["report"]["stores"]:
        assert store["problems"] == []
        assert {figure["part"] for figure in store["figures"]} == set(PARTS)
        for figure in store["figures"]:
            judged = figure["target"] is not None and figure["value"] is not None
            assert figure["verdict"] in ({"met", "missed"} if judged else {""}), figure
            assert figure["value"] is not None or figure["note"], figure
        assert (store["rows"], store["dimension"]) == (300, 384)


def test_ratios_are_made_of_what_was_measured(whole: dict[str, Any]) -> None:
    """In one round a ratio is our time by the raw library's, and both are there."""
    for store in whole["report"]["stores"]:
        one = figures(store)["one query, k=10"]
        assert one["value"] == pytest.approx(one["ours"] / one["raw"])
        ingest = figures(store)["ingest, batches of 30"]
        assert ingest["value"] == pytest.approx(ingest["ours"] / ingest["raw"])
        assert ingest["target"] == {"limit": 0.6, "at_least": True}


def test_sound_stores_find_everything(whole: dict[str, Any]) -> None:
    """An exact store has full recall, and each sound store returns k of k under every filter."""
    exact, graph = map(figures, whole["report"]["stores"])
    for found in (exact, graph):
        assert found["filters: k of k returned"]["value"] == 1.0
        assert found["recall@10, no filter"]["value"] >= 0.9
        for title in ("filter 10 %", "filter 1 %", "filter 0.1 %", "filter far"):
            assert found[f"{title}: recall@10"]["verdict"] == "met"
    assert exact["recall@10, no filter"]["value"] == 1.0


def test_baselines_have_the_parameters_of_the_store(whole: dict[str, Any]) -> None:
    """What each store is compared with is said, and the options that both use are in the report."""
    exact, graph = whole["report"]["stores"]
    assert [each["baseline"] for each in (exact, graph)] == ["numpy exact scan + SQLite", "faiss HNSW + SQLite"]
    assert graph["config"]["index_type"] == "HNSW"
    assert graph["name"] == HNSW


def test_the_report_says_where_it_was_made(whole: dict[str, Any]) -> None:
    """Machine, versions and settings stand beside the figures."""
    report = whole["report"]
    assert report["schema_version"] == 1
    assert {"processor", "cores", "python", "packages", "file_system", "sqlite"} <= set(report["machine"])
    assert report["settings"]["rows"] == 300
    assert report["settings"]["parts"] == list(PARTS)


def test_the_table_fits_a_terminal(whole: dict[str, Any]) -> None:
    """Every line of the output has at most 80 columns, and says each verdict."""
    lines = whole["shown"].splitlines()
    assert max(map(len, lines)) <= 80
    assert sum(line.rstrip().endswith(" missed") for line in lines) == sum(
        figure["verdict"] == "missed" for store in whole["report"]["stores"] for figure in store["figures"]
    )


def test_the_chart_names_what_it_shows(whole: dict[str, Any]) -> None:
    """The chart has a panel for each store and a line for each ratio."""
    for text in ("faiss HNSW + SQLite", "one query, k=10", "throughput, 8 threads", "share of the limit"):
        assert text in whole["chart"]


def test_nothing_is_left(whole: dict[str, Any]) -> None:
    """The folders of the stores are gone."""
    assert whole["left"] == []


def test_a_stranger_with_a_baseline_of_their_own(tmp_path: Path) -> None:
    """A store that declares little is measured as far as it goes; the rest is said with the reason."""
    vectors = tmp_path / "vectors.npy"
    np.save(vectors, np.random.default_rng(0).standard_normal((120, 8)).astype(np.float16))
    given = ("--baseline", "bench_stores:OwnBaseline", "--data", str(vectors))
    done = bench("plain", *SMALL, *given, "--json", "-")
    assert done.returncode == 0, done.stderr
    (store,) = json.loads(done.stdout)["stores"]
    assert store["baseline"] == "my own, path True"
    assert (store["rows"], store["dimension"], store["data"], store["problems"]) == (108, 8, "vectors.npy", [])
    found = figures(store)
    assert found["one query, k=10"]["value"] > 0
    assert found["filters"]["note"] == "the store has no $in and no $lt"
    assert found["text search, 3 words"]["note"] == "the store has none"
    assert found["private memory"]["note"] == "the store keeps nothing on disk"


def test_a_miss_fails_only_where_asked() -> None:
    """A store that filters what it has found returns too few: that misses targets, and --fail-on-miss exits with 1."""
    done = bench("forgetful", *SMALL, "--only", "filter", "--only", "query", "--fail-on-miss", "--json", "-")
    assert done.returncode == 1
    (store,) = json.loads(done.stdout)["stores"]
    found = figures(store)
    assert {figure["part"] for figure in store["figures"]} == {"query", "filter"}
    assert found["filters: k of k returned"]["verdict"] == "missed"
    assert found["filter far: recall@10"]["value"] == 0.0
    assert found["recall@10, no filter"]["value"] == 1.0
    assert store["baseline"] == "numpy exact scan + SQLite"


def test_one_that_cannot_be_measured_costs_nobody_else() -> None:
    """Among several stores it is shown with the reason, the others with their figures."""
    done = bench("exact:path=/elsewhere", "exact", *SMALL, "--only", "query")
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.split("\n\n")[:2]
    assert first.startswith("exact:path=/elsewhere\nnot measured: the option path is '/elsewhere'")
    assert "one query, k=10" in second


@pytest.mark.parametrize(
    ("arguments", "cause", "fix"),
    [
        (["exact", "--only", "speed"], "there is no part speed", "choose from ingest, pause"),
        (["nosuch"], "nosuch", "Fix:"),
        (["exact:path"], "exact:path", "Fix:"),
        (["faiss:index_type=Nonsense"], "index_type", "the options are"),
        (["exact", "--data", "missing.npy"], "missing.npy cannot be read", "give an .npy file"),
        (["exact", "--texts", "texts.txt"], "--texts was given without --data", "as --data"),
        (
            ["exact", "--baseline", "bench_stores:Nothing"],
            "'bench_stores:Nothing' cannot be imported",
            "module:factory",
        ),
        (["exact", "--baseline", "bench_stores:no_baseline"], "which is no Baseline", "subclass"),
        (["exact", "--json", "no/such/folder.json"], "there is no folder", "in a folder that exists"),
        (["exact", "--plot", "chart.gif"], "chart.gif is no kind of picture", ".svg"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_wrong_use_is_told_before_anything_is_measured(
    arguments: list[str], cause: str, fix: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cause and fix stand on standard error, without a traceback, and nothing is printed as a result."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    assert run(["bench", "vector-store", *arguments, *SMALL]) == 1
    out, err = capsys.readouterr()
    assert (cause in err, fix in err) == (True, True), err
    assert "Traceback" not in err
    assert out == ""


def test_help_has_examples() -> None:
    """The help names the parts and shows how the command is used."""
    done = bench("--help")
    assert "ctxkit bench vector-store faiss --data" in done.stdout
    parts = " ".join(done.stdout.split("Parts:")[1].split("Examples:")[0].replace(".", " ").replace(",", " ").split())
    assert parts.split() == list(PARTS)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interruption_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C in the middle, or being told to end, ends the measuring process, takes its folder away, and says so."""
    arguments = command("exact", "--rows", "5000", "--repeat", "500", "--folder", str(tmp_path), "--only", "upsert")
    process = subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True, env=environment())
    try:
        deadline = time.monotonic() + PATIENCE
        while not list(tmp_path.glob("*/upsert/bare.db")):
            assert process.poll() is None, "the benchmark ended too early"
            assert time.monotonic() < deadline, "nothing was measured"
            time.sleep(0.05)
        process.send_signal(number)
        _, said = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
    assert "Interrupted" in said
    assert list(tmp_path.iterdir()) == []
