"""The figures of scale: the line through what was measured, and a whole small run."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPTS = Path(__file__).parent.parent / "scripts"
MEASURED = {
    1000: {"disk": 3000.0, "time storing": 0.5, "time embedding": 1.5, "only here": 1.0},
    2000: {"disk": 5000.0, "time storing": 1.0, "time embedding": 3.0},
    4000: {"disk": 9000.0, "time storing": 2.0, "time embedding": 6.0},
}


@pytest.fixture
def fit(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the script's pure part, which lies beside it and in no package."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return importlib.import_module("scale_fit")


def test_a_line_is_found_again(fit: ModuleType) -> None:
    """What is exactly 1000 bytes and 2 for each row is seen as that, without a residual."""
    line = fit.lines(MEASURED)["disk"]
    assert line.fixed == pytest.approx(1000.0)
    assert line.each == pytest.approx(2.0)
    assert line.residual < 1e-9
    assert line.at(1_000_000) == pytest.approx(2_001_000.0)


def test_the_residual_is_the_largest_distance(fit: ModuleType) -> None:
    """Of three values that lie on no line the residual is that of the worst, by its value."""
    line = fit.fitted({0: 100.0, 1: 100.0, 2: 400.0})
    assert line.residual == pytest.approx(abs(line.at(1) - 100.0) / 100.0)
    assert line.residual == pytest.approx(1.0)


def test_no_figure_is_less_than_nothing(fit: ModuleType) -> None:
    """A line that falls ends at zero."""
    assert fit.fitted({1: 2.0, 2: 1.0}).at(1000) == 0.0


def test_one_size_makes_no_line(fit: ModuleType) -> None:
    """One value says nothing about a row."""
    with pytest.raises(ValueError, match="two sizes"):
        fit.fitted({1000: 5.0})


def test_figures_that_a_size_lacks_have_no_line(fit: ModuleType) -> None:
    """A file that only one size has is left out rather than guessed."""
    assert set(fit.lines(MEASURED)) == {"disk", "time storing", "time embedding"}


def test_tables_say_values_rates_and_predictions(fit: ModuleType) -> None:
    """Bytes and seconds are told apart by name; rows/s comes from both times; a check shows what was predicted."""
    found = fit.lines(MEASURED)
    assert "| disk | 2.9 KiB | 4.9 KiB | 8.8 KiB | 1000 bytes | 2.0 bytes | 0.0% |" in fit.size_table(MEASURED, found)
    assert "| rows/s with embedding | 500 | 500 | 500 |" in fit.size_table(MEASURED, found)
    assert "| rows/s without | 2,000 | 2,000 | 2,000 |" in fit.size_table(MEASURED, found)
    assert "| disk | 1.9 MiB | 19.1 MiB |" in fit.far_table(found)
    assert "| disk | 1.9 MiB | 3.8 MiB | 2.00 |" in fit.check_table(found, fit.FAR[0], {"disk": 4_002_000.0})


def test_json_holds_what_the_tables_hold(fit: ModuleType) -> None:
    """Measured values, lines, what they say of far sizes, and the check."""
    report = json.loads(json.dumps(fit.as_json(MEASURED, fit.lines(MEASURED), {8000: {"disk": 1.0}})))
    assert report["measured"]["2000"]["disk"] == 5000.0
    assert report["lines"]["disk"]["each"] == pytest.approx(2.0)
    assert report["extrapolated"]["1000000"]["disk"] == pytest.approx(2_001_000.0)
    assert report["check"] == {"8000": {"disk": 1.0}}


@pytest.mark.slow
def test_a_small_run_measures_and_leaves_nothing(tmp_path: Path) -> None:
    """Each size has its memory, files and times, the vectors' file is 4 bytes x 384 a row, and the folder is empty."""
    folder, report = tmp_path / "stores", tmp_path / "scale.json"
    folder.mkdir()
    sizes = ("--rows", "1000", "2000", "--check", "3000")
    store = ("--store", "faiss:exact_below=500", "--folder", str(folder), "--json", str(report))
    done = subprocess.run(
        [sys.executable, str(SCRIPTS / "measure_scale.py"), *store, *sizes], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(report.read_text(encoding="utf-8"))["stores"]["faiss:exact_below=500"]
    assert found["lines"]["disk rows.f32"]["each"] == pytest.approx(4 * 384)
    assert found["lines"]["disk index.bin"]["each"] == pytest.approx(4 * 384)
    assert found["check"]["3000"]["disk rows.f32"] == 3000 * 4 * 384
    assert found["check"]["3000"]["memory private"] > 0
    assert found["check"]["3000"]["time context p50"] > 0
    assert "| disk rows.f32 | 4.4 MiB | 4.4 MiB | 1.00 |" in done.stdout
    assert not list(folder.iterdir())
